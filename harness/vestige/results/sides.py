"""One side of a comparison: results with what is known about the error of every number.

A number's error is a vector of parts, its variance their sum of squares. Part i of every number comes from the same
source (one user, or one replicate of the bootstrap), so differences of numbers are paired by adding vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vestige.data.sequences import IntArray
from vestige.errors import InputError
from vestige.measuring.contract import PerUser
from vestige.measuring.statistics import Floats
from vestige.results.pooling import Results
from vestige.results.records import Measured
from vestige.results.render import read_results


class Basis(StrEnum):
    """What the error of a number is read from, the best first."""

    USERS = "users"
    """Every user's own value, paired user by user."""

    REPLICATES = "replicates"
    """Replicates of the bootstrap, in which a user weighs the same on both sides."""

    INTERVALS = "intervals"
    """Stated intervals, as if both sides and all rows were independent and all seeds the same: too wide of a
    difference. Of the sum that a distance to a target is tested by, too narrow where both sides err alike."""

    SEEDS = "seeds"
    """Nothing is known but how the seeds differ."""


@dataclass(frozen=True)
class Number:
    """A measurement of one row and seed.

    Attributes:
        value: Of the record.
        errors: float64 [sources]; see the module.
        sources: How many sources tell of the variance, for the degrees of freedom.
    """

    value: float
    errors: Floats
    sources: int


@dataclass(frozen=True)
class Side:
    """Results with the values of single users.

    Attributes:
        folder: Where they lie.
        per_user: By (cell, metric/view).
    """

    folder: Path
    results: Results
    per_user: Mapping[tuple[str, str], PerUser]

    def find(self, label: str, name: str, seed: int) -> tuple[str, Measured] | None:
        """A row's cell and measurement at a seed; None where it has no value."""
        for item in self.results.row(label):
            if item.record.identity.seed == seed and item.record.ok:
                m = item.find(name)
                return None if m is None or m.value is None else (item.record.identity.cell, m)
        return None

    def seeds(self, label: str, name: str) -> frozenset[int]:
        """The seeds at which a row has a value."""
        return self.results.shared_seeds(name, label)

    def bases(self, label: str, name: str, seed: int) -> frozenset[Basis]:
        """All that the error of a number can be read from."""
        cell, m = self._cell(label, name, seed)
        there = {
            Basis.USERS: (cell, name) in self.per_user,
            Basis.REPLICATES: (cell, name) in self.results.replicates,
            Basis.INTERVALS: m.interval is not None,
            Basis.SEEDS: True,
        }
        return frozenset(basis for basis, known in there.items() if known)

    def over_users(self, label: str, name: str, seed: int) -> bool:
        """Whether a number is the mean of its users' values, and not one over queries, of which some have more."""
        cell, m = self._cell(label, name, seed)
        of = self.per_user.get((cell, name))
        return of is not None and is_mean(m, of)

    def number(self, label: str, name: str, seed: int, basis: Basis, size: int, slot: int) -> Number:
        """A row's measurement at a seed.

        Args:
            basis: What its error is read from; it must be there.
            size: How many sources there are: users, or replicates.
            slot: Its own source, where intervals are taken as independent.
        """
        cell, m = self._cell(label, name, seed)
        assert m.value is not None
        if basis is Basis.USERS:
            of = self.per_user[cell, name]
            return Number(m.value, _of_users(of, size), len(of.users))
        errors = np.zeros(size)
        if basis is Basis.REPLICATES:
            replicates = self.results.replicates[cell, name][:size].astype(np.float64)
            errors = (replicates - replicates.mean()) / np.sqrt(size - 1)
        elif basis is Basis.INTERVALS and m.interval is not None:
            errors[slot] = (m.interval[1] - m.interval[0]) / 2 / NORMAL_95
        sources = {Basis.REPLICATES: size, Basis.INTERVALS: MANY, Basis.SEEDS: 1}[basis]
        return Number(m.value, errors, sources)

    def size(self, name: str, basis: Basis) -> int:
        """How many sources this side needs or has."""
        if basis is Basis.USERS:
            return 1 + max(int(of.users.max(initial=0)) for (_, other), of in self.per_user.items() if other == name)
        if basis is Basis.REPLICATES:
            return min(len(r) for (_, other), r in self.results.replicates.items() if other == name)
        return SLOTS

    def _cell(self, label: str, name: str, seed: int) -> tuple[str, Measured]:
        found = self.find(label, name, seed)
        assert found is not None, f"{label} has no {name} at seed {seed}"
        return found


MOST = 2**24
"""No dataset has so many users; the bootstrap has 1,000 numbers for each."""

ROUNDING = 1e-5
"""Values of single users are kept as float32."""


def is_mean(m: Measured, of: PerUser) -> bool:
    """Whether a value is the plain mean of its users' values, up to their rounding."""
    assert m.value is not None
    return abs(m.value - float(of.values.mean())) <= ROUNDING * max(1.0, float(np.abs(of.values).max()))


NORMAL_95 = 1.959963984540054
"""Half the width of a 95 % interval, in standard errors."""

SLOTS = 4
"""Two sides, and of each the row and gold."""

MANY = 10**6
"""Degrees of freedom of an interval that says nothing about its own."""


def _of_users(of: PerUser, size: int) -> Floats:
    """What each user adds to the error of the mean, [size] by position: the sandwich estimate of its variance."""
    n = len(of.users)
    errors = np.zeros(size)
    if n > 1:
        errors[of.users] = (of.values - of.values.mean()) / np.sqrt(n * (n - 1))
    return errors


def read_side(folder: Path) -> Side:
    """The results in `folder` with the values of their users, of which there are none where every cell failed.

    Raises:
        InputError: There are none, or they cannot be read.
    """
    results = read_results(folder)
    measured = any(item.record.ok for item in results.finished)
    return Side(folder, results, read_per_user(folder) if measured else {})


def read_per_user(folder: Path) -> dict[tuple[str, str], PerUser]:
    """`per_user.parquet` by (cell, metric/view).

    Raises:
        InputError: It is missing or no such table.
    """
    file = folder / "per_user.parquet"
    try:
        read = pq.read_table(file, columns=["cell", "metric", "view", "user", "value"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file}: cannot be read ({str(error).splitlines()[0]}).") from None
    types = {name: read.schema.field(name).type for name in ("user", "value")}
    if not pa.types.is_integer(types["user"]) or not pa.types.is_floating(types["value"]):
        raise InputError(
            f"{file}: users must be whole numbers, and values numbers, not {types['user']} and {types['value']}."
        )
    if any(read[name].null_count for name in read.column_names):
        raise InputError(f"{file}: a field is missing; a user without a value has no line.")
    table = read.to_pandas()
    if not np.isfinite(table["value"].to_numpy()).all():
        raise InputError(f"{file}: a value is not finite; a user without a value has no line.")
    if not table["user"].between(0, MOST).all():
        raise InputError(
            f"{file}: users must be row numbers from 0 on, not {table['user'].min()} or {table['user'].max()}."
        )
    out: dict[tuple[str, str], PerUser] = {}
    for (cell, metric, view), rows in table.groupby(["cell", "metric", "view"], observed=True, sort=False):
        users: IntArray = rows["user"].to_numpy()
        out[str(cell), f"{metric}/{view}" if view else str(metric)] = PerUser(
            users, rows["value"].to_numpy().astype(np.float64)
        )
    return out
