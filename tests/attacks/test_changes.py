"""Every change of a history does what its name says, whatever the rows are."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.data.sequences import Sequences, sequences
from vestige_metrics.attacks import changes

N_ITEMS = 12
ITEM = st.integers(0, N_ITEMS - 1)
QUERY = st.tuples(st.lists(ITEM, min_size=1, max_size=9), ITEM)
QUERIES = st.lists(QUERY, min_size=1, max_size=7)
SHARE = st.sampled_from([0.25, 0.5, 0.75])
SEED = st.integers(0, 5)


def asked(queries: list[tuple[list[int], int]]) -> tuple[Sequences, np.ndarray]:
    return sequences([history for history, _ in queries]), np.asarray([target for _, target in queries])


def lists(rows: Sequences) -> list[list[int]]:
    return [rows.row(i).tolist() for i in range(len(rows))]


def is_part_of(short: list[int], long: list[int]) -> bool:
    """Whether `short` comes from `long` by leaving items out."""
    rest = iter(long)
    return all(item in rest for item in short)


@given(QUERIES, SHARE, SEED)
def test_drop_keeps_a_share_in_order(queries, share: float, seed: int) -> None:
    own, _ = asked(queries)
    changed = changes.drop(own, share, np.random.default_rng(seed))
    for before, after in zip(lists(own), lists(changed), strict=True):
        assert is_part_of(after, before)
        assert len(after) >= 1 and abs(len(after) - len(before) * (1 - share)) <= 0.75
    assert changed.users.tolist() == own.users.tolist()


@given(QUERIES)
def test_swap_exchanges_neighbours_from_the_end(queries) -> None:
    own, _ = asked(queries)
    changed = changes.swap(own)
    for before, after in zip(lists(own), lists(changed), strict=True):
        expected = before[: len(before) % 2]
        for left, right in list(pairwise(before))[len(before) % 2 :: 2]:
            expected += [right, left]
        assert after == expected
    assert lists(changes.swap(changed)) == lists(own)


@given(QUERIES, SHARE, SEED)
def test_replaced_keeps_length_and_places(queries, share: float, seed: int) -> None:
    own, targets = asked(queries)
    pool = np.arange(N_ITEMS, N_ITEMS + 5)  # strangers, so that it shows which were replaced
    changed = changes.replaced(own, targets, pool, share, np.random.default_rng(seed))
    for before, after in zip(lists(own), lists(changed), strict=True):
        assert len(after) == len(before)
        new = [i for i, item in enumerate(after) if item >= N_ITEMS]
        assert len(new) == int(len(before) * share)
        assert all(after[i] == before[i] for i in range(len(before)) if i not in new)


@given(QUERIES, SHARE, SEED)
def test_decoys_stand_between_and_never_last(queries, share: float, seed: int) -> None:
    own, targets = asked(queries)
    pool = np.arange(N_ITEMS, N_ITEMS + 5)
    changed = changes.with_decoys(own, targets, pool, share, np.random.default_rng(seed))
    for before, after in zip(lists(own), lists(changed), strict=True):
        assert [item for item in after if item < N_ITEMS] == before
        assert len(after) - len(before) == int(np.ceil(len(before) * share))
        assert after[-1] == before[-1]


@given(QUERIES, QUERIES, SEED)
def test_concatenated_puts_another_user_in_front(queries, others, seed: int) -> None:
    own, targets = asked(queries)
    strangers = sequences([[], *(history for history, _ in others)], range(len(others) + 1))
    changed = changes.concatenated(own, targets, strangers, np.random.default_rng(seed))
    for row, (before, after) in enumerate(zip(lists(own), lists(changed), strict=True)):
        assert after[len(after) - len(before) :] == before
        possible = [
            [item for item in strangers.row(i).tolist() if item != targets[row]]
            for i in range(len(strangers))
            if strangers.users[i] != row
        ]
        assert after[: len(after) - len(before)] in possible


@given(QUERIES, SHARE, SEED)
def test_the_target_is_never_given_away(queries, share: float, seed: int) -> None:
    own, targets = asked(queries)
    pool = np.arange(N_ITEMS)
    others = sequences([list(range(N_ITEMS))] * 3, users=[100, 101, 102])
    rng = np.random.default_rng(seed)
    for changed in (
        changes.drop(own, share, rng),
        changes.swap(own),
        changes.replaced(own, targets, pool, share, rng),
        changes.replaced(own, targets, pool[:2], share, rng),
        changes.with_decoys(own, targets, pool, share, rng),
        changes.concatenated(own, targets, others, rng),
    ):
        assert len(changed) == len(own) and (changed.lengths > 0).all()
        for before, after, target in zip(lists(own), lists(changed), targets.tolist(), strict=True):
            assert Counter(after)[target] <= Counter(before)[target]


def test_chance_comes_from_the_seed_alone() -> None:
    own = sequences([list(range(10))] * 20)
    targets, pool = np.full(20, 11), np.arange(30)
    others = sequences([[i] for i in range(40)], users=range(100, 140))

    def all_of(seed: int) -> list[list[list[int]]]:
        return [
            lists(changes.drop(own, 0.5, np.random.default_rng(seed))),
            lists(changes.replaced(own, targets, pool, 0.5, np.random.default_rng(seed))),
            lists(changes.with_decoys(own, targets, pool, 0.5, np.random.default_rng(seed))),
            lists(changes.concatenated(own, targets, others, np.random.default_rng(seed))),
        ]

    assert all_of(1) == all_of(1)
    assert all(one != two for one, two in zip(all_of(1), all_of(2), strict=True))


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_every_item_is_as_likely_to_go(share: float) -> None:
    own = sequences([list(range(8))] * 4000)
    stay = np.bincount(changes.drop(own, share, np.random.default_rng(0)).items, minlength=8) / 4000
    assert stay == pytest.approx(np.full(8, 1 - share), abs=0.04)
