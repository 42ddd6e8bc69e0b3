"""What a stream of requests shows: every row after every step, and what it has cost by then."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from vestige.data.stream import FROM_BASE
from vestige.pipeline.own import OWN_ROWS
from vestige.pipeline.store import write_atomically
from vestige.results.cells import cell, display, of_seeds, plain, table
from vestige.results.pooling import Results
from vestige.results.sections import k_of
from vestige.results.tidy import TIDY, tidy, to_csv

TABLE = "stream.csv"

SECONDS, RATIO = "cumulative_seconds", "cumulative_cost_seconds"


def steps_of(results: Results) -> int:
    """How many requests follow one another; 0 where there is a single one."""
    return int(results.about.get("steps", 0))


def after(results: Results, step: int) -> Results:
    """The results after one step, as if they were a board's."""
    found = tuple(item for item in results.every if item.record.identity.step == step)
    return replace(results, finished=found, earlier=(), stated={})


@dataclass(frozen=True)
class Spent:
    """What a row has cost after a step of a seed: seconds of all steps so far, and times those of as many retrainings;
    None from the first step on of which gold's are not known.
    """

    label: str
    seed: int
    step: int
    seconds: float
    ratio: float | None


def spent(results: Results) -> Iterator[Spent]:
    """The cumulative cost of every row and seed, as far as it came; not of a base that a method trains itself."""
    gold = str(results.label_of("retrain"))
    seconds = {
        (identity.label, identity.seed, identity.step or 0): m.value
        for item in results.every
        for identity in [item.record.identity]
        if identity.row != OWN_ROWS["base"]  # trained once, and the same at every step
        and item.record.ok
        and (m := item.find("seconds")) is not None
        and m.value is not None
    }
    for label in results.labels:
        for seed in results.about["seeds"]:
            own, its = 0.0, 0.0
            known = True  # gold at every step so far
            for step in range(1, steps_of(results) + 1):
                now, golds = (seconds.get((row, seed, step)) for row in (label, gold))
                if now is None:
                    break
                known = known and golds is not None
                own, its = own + now, its + (golds or 0.0)
                yield Spent(label, seed, step, own, own / its if known and its else None)


def write_steps(results: Results, folder: Path) -> Path | None:
    """`stream.csv`, tidy as `results.csv` and with a column `step`; the cumulative cost stands among the measurements.

    None, and no file, where there is no stream.
    """
    path = folder / TABLE
    if not steps_of(results):
        path.unlink(missing_ok=True)
        return None
    at = TIDY.index("seed") + 1
    header = [*TIDY[:at], "step", *TIDY[at:]]
    costs = {(one.label, one.seed, one.step): one for one in spent(results)}
    rows = []
    for item in results.every:
        identity = item.record.identity
        found = tidy(item)
        one = costs.get((identity.label, identity.seed, identity.step or 0))
        if one is not None:
            head = found[0][: TIDY.index("metric")]
            found.append([*head, SECONDS, "", repr(one.seconds), "", "", "lower", ""])
            if one.ratio is not None:
                found.append([*head, RATIO, "", repr(one.ratio), "", "", "lower", ""])
        rows += [[*row[:at], identity.step, *row[at:]] for row in found]
    write_atomically(path, to_csv(header, rows))
    return path


def sentences(results: Results) -> str:
    """What a row of the board is, and which methods could not go on from where they stood; empty without a stream."""
    steps = steps_of(results)
    if not steps:
        return ""
    restarted = dict.fromkeys(
        item.record.identity.label
        for item in results.every
        if (item.record.identity.step or 0) > 1
        and item.record.outcome.notes.get("stream", {}).get("started from") == FROM_BASE
    )
    text = f"{steps} requests follow one another, and a row shows what is left after the last of them."
    if restarted:
        text += f" Begun again from base at every step, with all requests so far: {', '.join(map(plain, restarted))}."
    return text


def section(results: Results, picture: Path | None) -> list[str]:
    """The part of `leaderboard.md` about the steps; nothing without a stream."""
    steps = steps_of(results)
    if not steps:
        return []
    k = k_of(results)
    parts = [
        f"## Step by step\n\nAfter each step, against gold that was retrained without all requests so far; everything "
        f"measured stands in `{TABLE}`."
    ]
    if picture is not None:
        parts.append(
            f"![Forgetting of all requests so far and of the first one alone, utility, and cumulative cost, after each "
            f"step; grey is control]({picture.name})"
        )
    at = [after(results, step) for step in range(1, steps + 1)]
    for name, title in (
        (f"hit@{k}:vs_gold/forget", f"hit@{k} forget − gold"),
        (f"first_hit@{k}:vs_gold/forget", "the same of the first request alone"),
        (f"ndcg@{k}/retain", f"ndcg@{k} retain"),
    ):
        rows = [
            [display(results, label), *(cell(one, label, name) or "—" for one in at)]
            for label in (*results.competing, *results.controls)
            if any(one.pooled(label, name) for one in at)
        ]
        if rows:
            parts.append(table(rows, [title, *(f"step {step}" for step in range(1, steps + 1))]))
    costs = _costs(results, steps)
    return [*parts, costs] if costs else parts


def _costs(results: Results, steps: int) -> str:
    """What each row has cost by each step, as a multiple of as many retrainings; the mean over seeds."""
    found: dict[str, dict[int, list[float]]] = {}
    for one in spent(results):
        if one.ratio is not None:
            found.setdefault(one.label, {}).setdefault(one.step, []).append(one.ratio)
    rows = [
        [
            display(results, label),
            *(
                f"{fmean(at[n]):.3f}{of_seeds(results, label, len(at[n]))}" if n in at else "—"
                for n in range(1, steps + 1)
            ),
        ]
        for label, at in found.items()
    ]
    return table(rows, ["time of all steps so far", *(f"step {step}" for step in range(1, steps + 1))]) if rows else ""
