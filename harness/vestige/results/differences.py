"""Numbers of two rows, paired: of the same seeds and, where their values are kept, of the same users."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from vestige.results.gate import Floor, Shift, floor_of
from vestige.results.sides import Basis, Number, Side
from vestige.results.verdicts import CALIBRATED, RETRAININGS, SWAPPED

ORDER = (Basis.USERS, Basis.REPLICATES, Basis.INTERVALS, Basis.SEEDS)
"""The best first; the last is always there."""


def shift_of(
    one: Side,
    other: Side,
    label: str,
    minus: str | None,
    name: str,
    seeds: Sequence[int],
    other_label: str | None = None,
) -> tuple[Shift, Shift, Basis]:
    """A measurement of a row on both sides, with errors that can be subtracted from each other.

    Args:
        one, other: The sides; the same one twice where two of its rows are compared.
        label: The row; `other_label` is its counterpart on the other side, where that is another one.
        minus: A row that is subtracted on each side (gold), or None.
        name: `metric/view`.
        seeds: At which all of them have a value.

    Returns:
        Both numbers, and what their errors were read from: the best basis that all of them have.
    """
    rows = [(one, label, 0), (other, other_label or label, 2)]
    subtracted = [(one, minus, 1), (other, minus, 3)] if minus is not None else []
    every = [(side, row) for side, row, _ in (*rows, *subtracted)]
    basis = _best([(side, row, seed) for side, row in every for seed in seeds], name)
    sizes = [side.size(name, basis) for side in (one, other)]
    size = min(sizes) if basis is Basis.REPLICATES else max(sizes)

    def of(side: Side, row: str, slot: int) -> list[Number]:
        return [side.number(row, name, seed, basis, size, slot) for seed in seeds]

    numbers = [of(*row) for row in rows]
    golds: list[list[Number] | None] = [of(*row) for row in subtracted] if subtracted else [None, None]
    if basis is Basis.INTERVALS:
        numbers, golds = _shared(numbers), _shared(golds)
    first, second = (_shift(number, gold) for number, gold in zip(numbers, golds, strict=True))
    return first, second, basis


NumbersT = TypeVar("NumbersT", list[Number], list[Number] | None)


def _shared(sides: list[NumbersT]) -> list[NumbersT]:
    """The same values with the same intervals on both sides are the same numbers, whose errors cancel."""
    one, other = sides
    if one is None or other is None:
        return sides
    same = all(a.value == b.value and a.errors.sum() == b.errors.sum() for a, b in zip(one, other, strict=True))
    return [one, one] if same else sides


def noise_floor(side: Side, name: str, better: str, seeds: Sequence[int]) -> Floor:
    """How far retrainings lie apart on a measurement: control and recheck, which differ from gold by their seed alone.

    Gold itself is the third, except where its value is what it is by definition: where it is the target, and as the
    yardstick of recovery. Control is `streisand`'s yardstick, so there it is gold and recheck; and recheck that of
    calibration, so there it is gold and control.
    """
    gold = side.results.label_of("retrain")
    free: tuple[str | None, ...] = (*RETRAININGS, gold if better in ("higher", "lower") else None)
    if name.startswith("streisand/"):
        free = (gold, "recheck")
    elif CALIBRATED.match(name):
        free = (gold, "control")
    elif name.startswith("recovery"):
        free = RETRAININGS
    labels = [label for label in free if label and all(side.find(label, name, seed) for seed in seeds)]
    if len(labels) < 2:
        return Floor()
    basis = _best([(side, label, seed) for label in labels for seed in seeds], name)
    size = side.size(name, basis)
    rows = [[side.number(label, name, seed, basis, size, slot) for seed in seeds] for slot, label in enumerate(labels)]
    found = floor_of([_shift(numbers, None) for numbers in rows])
    return Floor(found.variance / _exaggerated(name, labels), found.freedom)


def _exaggerated(name: str, labels: Sequence[str]) -> float:
    """By how much retrainings that hang together lie farther apart (or less far) than independent ones."""
    if SWAPPED.match(name):  # each is one model's AUC here and another's there: g + c, c + r, r + g
        return 1.5 if "recheck" in labels else 2.0
    if name.startswith("recovery"):  # control stands at 0 whatever it brings back, so recheck alone tells of chance
        return 0.5
    return 1.0


def _best(numbers: Sequence[tuple[Side, str, int]], name: str) -> Basis:
    """The best that a measurement of all these sides, rows and seeds has.

    Users' values alone do not say how much of a mean over queries depends on whom: on few withdrawn items their error
    would be several times too small. So there replicates come first, where all have them.
    """
    common = frozenset.intersection(*(side.bases(label, name, seed) for side, label, seed in numbers))
    if {Basis.USERS, Basis.REPLICATES} <= common:
        plain = all(side.over_users(label, name, seed) for side, label, seed in numbers)
        common -= {Basis.REPLICATES if plain else Basis.USERS}
    return min(common, key=ORDER.index)


def _shift(numbers: list[Number], golds: list[Number] | None) -> Shift:
    values, errors = (np.asarray([getattr(n, part) for n in numbers]) for part in ("value", "errors"))
    if golds is not None:
        values = values - np.asarray([g.value for g in golds])
        errors = errors - np.asarray([g.errors for g in golds])
    return Shift(values, errors, min(n.sources for n in numbers))
