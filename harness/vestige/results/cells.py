"""How values are written in tables."""

from collections.abc import Sequence

from tabulate import tabulate

from vestige.results.pooling import Pooled, Results
from vestige.results.verdicts import powerless

Interval = tuple[float, float]


def table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """A Markdown table of texts; a bar in one ends no cell."""
    body, head = ([[_in_cell(text) for text in row] for row in part] for part in (rows, [headers]))
    return tabulate(body, headers=head[0], tablefmt="pipe", disable_numparse=True)


def _in_cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def plain(text: str) -> str:
    """A name or title as Markdown that shows it as it is, on one line."""
    return " ".join(text.split()).replace("<", "&lt;")


def display(results: Results, label: str) -> str:
    """The row's name in Markdown; rows that compete with nobody stand in italics."""
    return f"*{plain(label)}*" if results.is_control(label) else plain(named(results, label))


def named(results: Results, label: str) -> str:
    """The row's name as text: base and gold are said to be."""
    role = {results.label_of("do_nothing"): " (base)", results.label_of("retrain"): " (gold)"}.get(label, "")
    return label if results.is_control(label) else f"{label}{role}"


def cell(results: Results, label: str, name: str) -> str:
    """One measurement of one row, seeds pooled."""
    pooled = results.pooled(label, name)
    if pooled is None:
        return ""
    if pooled.value is None:
        return "UNDEFINED" if any(note.startswith("UNDEFINED") for note in pooled.notes) else "—"
    text = value(pooled.value, pooled.interval, pooled.unit)
    if pooled.seeds < len(results.row(label)):
        text += f" ({pooled.seeds} of {len(results.row(label))} seeds)"
    if powerless(results, name, label):
        text += " NO POWER"
    return text


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


def five(pooled: Pooled | None) -> list[object]:
    """Value, bounds, spread over seeds and notes, for `leaderboard.csv`."""
    if pooled is None:
        return [""] * 5
    low, high = pooled.interval if pooled.interval is not None else ("", "")
    number = "" if pooled.value is None else pooled.value
    return [number, low, high, "" if pooled.spread is None else pooled.spread, "; ".join(pooled.notes)]
