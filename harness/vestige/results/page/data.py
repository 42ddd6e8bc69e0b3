"""What the page shows, as plain data: the tables' cells, the records behind them, the users' values."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from vestige.errors import InputError
from vestige.results.cells import cell
from vestige.results.page.charts import COSTS, methods, plain
from vestige.results.page.explain import explain
from vestige.results.pooling import Results
from vestige.results.records import Finished
from vestige.results.sections import Section, k_of, sections
from vestige.results.verdicts import ALPHA, about_few, against_best, against_gold, powerless

QUANTILES = 100
"""Steps of a cumulative distribution."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: `metric/view`.
        group: The number of its section.
        part: Whether it is a part of its section's `whole`.
        better: What is better, in words.
    """

    name: str
    title: str
    group: int
    part: bool
    better: str
    meaning: str


@dataclass(frozen=True)
class Cell:
    """What stands in the table.

    Attributes:
        text: The value with its interval.
        order: What it is sorted by; None where there is no value.
        gold, best: In words, where it differs significantly from gold, or from the best method.
        is_best: Whether it is the best method's.
    """

    text: str
    order: float | None
    gold: str = ""
    best: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Row:
    """A row of the table; `control` competes with nobody."""

    label: str
    role: str
    control: bool
    cells: tuple[Cell, ...]


BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "gold": "as gold has it",
    "none": "no direction is better",
}


def groups(results: Results) -> list[str]:
    """The titles of the sections that have a column, in order; `Column.group` counts them."""
    return [section.title for section in _used(results)]


def columns(results: Results) -> list[Column]:
    """All columns of all sections; one that stands in two sections stands in both."""
    out = []
    for number, section in enumerate(_used(results)):
        for name, title in section.columns.items():
            found = [p for label in results.labels if (p := results.pooled(label, name)) is not None]
            if found:
                better = BETTER.get(found[0].better, f"nearer to {found[0].better} is better")
                part = section.whole not in ("", name)
                out.append(Column(name, title, number, part, better, explain(name)))
    return out


def uncompared(results: Results, shown: list[Column]) -> list[str]:
    """Titles of the columns whose rows have intervals and yet cannot be compared: accepted results do not keep what
    that would take. Where there is no gold, or too few are asked about, no result keeps it, and none is named.
    """
    out = []
    for column in shown if results.label_of("retrain") else ():
        if column.part or about_few(results, column.name):
            continue
        labels = [label for label in results.competing if not powerless(results, column.name, label)]
        found = [results.pooled(label, column.name) for label in labels]
        if sum(p is not None and p.interval is not None for p in found) > 1 and not against_gold(results, column.name):
            out.append(column.title)
    return list(dict.fromkeys(out))


def rows(results: Results, shown: list[Column]) -> list[Row]:
    """All rows, those that compete with nobody last.

    What a score is made of is shown of the seeds that have one, so no comparison over all seeds stands beside it.
    """
    base, gold = results.label_of("do_nothing"), results.label_of("retrain")
    marks = {name: _marks(results, name) for name in dict.fromkeys(column.name for column in shown)}
    out = []
    used = list(_used(results))
    for label in (*results.competing, *results.controls):
        cells = []
        for column in shown:
            of = used[column.group].seeds(results, label, column.name)
            pooled = results.pooled(label, column.name, of)
            order = pooled.value if pooled is not None else None
            mark = ("", "", False) if column.part else marks[column.name].get(label, ("", "", False))
            cells.append(Cell(cell(results, label, column.name, of), order, *mark))
        role = {base: "base", gold: "gold"}.get(label, "")
        out.append(Row(label, role, results.is_control(label), tuple(cells)))
    return out


def records(results: Results) -> dict[str, Any]:
    """Everything that is known of each row, by label."""
    return {label: [_record(item) for item in results.row(label)] for label in results.labels}


def users(results: Results, folder: Path) -> dict[str, Any]:
    """Cumulative distributions over users, seeds together: by measurement and row, `QUANTILES` + 1 values each."""
    file = folder / "per_user.parquet"
    if not file.exists():
        return {}
    k = k_of(results)
    wanted = {
        f"hit@{k}/forget": f"hit@{k} on what must be forgotten, by user",
        f"ndcg@{k}/forget": f"ndcg@{k} on what must be forgotten, by user",
        "distance/forget": "distance to gold, in nats",
        "shift/forget": "score minus gold's, in nats (below 0: suppressed)",
        f"hit@{k}/retain": f"hit@{k} of those who stay",
    }
    try:
        table = pq.read_table(file).to_pandas()
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({str(error).splitlines()[0]}).") from None
    table["name"] = table["metric"].astype(str) + "/" + table["view"].astype(str)
    cells = {item.record.identity.cell: item.record.identity.label for item in results.finished}
    table["label"] = table["cell"].astype(str).map(cells)
    asked = {results.label_of("do_nothing"), results.label_of("retrain"), *methods(results)}
    table = table[table["name"].isin(wanted) & table["label"].isin(asked)]
    out: dict[str, Any] = {}
    shares = np.linspace(0, 1, QUANTILES + 1)
    for (name, label), values in table.groupby(["name", "label"], sort=False)["value"]:
        found = out.setdefault(name, {"title": wanted[name], "rows": {}})
        quantiles = np.quantile(values.to_numpy(np.float64), shares, method="inverted_cdf")
        found["rows"][plain(results, label)] = [float(f"{v:.5g}") for v in quantiles]
    return {name: out[name] for name in wanted if name in out}


def costs(results: Results) -> list[str]:
    """The names of the costs that plots show and the board knows."""
    return [name for name in COSTS if any(results.pooled(label, name) for label in results.labels)]


def _used(results: Results) -> Iterator[Section]:
    for section in sections(results):
        if any(results.pooled(label, name) for name in section.columns for label in results.labels):
            yield section


def _marks(results: Results, name: str) -> Mapping[str, tuple[str, str, bool]]:
    """By label: against gold, against the best method, and whether it is the best method."""
    gold = {c.label: _said("gold", c.difference.value, c.p) for c in against_gold(results, name) if c.p < ALPHA}
    best, compared = against_best(results, name)
    worse = {c.label: _said(f"the best method, {best}", c.difference.value, c.p) for c in compared if c.p < ALPHA}
    return {label: (gold.get(label, ""), worse.get(label, ""), label == best) for label in results.competing}


def _said(other: str, difference: float, p: float) -> str:
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"differs from {other}: {difference:+.4f} ({shown}, Holm)"


def _record(item: Finished) -> dict[str, Any]:
    record, run = item.record, item.run
    identity, outcome = record.identity, record.outcome
    plugins = {"dataset": identity.dataset, "recommender": identity.recommender, "method": identity.method}
    return {
        "cell": identity.cell,
        "seed": identity.seed,
        "status": outcome.status,
        "message": outcome.message,
        "measurements": [_measured(m) for m in item.measurements],
        "notes": outcome.notes,
        "plugins": {kind: _plugin(asdict_of(plugin)) for kind, plugin in plugins.items() if plugin is not None},
        "request": identity.request,
        "holdout": identity.holdout,
        "keys": record.keys,
        "provenance": run.provenance,
    }


def _measured(m: Any) -> list[Any]:
    low, high = m.interval if m.interval is not None else (None, None)
    return [m.name, _short(m.value), _short(low), _short(high), m.unit, m.note]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def asdict_of(plugin: Any) -> dict[str, Any]:
    """A plugin as it was used."""
    return dict(plugin.model_dump())


def _plugin(found: dict[str, Any]) -> dict[str, Any]:
    head = f"{found['name']} {found['version']} ({found['distribution']} {found['distribution_version']})"
    return {"plugin": head, **found["config"]}


def payload(results: Results, folder: Path, shown: list[Column], table: list[Row]) -> dict[str, Any]:
    """What the page's script works on."""
    return {
        "columns": [asdict(column) for column in shown],
        "records": records(results),
        "users": users(results, folder),
        "methods": [plain(results, label) for label in methods(results)],
        "references": [
            plain(results, label) for label in (results.label_of("do_nothing"), results.label_of("retrain")) if label
        ],
        "rows": [row.label for row in table],
    }
