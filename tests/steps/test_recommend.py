"""Which items are named after a history."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vestige.data.sequences import sequences
from vestige.steps.recommend import best

ITEMS = 12


@given(
    st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=ITEMS + 3), min_size=1, max_size=5),
    st.integers(1, ITEMS + 2),
    st.integers(0, 1000),
)
def test_the_highest_that_are_not_in_the_history_ties_by_place(rows: list[list[int]], k: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(-3, 0, (len(rows), ITEMS)).astype(np.float32)  # many are equal
    before = scores.copy()
    items, found = best(scores, sequences(rows), k)
    assert (scores == before).all()
    for row, history in enumerate(rows):
        free = [item for item in range(ITEMS) if item not in history]
        expected = sorted(free, key=lambda item: (-scores[row, item], item))[:k]
        shown = np.isfinite(found[row])
        assert items[row][shown].tolist() == expected
        assert found[row][shown].tolist() == [scores[row, item] for item in expected]
