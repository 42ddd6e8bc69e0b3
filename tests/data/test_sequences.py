"""Flat sequences behave as lists of lists do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.data.sequences import Sequences, padded, sequences

ROWS = st.lists(st.lists(st.integers(0, 50), max_size=8), min_size=1, max_size=8)


def lists(rows: Sequences) -> list[list[int]]:
    return [rows.row(i).tolist() for i in range(len(rows))]


@given(ROWS)
def test_rows_come_back(rows: list[list[int]]) -> None:
    assert lists(sequences(rows)) == rows


@given(ROWS, st.data())
def test_take_is_list_indexing(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    taken = sequences(rows).take(np.asarray(chosen, dtype=np.int64))
    assert lists(taken) == [rows[i] for i in chosen]
    assert taken.users.tolist() == chosen


@given(ROWS, st.integers(0, 5))
def test_tail_is_list_slicing(rows: list[list[int]], length: int) -> None:
    assert lists(sequences(rows).tail(length)) == [row[len(row) - min(length, len(row)) :] for row in rows]


@given(ROWS)
def test_padding_keeps_every_item(rows: list[list[int]]) -> None:
    width = max(len(row) for row in rows) + 1
    out = padded(sequences(rows), width, -1, shift=100)
    assert [[int(x) - 100 for x in line if x != -1] for line in out] == rows


def test_arrays_cannot_be_changed() -> None:
    rows = sequences([[1, 2], [3]])
    with pytest.raises(ValueError, match="read-only"):
        rows.items[0] = 9
