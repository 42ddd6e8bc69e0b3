"""How values are written in tables."""

import re
from collections.abc import Sequence

from tabulate import tabulate

from vestige.results.pooling import Pooled, Results
from vestige.results.verdicts import powerless

Interval = tuple[float, float]

MARKS = re.compile(r"[\\`*\[\]]|(?<!\w)_+|_+(?!\w)")
"""What Markdown would read as a mark of its own; not an underscore inside a word."""


def table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """A Markdown table of texts; a bar in one ends no cell."""
    body, head = ([[_in_cell(text) for text in row] for row in part] for part in (rows, [headers]))
    return tabulate(body, headers=head[0], tablefmt="pipe", disable_numparse=True)


def _in_cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def plain(text: str) -> str:
    """A name or title as Markdown that shows it as it is, on one line; `unmarked` gives it back."""
    line = MARKS.sub(lambda found: "".join(f"\\{c}" for c in found[0]), " ".join(text.split()))
    return re.sub(r"&(?=#?\w+;)", "&amp;", line).replace("<", "&lt;")


def unmarked(line: str) -> str:
    """A line of our Markdown as text: without bold and code, and names as they are."""
    bare = re.sub(r"\\(.)|\*\*|`", lambda found: found[1] or "", line)
    return bare.replace("&lt;", "<").replace("&amp;", "&")


def display(results: Results, label: str) -> str:
    """The row's name in Markdown; rows that compete with nobody stand in italics."""
    return f"*{plain(label)}*" if results.is_control(label) else plain(named(results, label))


def named(results: Results, label: str) -> str:
    """The row's name as text: base and gold are said to be."""
    role = {results.label_of("do_nothing"): " (base)", results.label_of("retrain"): " (gold)"}.get(label, "")
    return label if results.is_control(label) else f"{label}{role}"


def cell(results: Results, label: str, name: str, seeds: frozenset[int] | None = None) -> str:
    """One measurement of one row: all seeds pooled that have one, and said how many where some have none; or those
    given.
    """
    pooled = results.pooled(label, name, seeds)
    if pooled is None:
        return ""
    if pooled.value is None:
        return "UNDEFINED" if any(note.startswith("UNDEFINED") for note in pooled.notes) else "—"
    text = value(pooled.value, pooled.interval, pooled.unit)
    if seeds is None:
        text += of_seeds(results, label, pooled.seeds)
    if powerless(results, name, label):
        text += " NO POWER"
    return text


def of_seeds(results: Results, label: str, seeds: int) -> str:
    """Of how many of the row's seeds something is; empty where it is of all."""
    ran = len(results.row(label))
    return f" ({seeds} of {ran} seeds)" if seeds < ran else ""


def value(number: float, interval: Interval | None, unit: str = "") -> str:
    """A value with its interval, where it has one."""
    text = _number(number, unit)
    return text if interval is None else f"{text} [{_number(interval[0], unit)}, {_number(interval[1], unit)}]"


def _number(number: float, unit: str) -> str:
    if unit == "s":
        return f"{number:.1f}"
    if unit == "%":
        return f"{number:+.1f} %"
    if unit == "× retrain":
        return f"{number:.3f}"
    return f"{number:.4f}"


ENDS = ("", ":low", ":high", ":sd_over_seeds", ":seeds", ":note")
"""What stands behind a measurement's name in the columns of `leaderboard.csv`."""


def spelt(pooled: Pooled | None) -> list[object]:
    """Value, bounds, spread over seeds, number of seeds that have a value, notes: in the order of `ENDS`."""
    if pooled is None:
        return [""] * len(ENDS)
    low, high = pooled.interval if pooled.interval is not None else ("", "")
    number = "" if pooled.value is None else pooled.value
    spread = "" if pooled.spread is None else pooled.spread
    return [number, low, high, spread, pooled.seeds, "; ".join(pooled.notes)]
