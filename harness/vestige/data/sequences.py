"""Many item sequences as flat arrays with offsets: no Python object per user."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sequences:
    """Rows of items, oldest first.

    Attributes:
        items: int32 [events], all rows one after another; an item is its position in the catalogue.
        offsets: int64 [rows + 1]; row r is `items[offsets[r]:offsets[r + 1]]`.
        users: int32 [rows], the user (position in the dataset) whom a row belongs to.
    """

    items: IntArray
    offsets: IntArray
    users: IntArray

    def __post_init__(self) -> None:
        for array in (self.items, self.offsets, self.users):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """int64 [rows]."""
        return np.diff(self.offsets)

    def row(self, index: int) -> IntArray:
        """The items of one row."""
        return self.items[self.offsets[index] : self.offsets[index + 1]]

    def slices(self, rows: IntArray, starts: IntArray, lengths: IntArray) -> "Sequences":
        """New rows: `lengths[i]` items of row `rows[i]` from its position `starts[i]` on, without a loop."""
        return Sequences(
            items=self.items[ragged(self.offsets[rows] + starts, lengths)],
            offsets=offsets_of(lengths),
            users=self.users[rows],
        )

    def take(self, rows: IntArray) -> "Sequences":
        """The given rows, in the given order."""
        rows = np.asarray(rows, dtype=np.int64)
        return self.slices(rows, np.zeros(len(rows), dtype=np.int64), self.lengths[rows])

    def anonymous(self) -> "Sequences":
        """The same rows, every user −1: a recommender is asked about histories, and must not know whose they are."""
        return Sequences(self.items, self.offsets, np.full(len(self), -1, dtype=np.int32))

    def tail(self, length: int) -> "Sequences":
        """Every row cut to its last `length` items."""
        kept = np.minimum(self.lengths, length)
        return self.slices(np.arange(len(self)), self.lengths - kept, kept)


def sequences(rows: Sequence[Sequence[int]], users: Sequence[int] | None = None) -> Sequences:
    """`Sequences` from lists, for tests and small inputs; users are 0, 1, … unless given."""
    flat = np.asarray([item for row in rows for item in row], dtype=np.int32)
    lengths = np.asarray([len(row) for row in rows], dtype=np.int64)
    owners = np.arange(len(rows)) if users is None else np.asarray(users)
    return Sequences(flat, offsets_of(lengths), owners.astype(np.int32))


def offsets_of(lengths: IntArray) -> IntArray:
    """int64 [rows + 1] from lengths [rows]."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def ragged(starts: IntArray, lengths: IntArray) -> IntArray:
    """The indices starts[i], …, starts[i] + lengths[i] − 1 of every row i, one after another."""
    offsets = offsets_of(lengths)
    return np.repeat(np.asarray(starts, dtype=np.int64) - offsets[:-1], lengths) + np.arange(offsets[-1])


def padded(rows: Sequences, width: int, fill: int, shift: int = 0) -> npt.NDArray[np.int64]:
    """int64 [rows, width]: every row's items plus `shift`, left-aligned, filled up with `fill`.

    Rows must not be longer than `width`.
    """
    out = np.full((len(rows), width), fill, dtype=np.int64)
    lengths = rows.lengths
    row_of = np.repeat(np.arange(len(rows)), lengths)
    out[row_of, np.arange(len(rows.items)) - np.repeat(rows.offsets[:-1], lengths)] = rows.items + shift
    return out
