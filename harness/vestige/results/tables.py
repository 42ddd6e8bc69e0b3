"""The tables: `results.csv`, `leaderboard.md` and `leaderboard.csv`."""

import csv
import io
from pathlib import Path

from tabulate import tabulate

from vestige.pipeline.store import write_atomically
from vestige.results.pooling import Pooled, Results
from vestige.results.records import Finished

POWER = 0.6
"""An attack counts only if the lower bound of its AUC on base is above this."""

TIDY = [
    "board",
    "dataset",
    "request",
    "recommender",
    "method",
    "label",
    "method_version",
    "seed",
    "status",
    "metric",
    "view",
    "value",
    "ci_low",
    "ci_high",
    "better",
    "note",
]


def write_csv(results: Results, folder: Path) -> Path:
    """`results.csv`, one row a cell and measurement, and `leaderboard.csv`, one row a method; returns the latter."""
    rows = [row for item in results.finished for row in _tidy(item)]
    write_atomically(folder / "results.csv", _csv(TIDY, rows))
    columns = _columns(results)
    header = ["label", "status", "seeds"]
    header += [f"{name}{end}" for name in columns for end in ("", ":low", ":high", ":sd_over_seeds", ":note")]
    table = []
    for label in results.labels:
        row: list[object] = [label, _status(results, label), len(results.row(label))]
        for name in columns:
            pooled = results.pooled(label, name)
            row += _five(pooled)
        table.append(row)
    path = folder / "leaderboard.csv"
    write_atomically(path, _csv(header, table))
    return path


def write_markdown(results: Results, folder: Path) -> Path:
    """`leaderboard.md`."""
    path = folder / "leaderboard.md"
    write_atomically(path, (markdown(results) + "\n").encode())
    return path


def markdown(results: Results) -> str:
    """The leaderboard as Markdown: verdicts, what was forgotten at what price, change against base, how to read it."""
    parts = [f"# {results.about['title']}", _facts(results), *_verdicts(results)]
    parts += [f"## {title}\n\n{_table(results, columns)}" for title, columns in _sections(results)]
    parts.append(_change_table(results))
    if results.about["columns"]:
        parts.append("## Chosen columns\n\n" + _table(results, {name: name for name in results.about["columns"]}))
    failures = _failures(results)
    if failures:
        parts.append("## What failed\n\n" + failures)
    parts.append(HOW_TO_READ)
    return "\n\n".join(parts)


def invalid(results: Results) -> str | None:
    """Why the whole board says nothing: gold does not beat the popularity list; None where it does."""
    gold = results.label_of("retrain")
    name = f"hit@{_k(results)}/retain"
    if gold is None or "popularity" not in results.labels:
        return None
    better = results.difference(gold, "popularity", name)
    if better is None:
        return None
    low, high = better.interval
    if low > 0:
        return None
    return (
        f"INVALID: gold does not beat the popularity list on `retain` ({name.partition('/')[0]} "
        f"{better.value:+.4f} [{low:+.4f}, {high:+.4f}]); the recommender has learned nothing that could be unlearned."
    )


def no_power(results: Results, name: str) -> bool:
    """Whether an AUC has no power on base, seeds pooled."""
    base = results.label_of("do_nothing")
    pooled = results.pooled(base, name) if base else None
    return pooled is None or pooled.interval is None or pooled.interval[0] <= POWER


def _k(results: Results) -> int:
    ks = results.about["k"]
    return 10 if 10 in ks else int(ks[0])


def _sections(results: Results) -> list[tuple[str, dict[str, str]]]:
    k = _k(results)
    other = "unseen" if any(item.find(f"hit@{k}/unseen") for item in results.finished) else "affected"
    return [
        (
            "What it still recommends",
            {
                f"hit@{k}/retain": f"hit@{k} retain",
                f"ndcg@{k}/retain": f"ndcg@{k} retain",
                f"ndcg@{k}:vs_gold/retain": f"ndcg@{k} retain − gold",
                f"hit@{k}/{other}": f"hit@{k} {other}",
                "collateral/neighbours": "collateral",
            },
        ),
        (
            "What it still remembers",
            {
                f"hit@{k}/forget": f"hit@{k} forget",
                f"hit@{k}:vs_gold/forget": f"hit@{k} forget − gold",
                "fidelity/forget": "fidelity",
                "distance/forget": "distance to gold",
                "shift/forget": "shift",
                "jensen_shannon/forget": "Jensen–Shannon",
            },
        ),
        (
            "Who can tell that somebody was forgotten",
            {
                "auc_raw/forget": "AUC raw",
                "auc_calibrated/forget": "AUC calibrated",
                "auc_learned/forget": "AUC learned",
                "auc_swap/forget": "AUC swap",
                "router_auc/forget": "AUC router",
                "router_share/retain": "routed of R",
                "router_share/unseen_train": "routed of T",
                "router_share/forget": "routed of F",
            },
        ),
        (
            "What it costs",
            {
                "seconds": "seconds",
                "cost_seconds": "time",
                "cost_flops": "FLOPs",
                "cost_parameters": "parameters",
                "cost_peak_memory": "peak memory",
                "cost_stored_bytes": "stored bytes",
                "cost_latency": "latency",
            },
        ),
    ]


