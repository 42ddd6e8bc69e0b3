"""Numbers of two rows, paired: of the same seeds and, where their values are kept, of the same users."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from vestige.results.gate import Floor, Shift, floor_of
from vestige.results.sides import Basis, Number, Side

ORDER = (Basis.USERS, Basis.REPLICATES, Basis.INTERVALS, Basis.SEEDS)


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
    basis = max((side.basis(row, name, seed) for side, row in every for seed in seeds), key=ORDER.index)
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

    Gold itself is the third, except where it is the target and its value is what it is by definition.
    """
    gold = side.results.label_of("retrain") if better in ("higher", "lower") else None
    labels = [label for label in ("control", "recheck", gold) if label]
    labels = [label for label in labels if all(side.find(label, name, seed) for seed in seeds)]
    if len(labels) < 2:
        return Floor()
    basis = max((side.basis(label, name, seed) for label in labels for seed in seeds), key=ORDER.index)
    size = side.size(name, basis)
    rows = [[side.number(label, name, seed, basis, size, slot) for seed in seeds] for slot, label in enumerate(labels)]
    return floor_of([_shift(numbers, None) for numbers in rows])


def _shift(numbers: list[Number], golds: list[Number] | None) -> Shift:
    values, errors = (np.asarray([getattr(n, part) for n in numbers]) for part in ("value", "errors"))
    if golds is not None:
        values = values - np.asarray([g.value for g in golds])
        errors = errors - np.asarray([g.errors for g in golds])
    return Shift(values, errors, min(n.sources for n in numbers))
