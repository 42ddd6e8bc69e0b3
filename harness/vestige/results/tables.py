"""The tables: `results.csv`, `leaderboard.md` and `leaderboard.csv`."""

from pathlib import Path

from vestige.pipeline.store import write_atomically
from vestige.results.cells import ENDS, cell, display, of_seeds, plain, spelt, table, value
from vestige.results.page.picture import write_curves, write_picture
from vestige.results.pooling import Results
from vestige.results.reading import HOW_TO_READ, OWN_BASES, STREAM, WITHDRAWN
from vestige.results.sections import Section, k_of, sections
from vestige.results.streams import section as stream_section
from vestige.results.streams import steps_of, write_steps
from vestige.results.summary import facts, of_items, verdict_lines
from vestige.results.tidy import TIDY, tidy, to_csv
from vestige.results.under import under
from vestige.results.verdicts import (
    ALPHA,
    Compared,
    against_control,
    against_gold,
    attack_controls,
    detectable,
    powerless,
    retrainings_apart,
)


def write_csv(results: Results, folder: Path) -> Path:
    """`results.csv`, one row a cell and measurement, and `leaderboard.csv`, one row a method; returns the latter.

    Of a stream both show its last step, and `stream.csv` all steps.
    """
    write_steps(results, folder)
    rows = [row for item in results.finished for row in tidy(item)]
    write_atomically(folder / "results.csv", to_csv(TIDY, rows))
    columns = _columns(results)
    header = ["label", "status", "seeds"]
    header += [f"{name}{end}" for name in columns for end in ENDS]
    lines = []
    for label in results.labels:
        ran = [item.record.ok for item in results.row(label)]
        status = _status(results, label) + (f" ({sum(ran)} of {len(ran)} seeds)" if 0 < sum(ran) < len(ran) else "")
        line: list[object] = [label, status, len(ran)]
        for name in columns:
            line += spelt(results.pooled(label, name))
        lines.append(line)
    path = folder / "leaderboard.csv"
    write_atomically(path, to_csv(header, lines))
    return path


def write_markdown(results: Results, folder: Path) -> Path:
    """`leaderboard.md`, and `leaderboard.svg` (of a stream also `stream.svg`) beside it, where the extra `html` is
    installed.
    """
    path = folder / "leaderboard.md"
    picture, curves = write_picture(results, folder), write_curves(results, folder)
    write_atomically(path, (markdown(results, picture, curves) + "\n").encode())
    return path


def markdown(results: Results, picture: Path | None = None, curves: Path | None = None) -> str:
    """The leaderboard as Markdown: verdicts, what was forgotten at what price, attacks, score, how to read it.

    Args:
        picture: Shown under the verdicts, if given; it lies beside the text.
        curves: Of a stream, shown with its steps.
    """
    parts = [f"# {plain(results.about['title'])}", facts(results), *verdict_lines(results)]
    if picture is not None:
        k = k_of(results)
        parts.append(
            f"![Every row by how much it forgot (as lists, scores and an attacker see it; dashed is gold) and ndcg@{k} "
            f"on what is retained; marks are larger the longer a method takes]({picture.name})"
        )
    parts += stream_section(results, curves)
    for section in sections(results):
        rows = _table(results, section)
        if section.title.startswith("Score, where the attacker can only ask"):
            parts += _attacks(results)
        if rows:
            parts.append(f"## {section.title}\n\n{rows}")
            parts += _comparison(results, section)
            parts += _worst(results, section)
    parts.append(_change_table(results))
    parts += [section.markdown() for section in under(results)]
    if results.about["columns"]:
        chosen = Section("Chosen columns", {name: name for name in results.about["columns"]})
        parts.append(f"## {chosen.title}\n\n{_table(results, chosen)}")
    failures = _failures(results)
    if failures:
        parts.append("## What failed\n\n" + failures)
    parts.append(HOW_TO_READ)
    for holds, text in (
        (results.own_based, OWN_BASES),
        (of_items(results), WITHDRAWN),
        (steps_of(results), STREAM),
    ):
        if holds:
            parts[-1] += f"\n{text}"
    return "\n\n".join(parts)


def _columns(results: Results) -> list[str]:
    names = [name for section in sections(results) for name in section.columns]
    names += [f"recovery:{name}/forget" for name in results.attempts]
    return list(dict.fromkeys([*names, *results.about["columns"]]))


def _table(results: Results, section: Section) -> str:
    """Competing rows first, then those that compete with nobody; empty where no row has any of the columns."""
    used = {n: t for n, t in section.columns.items() if any(results.pooled(label, n) for label in results.labels)}
    if not used:
        return ""
    rows = []
    for label in (*results.competing, *results.controls):
        failed = _status(results, label) != "ok"
        cells = ["—" if failed else cell(results, label, n, section.seeds(results, label, n)) for n in used]
        if any(cells):
            rows.append([display(results, label), *cells])
    return table(rows, ["", *used.values()])