def _columns(results: Results) -> list[str]:
    names = [name for _, columns in _sections(results) for name in columns]
    return list(dict.fromkeys([*names, *results.about["columns"]]))


def _table(results: Results, columns: dict[str, str]) -> str:
    used = {n: t for n, t in columns.items() if any(results.pooled(label, n) for label in results.labels)}
    rows = []
    for label in results.labels:
        cells = [_cell(results, label, name) for name in used]
        rows.append([_display(results, label), *(cells if _status(results, label) == "ok" else ["—"] * len(cells))])
    return tabulate(rows, headers=["", *used.values()], tablefmt="pipe", disable_numparse=True)


def _display(results: Results, label: str) -> str:
    """The row's name; roles in brackets, so that a reader sees which rows are base and gold."""
    role = {results.label_of("do_nothing"): " (base)", results.label_of("retrain"): " (gold)"}.get(label, "")
    return f"*{label}*" if label in ("control", "recheck", "popularity") else f"{label}{role}"


def _cell(results: Results, label: str, name: str) -> str:
    pooled = results.pooled(label, name)
    if pooled is None:
        return ""
    if pooled.value is None:
        return "UNDEFINED" if any(note.startswith("UNDEFINED") for note in pooled.notes) else "—"
    text = _number(pooled.value, pooled.unit)
    if pooled.interval is not None:
        text += f" [{_number(pooled.interval[0], pooled.unit)}, {_number(pooled.interval[1], pooled.unit)}]"
    if pooled.seeds < len(results.row(label)):
        text += f" ({pooled.seeds} of {len(results.row(label))} seeds)"
    if name.startswith("auc_") and no_power(results, name):
        text += " NO POWER"
    return text


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.1f}"
    if unit == "%":
        return f"{value:+.1f} %"
    if unit == "× retrain":
        return f"{value:.3f}"
    return f"{value:.4f}"


def _facts(results: Results) -> str:
    first = results.finished[0].record
    identity, notes = first.identity, first.outcome.notes
    data, request = notes["dataset"], notes["request"]
    seeds = results.about["seeds"]
    forgotten = ", ".join(f"{value} {name}" for name, value in request.items())
    return (
        f"Dataset {identity.dataset.name}: {data['users']} users, {data['items']} items, {data['interactions']} "
        f"interactions. Request: {forgotten}. Recommender {identity.recommender.name}. "
        f"{'Seed' if len(seeds) == 1 else 'Seeds'} {', '.join(map(str, seeds))}"
        + ("." if len(seeds) == 1 else ", pooled; intervals over users, 95 %.")
    )


def _verdicts(results: Results) -> list[str]:
    out = []
    fault = invalid(results)
    if fault:
        out.append(f"**{fault}**")
    gold, k = results.label_of("retrain"), _k(results)
    if gold and "popularity" in results.labels and not fault:
        better = results.difference(gold, "popularity", f"hit@{k}/retain")
        if better:
            low, high = better.interval
            out.append(
                f"Gold beats the popularity list on `retain` by {better.value:.4f} [{low:.4f}, {high:.4f}] in hit@{k}."
            )
    base = results.label_of("do_nothing")
    remembered = results.difference(base, gold, f"hit@{k}/forget") if base and gold else None
    if remembered and base and gold:
        low, high = remembered.interval
        lines = [
            f"Base remembers: its hit@{k} on `forget` is {remembered.value:.4f} [{low:.4f}, {high:.4f}] above gold's."
        ]
        for label in results.labels:
            closed = _closed(results, label, base, gold, k)
            if closed is not None and label not in (base, gold, "control", "recheck", "popularity"):
                beyond = " (more than all of it: it suppresses what gold still recommends)" if closed > 1 else ""
                lines.append(f"{label} closes {100 * closed:.0f} % of that gap{beyond}.")
        out.append(" ".join(lines))
    return out


