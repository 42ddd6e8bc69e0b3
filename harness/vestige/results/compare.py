"""Compares two sets of results, or two rows of one, on the measurements that the gate judges: paired differences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.errors import InputError, unknown
from vestige.pipeline.board import find
from vestige.results.cells import plain, table, value
from vestige.results.differences import noise_floor, shift_of
from vestige.results.gate import Floor, Shift
from vestige.results.sides import Basis, Side, read_side
from vestige.results.tolerances import gated

Pair = tuple[str, str]


@dataclass(frozen=True)
class Compared:
    """One measurement of two rows, B minus A.

    Attributes:
        rows: The labels of A and B.
        name, better, unit: Of the measurement.
        a, b: Means over the common seeds.
        shift: The difference.
        seeds: How many are common.
        counts: How many answers of users (one a user and seed) are better, worse and equal in B; None where there are
            no values of users, or no way is the better one.
        basis: What the interval was read from.
    """

    rows: Pair
    name: str
    better: str
    unit: str
    a: float
    b: float
    shift: Shift
    seeds: int
    counts: tuple[int, int, int] | None
    basis: Basis


def results_folder(name: str, out: Path) -> Path:
    """Where the results of a name lie: the folder itself, a board's fresh ones in `out`/<board>, or its accepted ones.

    Raises:
        InputError: There are none.
    """
    if (Path(name) / "records").is_dir():
        return Path(name)
    board = find(name)
    for folder in (out / board.resolve().name, board / "accepted"):
        if (folder / "records").is_dir():
            return folder
    raise InputError(f"{name}: the board has neither fresh results in {out} nor accepted ones; run it first.")


def compare(a: Path, b: Path) -> list[Compared]:
    """Every competing row that both have, B minus A.

    Raises:
        InputError: They cannot be compared; the sentence says why.
    """
    one, other = read_side(a), read_side(b)
    labels = [label for label in one.results.competing if label in other.results.competing]
    if not labels:
        raise InputError(
            f"{a} and {b} have no row in common: {', '.join(one.results.competing)} here, "
            f"{', '.join(other.results.competing)} there; name two rows of one board with --rows."
        )
    seeds = _common_seeds(one, other)
    return _nonempty(one, other, [(label, label) for label in labels], seeds)


def compare_rows(folder: Path, rows: Pair) -> list[Compared]:
    """Two rows of one set of results, the second minus the first.

    Raises:
        InputError: There is no such row, or they have nothing in common.
    """
    side = read_side(folder)
    for label in rows:
        if label not in side.results.labels:
            raise unknown("row", label, side.results.labels, str(folder))
    if rows[0] == rows[1]:
        raise InputError(f"--rows: {rows[0]!r} is compared with itself; name two rows.")
    return _nonempty(side, side, [rows], _common_seeds(side, side))


def _common_seeds(one: Side, other: Side) -> list[int]:
    """The seeds of both, at which both were asked about the same users."""
    keys = [{f.record.identity.seed: f.record.keys for f in side.results.finished} for side in (one, other)]
    common = sorted(keys[0].keys() & keys[1].keys())
    if not common:
        raise InputError(
            f"{one.folder} and {other.folder} have no seed in common: {sorted(keys[0])} here, {sorted(keys[1])} there."
        )
    for part, what in (("data", "other data"), ("split", "another request or holdout")):
        if any(keys[0][seed].get(part) != keys[1][seed].get(part) for seed in common):
            raise InputError(
                f"{one.folder} and {other.folder} cannot be compared: they are of {what}, so users cannot be paired."
            )
    return common


def _nonempty(one: Side, other: Side, pairs: Sequence[Pair], seeds: Sequence[int]) -> list[Compared]:
    found = list(_compared(one, other, pairs, seeds))
    if not found:
        raise InputError(f"{one.folder} and {other.folder} have no measurement in common that could be compared.")
    return found


def _compared(one: Side, other: Side, pairs: Sequence[Pair], seeds: Sequence[int]) -> Iterator[Compared]:
    names = [name for name in gated(one.results, {}) if name in gated(other.results, {})]
    for a, b in pairs:
        for name in names:
            common = sorted(one.seeds(a, name) & other.seeds(b, name) & set(seeds))
            if not common:
                continue
            found = one.find(a, name, common[0])
            assert found is not None
            first, second, basis = shift_of(one, other, a, None, name, common, b)
            better = found[1].better
            sources = min(first.sources, second.sources)
            floor = _floor(one, other, name, better, common)
            difference = Shift(second.values - first.values, second.errors - first.errors, sources, floor)
            known = all(Basis.USERS in s.bases(row, name, seed) for s, row in ((one, a), (other, b)) for seed in common)
            counts = _counts(one, other, (a, b), name, common, better) if known else None
            yield Compared(
                (a, b), name, better, found[1].unit, first.mean, second.mean, difference, len(common), counts, basis
            )


def _floor(one: Side, other: Side, name: str, better: str, seeds: Sequence[int]) -> Floor:
    """How far two trainings lie apart, one of each side; of a side that does not tell, as on the other."""
    first, second = (noise_floor(side, name, better, seeds) for side in (one, other))
    if first == second or not second.freedom:  # the same retrainings tell no more for standing on both sides
        return first.times(2)
    if not first.freedom:
        return second.times(2)
    return Floor(first.variance + second.variance, first.freedom + second.freedom)


def _counts(
    one: Side, other: Side, rows: Pair, name: str, seeds: Sequence[int], better: str
) -> tuple[int, int, int] | None:
    """Answers that are better, worse, equal in B: nearer to the target, where a target is meant."""
    gains = []
    for seed in seeds:
        sides = [_by_user(side, row, name, seed) for side, row in ((one, rows[0]), (other, rows[1]))]
        targets: list[dict[int, float]] = [{}, {}]
        if better == "gold":
            golds = [s.results.reference(row, "gold", name) for s, row in zip((one, other), rows, strict=True)]
            if not all(golds):
                return None
            targets = [_by_user(s, str(g), name, seed) for s, g in zip((one, other), golds, strict=True)]
        for user in sides[0].keys() & sides[1].keys():
            a, b = sides[0][user], sides[1][user]
            if better == "higher":
                gains.append(b - a)
            elif better == "lower":
                gains.append(a - b)
            elif better == "gold":
                ta, tb = (t.get(user) for t in targets)
                if ta is not None and tb is not None:
                    gains.append(abs(a - ta) - abs(b - tb))
            elif better != "none":
                gains.append(abs(a - float(better)) - abs(b - float(better)))
    signs = np.sign(np.round(gains, 9))
    return None if better == "none" else (int((signs > 0).sum()), int((signs < 0).sum()), int((signs == 0).sum()))


def _by_user(side: Side, label: str, name: str, seed: int) -> dict[int, float]:
    found = side.find(label, name, seed)
    of = side.per_user.get((found[0], name)) if found else None
    return {} if of is None else dict(zip(of.users.tolist(), of.values.tolist(), strict=True))


def markdown(found: Sequence[Compared]) -> str:
    """A table of paired differences."""
    rows = []
    for c in found:
        label = c.rows[0] if c.rows[0] == c.rows[1] else f"{c.rows[1]} − {c.rows[0]}"
        bounds = c.shift.interval if c.shift.error or c.shift.still else None
        counts = ["", "", ""] if c.counts is None else [str(count) for count in c.counts]
        unit = f" {c.unit}" if c.unit else ""
        rows.append(
            [
                plain(label),
                c.name + unit,
                c.better,
                f"{c.a:.4f}",
                f"{c.b:.4f}",
                value(c.shift.mean, bounds),
                *counts,
                c.basis,
            ]
        )
    headers = ["row", "measurement", "better", "A", "B", "B − A", "users better", "worse", "equal", "paired by"]
    return table(rows, headers)