def _comparison(results: Results, section: Section) -> list[str]:
    """Which rows differ from gold on each of the table's headlines, and what difference the board could have found."""
    texts = []
    for name in section.headlines:
        compared = against_gold(results, name)
        if not compared:
            if powerless(results, name):
                texts.append(
                    f"{section.columns.get(name, name)}: NO POWER on base, so rows are not compared with gold."
                )
            continue
        text = f"{section.columns.get(name, name)}, against gold, p adjusted for {len(compared)} rows (Holm)."
        text += _told_apart(compared)
        smallest = detectable(results, name)
        if smallest is not None:
            text += f" With these users a difference of {smallest:.4f} is found in 80 of 100 boards (one row, 5 %)."
        if apart := retrainings_apart(results, name):
            others = "; ".join(f"{c.label} ({_difference(c)})" for c in apart)
            text += f" Gold with another seed differs from it: {others}."
            text += " So what differs from gold alone, a seed may explain."
            if controlled := against_control(results, name):
                text += f" Against control:{_told_apart(controlled)}"
        texts.append(text)
    return texts


def _told_apart(compared: list[Compared]) -> str:
    differ = [f"{plain(c.label)} ({_difference(c)})" for c in compared if c.p < ALPHA]
    same = [f"{plain(c.label)} (p {_p(c.p)})" for c in compared if c.p >= ALPHA]
    text = f" Different: {'; '.join(differ)}." if differ else " No row differs."
    return text + (f" Not told apart: {'; '.join(same)}." if same and differ else "")


def _difference(c: Compared) -> str:
    return f"{value(c.difference.value, c.difference.interval)}, p {_p(c.p)}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _worst(results: Results, section: Section) -> list[str]:
    """On what each competing row's score rests: its best-telling and its worst attack."""
    name = next((n for n in section.columns if n.startswith("score_")), None)
    if name is None:
        return []
    lines = []
    for label in results.competing:
        pooled = results.pooled(label, name)
        # Seeds without attacks have no score and say so; where others have one, that is no news of the row.
        valued = pooled is not None and pooled.value is not None
        notes = [n for n in (pooled.notes if pooled else ()) if not (valued and n.startswith("UNDEFINED"))]
        if notes:
            lines.append(f"- {plain(label)}: {'; '.join(notes)}.")
    return ["\n".join(lines)] if lines else []


def _attacks(results: Results) -> list[str]:
    """Whether the attacks work, and what each attempt brought back of every competing row."""
    out = []
    controls = attack_controls(results)
    if controls:
        headings = list(dict.fromkeys(heading for checked in controls for heading in checked.values))
        rows = []
        for checked in controls:
            cells = [
                "" if (found := checked.values.get(heading)) is None else value(*found[:2]) + ("" if found[2] else " ✗")
                for heading in headings
            ]
            rows.append([checked.title, checked.expected, *cells])
        note = "✗: the interval is not where it should be. Of intervals that hold 95 %, one in twenty is not."
        out.append(f"## Do the attacks work?\n\n{table(rows, ['', 'expected', *headings])}\n\n{note}")
    if results.attempts:
        labels = [
            label
            for label in (*results.competing, "recheck")
            if label != results.label_of("retrain") and results.pooled(label, "recovery:none/forget")
        ]
        rows = [[a, *(cell(results, label, f"recovery:{a}/forget") for label in labels)] for a in results.attempts]
        out.append(
            "## What attacks bring back\n\n"
            + table(rows, ["recovery by", *(display(results, label) for label in labels)])
        )
    return out


def _change_table(results: Results) -> str:
    """As the published table shows it: base, unlearned, change in per cent."""
    base, k = results.label_of("do_nothing"), k_of(results)
    rows = []
    methods = [label for label in results.competing if label != base and _status(results, label) == "ok"]
    for view in ("retain", "forget", "neighbours"):
        for metric in (f"hit@{k}", f"ndcg@{k}"):
            before = results.pooled(base, f"{metric}/{view}") if base else None
            if before is None or before.value is None:
                continue
            row = [view, metric, f"{before.value:.4f}"]
            rows.append([*row, *(_changed(results, label, f"{metric}/{view}") for label in methods)])
    own = ", ".join(map(plain, results.own_based))
    note = f"\n\nOn `forget`, changes of {own} are against an own base, which the tables above show." if own else ""
    return f"## Change against base\n\n{table(rows, ['view', '', 'base', *map(plain, methods)])}{note}"


def _changed(results: Results, label: str, name: str) -> str:
    """A row's value and what it is of its base's, at the seeds at which both have one."""
    base = results.reference(label, "base", name)
    seeds = results.shared_seeds(name, label, base) if base else frozenset()
    found = [results.pooled(row, name, seeds) for row in (base, label) if row and seeds]
    if len(found) < 2 or any(p is None or p.value is None for p in found):
        return "—"
    before, after = (p.value for p in found if p is not None and p.value is not None)
    percent = f" ({100 * (after / before - 1):+.1f} %)" if before > 0 else ""
    return f"{after:.4f}{percent}{of_seeds(results, label, len(seeds))}"


def _status(results: Results, label: str) -> str:
    statuses = {item.record.outcome.status for item in results.row(label)}
    return "ok" if "ok" in statuses else ", ".join(sorted(statuses))


def _failures(results: Results) -> str:
    lines = []
    for item in results.every:
        if not item.record.ok:
            identity, outcome = item.record.identity, item.record.outcome
            step = "" if identity.step is None else f", step {identity.step}"
            lines.append(
                f"- {plain(identity.label)}, seed {identity.seed}{step}: {outcome.status}: {plain(outcome.message)}"
            )
    return "\n".join(lines)