def _closed(results: Results, label: str, base: str, gold: str, k: int) -> float | None:
    """The share of the gap between base and gold on `forget` that a row closes; above 1 it overshoots."""
    name = f"hit@{k}/forget"
    seeds = results.shared_seeds(name, base, gold, label)
    values = [results.pooled(row, name, seeds) for row in (base, gold, label)]
    b, g, u = (pooled.value if pooled else None for pooled in values)
    if b is None or g is None or u is None or b <= g:
        return None
    return (b - u) / (b - g)


def _change_table(results: Results) -> str:
    """As the published table shows it: base, unlearned, change in per cent."""
    base, k = results.label_of("do_nothing"), _k(results)
    rows = []
    methods = [
        label
        for label in results.labels
        if label != base and label not in ("control", "recheck", "popularity") and _status(results, label) == "ok"
    ]
    for view in ("retain", "forget", "neighbours"):
        for metric in (f"hit@{k}", f"ndcg@{k}"):
            seeds = results.shared_seeds(f"{metric}/{view}", *([base] if base else []), *methods)
            before = results.pooled(base, f"{metric}/{view}", seeds) if base else None
            if before is None or before.value is None:
                continue
            row = [view, metric, f"{before.value:.4f}"]
            for label in methods:
                after, change = (
                    results.pooled(label, f"{name}/{view}", seeds) for name in (metric, f"{metric}:vs_base")
                )
                shown = f"{after.value:.4f}" if after and after.value is not None else "—"
                percent = f" ({change.value:+.1f} %)" if change and change.value is not None else ""
                row.append(shown + percent)
            rows.append(row)
    table = tabulate(rows, headers=["view", "", "base", *methods], tablefmt="pipe", disable_numparse=True)
    return f"## Change against base\n\n{table}"


def _status(results: Results, label: str) -> str:
    statuses = {item.record.outcome.status for item in results.row(label)}
    return "ok" if "ok" in statuses else ", ".join(sorted(statuses))


def _failures(results: Results) -> str:
    lines = []
    for item in results.finished:
        if not item.record.ok:
            identity, outcome = item.record.identity, item.record.outcome
            lines.append(f"- {identity.label}, seed {identity.seed}: {outcome.status}: {outcome.message}")
    return "\n".join(lines)


def _tidy(item: Finished) -> list[list[object]]:
    identity, outcome = item.record.identity, item.record.outcome
    method = identity.method
    head: list[object] = [
        identity.board,
        identity.dataset.name,
        identity.request["kind"],
        identity.recommender.name,
        method.name if method else identity.row,
        identity.label,
        method.version if method else "",
        identity.seed,
        outcome.status,
    ]
    if not item.measurements:
        return [[*head, "", "", "", "", "", "", outcome.message]]
    return [
        [
            *head,
            m.metric,
            m.view,
            "" if m.value is None else repr(m.value),
            *(["", ""] if m.interval is None else [repr(bound) for bound in m.interval]),
            m.better,
            m.note,
        ]
        for m in item.measurements
    ]


def _five(pooled: Pooled | None) -> list[object]:
    if pooled is None:
        return [""] * 5
    low, high = pooled.interval if pooled.interval is not None else ("", "")
    value = "" if pooled.value is None else pooled.value
    return [value, low, high, "" if pooled.spread is None else pooled.spread, "; ".join(pooled.notes)]


def _csv(header: list[str], rows: list[list[object]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()


HOW_TO_READ = """## How to read this

- **do_nothing** is the base itself, trained on everything; **retrain** is gold, trained without what must be forgotten.
  A good method looks like gold, not like zero. *control* and *recheck* are gold with other seeds: what differs between
  them is noise. *popularity* is the list of the most frequent items.
- **forget** asks for training transitions of the forgotten users (held-out items say nothing about forgetting: the
  history is an input); **retain** for the test item of everybody who stays; **unseen** for that of users nobody ever
  trained on. All ranks are exact, over the whole catalogue, and every query counts.
- **collateral**: what the neighbours of the forgotten lost beyond what matched other users lost; 0 is right.
- **fidelity**: 0 is base, 1 is as near to gold as another retraining comes. **shift** below 0: more is suppressed than
  never having known would suppress.
- **AUC**: how well the forgotten can be told from users nobody ever trained on. Gold's value is the target, ½ up to
  noise; far below ½ gives away as much as far above. *raw* uses the score alone, *calibrated* subtracts another
  retrained model's, *learned* is a trained attack, *swap* averages over the world in which forgotten and never-trained
  users change places. NO POWER: the attack does not work on base (lower bound of 0.6 or less), so it says nothing.
- **AUC router**: how well the router's own output tells who asked to be forgotten; ½ is right.
- **cost**: ratios to retraining; below 1 is cheaper. Timings vary from run to run."""
