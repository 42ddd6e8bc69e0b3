"""Pools a row's seeds: the mean, the interval over users, and the spread over seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from vestige.errors import InputError
from vestige.measuring.statistics import Estimate, Floats, interval
from vestige.pipeline.own import OWN_ROWS, OWN_VIEWS, row_label
from vestige.results.records import Finished, Measured

FEWEST = 50
"""Replicates; of fewer a 95 % interval is two of them."""


@dataclass(frozen=True)
class Pooled:
    """A measurement of a row over its seeds.

    Attributes:
        value: Mean over the seeds that have one; None where none has.
        interval: 95 %, over users; None where there is none.
        spread: Standard deviation over seeds; None for one seed.
        seeds: How many seeds have a value.
        better: See `Measurement`.
        notes: The distinct notes.
        replicates: Of the mean; None where there are none.
    """

    value: float | None
    interval: tuple[float, float] | None
    spread: float | None
    seeds: int
    better: str
    unit: str
    notes: tuple[str, ...]
    replicates: Floats | None

    @property
    def estimate(self) -> Estimate | None:
        """For differences of rows, which are paired by user."""
        if self.value is None or self.replicates is None:
            return None
        return Estimate(self.value, self.replicates)


@dataclass(frozen=True)
class Results:
    """A board's results.

    Attributes:
        about: `board.json`.
        finished: All records; of a stream, those after its last step.
        replicates: By (cell, metric/view).
        earlier: The records after the other steps of a stream.
        stated: Intervals over all seeds by (label, metric/view), as a table states them for which all replicates were
            at hand.
    """

    about: Mapping[str, Any]
    finished: tuple[Finished, ...]
    replicates: Mapping[tuple[str, str], Floats]
    earlier: tuple[Finished, ...] = ()
    stated: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    @property
    def every(self) -> tuple[Finished, ...]:
        """All records, of all steps."""
        return (*self.earlier, *self.finished)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The rows, in the order of the board."""
        return tuple(self.about["labels"])

    def is_control(self, label: str) -> bool:
        """Whether a row competes with nobody: another retraining, the popularity list, a method made to be caught."""
        return any(item.record.identity.row != "method" for item in self.row(label))

    @cached_property
    def competing(self) -> tuple[str, ...]:
        """The rows that are compared, base and gold among them."""
        return tuple(label for label in self.labels if not self.is_control(label))

    @cached_property
    def controls(self) -> tuple[str, ...]:
        """The rows that compete with nobody."""
        return tuple(label for label in self.labels if self.is_control(label))

    @cached_property
    def attempts(self) -> tuple[str, ...]:
        """What was tried to bring forgotten items back; each was measured as `recovery:NAME`."""
        found = (m.metric for item in self.finished for m in item.measurements)
        return tuple(dict.fromkeys(name.removeprefix("recovery:") for name in found if name.startswith("recovery:")))

    @cached_property
    def _rows(self) -> dict[str, list[Finished]]:
        rows: dict[str, list[Finished]] = {}
        for item in sorted(self.finished, key=lambda item: item.record.identity.seed):
            rows.setdefault(item.record.identity.label, []).append(item)
        return rows

    def row(self, label: str) -> list[Finished]:
        """The cells of a row, by seed."""
        return self._rows.get(label, [])

    def label_of(self, method: str) -> str | None:
        """The row of a method by its plugin's name, if it stands on the board."""
        for item in self.finished:
            if item.record.identity.method is not None and item.record.identity.method.name == method:
                return item.record.identity.label
        return None

    def reference(self, label: str, role: Literal["base", "gold"], name: str) -> str | None:
        """The row that is base or gold to a row on `metric/view`, if there is one.

        Of a method that trains its own base it is the method's own, where training transitions are asked for.
        """
        own = row_label(label, role)
        if own in self._rows and name.rpartition("/")[2] in OWN_VIEWS:
            return own
        return self.label_of("do_nothing" if role == "base" else "retrain")

    def owner(self, label: str) -> str:
        """The row whose own base or gold a row is; any other row itself."""
        owners = {row_label(owner, role): owner for owner in self.labels for role in OWN_ROWS}
        return owners.get(label, label)

    @cached_property
    def own_based(self) -> tuple[str, ...]:
        """The rows whose method trains its own base."""
        return tuple(label for label in self.labels if row_label(label, "gold") in self._rows)

    def pooled(self, label: str, name: str, seeds: frozenset[int] | None = None) -> Pooled | None:
        """`metric/view` of a row over its seeds (or those given); None where the row has no such measurement."""
        key = label, name, seeds
        if key not in self._known:
            self._known[key] = self._pooled(label, name, seeds)
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[str, str, frozenset[int] | None], Pooled | None]:
        """What was pooled: tables, verdicts and pages ask for the same again and again."""
        return {}

    def _pooled(self, label: str, name: str, seeds: frozenset[int] | None) -> Pooled | None:
        cells = [
            (item, m)
            for item in self.row(label)
            if item.record.ok
            and (seeds is None or item.record.identity.seed in seeds)
            and (m := item.find(name)) is not None
        ]
        if not cells:
            return None
        first = cells[0][1]
        notes = tuple(dict.fromkeys(m.note for _, m in cells if m.note))
        valued = [(item, m) for item, m in cells if m.value is not None]
        if not valued:
            return Pooled(None, None, None, 0, first.better, first.unit, notes, None)
        values = np.asarray([m.value for _, m in valued], dtype=np.float64)
        found = [self.replicates.get((item.record.identity.cell, name)) for item, _ in valued]
        known = [r for r in found if r is not None]
        replicates = np.mean(known, axis=0) if len(known) == len(valued) else None
        return Pooled(
            value=float(values.mean()),
            interval=self._interval(label, name, valued, replicates, stated=seeds is None),
            spread=float(values.std(ddof=1)) if len(values) > 1 else None,
            seeds=len(values),
            better=first.better,
            unit=first.unit,
            notes=notes,
            replicates=replicates,
        )

    def _interval(
        self, label: str, name: str, valued: list[tuple[Finished, Measured]], replicates: Floats | None, stated: bool
    ) -> tuple[float, float] | None:
        if stated and (label, name) in self.stated:
            return self.stated[label, name]
        if replicates is None and len(valued) == 1:  # one seed's interval is that of its record
            return valued[0][1].interval
        return _of(replicates)

    def shared_seeds(self, name: str, *labels: str) -> frozenset[int]:
        """The seeds at which every one of the rows has a value."""
        valued = [
            {
                item.record.identity.seed
                for item in self.row(label)
                if item.record.ok and (m := item.find(name)) is not None and m.value is not None
            }
            for label in labels
        ]
        return frozenset(set.intersection(*valued))

    def difference(self, label: str, other: str, name: str) -> Estimate | None:
        """A row minus another on one measurement, paired by user, over the seeds at which both have a value."""
        seeds = self.shared_seeds(name, label, other)
        mine, its = (self.pooled(row, name, seeds) for row in (label, other))
        if mine is None or its is None or mine.estimate is None or its.estimate is None:
            return None
        return mine.estimate - its.estimate


def _of(replicates: Floats | None) -> tuple[float, float] | None:
    return None if replicates is None else interval(replicates)


def read_replicates(folder: Path) -> dict[tuple[str, str], Floats]:
    """`bootstrap.parquet` by (cell, metric/view); empty where there is none.

    Raises:
        InputError: It is no such table.
    """
    file = folder / "bootstrap.parquet"
    if not file.exists():
        return {}
    try:
        table = pq.read_table(file).combine_chunks()
        if not len(table):  # a board may measure nothing that has an interval
            return {}
        lists = table["replicates"].combine_chunks()
        lengths, flat = set(lists.value_lengths().to_pylist()), lists.flatten().to_numpy()
        names = zip(*(table[column].to_pylist() for column in ("cell", "metric", "view")), strict=True)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: cannot be read ({str(error).splitlines()[0]}).") from None
    if len(lengths) != 1 or None in lengths or min(lengths) < FEWEST or not np.isfinite(flat).all():
        raise InputError(f"{file}: every measurement must have as many replicates, {FEWEST} at least, and all finite.")
    values = flat.reshape(len(table), -1)
    return {
        (cell, f"{metric}/{view}" if view else metric): row
        for (cell, metric, view), row in zip(names, values, strict=True)
    }
