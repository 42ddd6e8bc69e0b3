"""Reading, sorting and dropping: what comes out is what the rules say, whatever the order of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.data.interactions import from_columns
from vestige.errors import InputError

EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=80)


def build(events: list[tuple[int, int, int]], core: int = 0):
    table = np.asarray(events)
    return from_columns(table[:, 0], table[:, 1], None, table[:, 2], "test", core)


@given(EVENTS)
@settings(max_examples=150)
def test_sorted_stable_and_complete(events: list[tuple[int, int, int]]) -> None:
    kept = list(dict.fromkeys(events))
    by_user = {u: sorted((e for e in kept if e[0] == u), key=lambda e: e[2]) for u in {e[0] for e in kept}}
    expected = [e for u in sorted(by_user) if len(by_user[u]) >= 3 for e in by_user[u]]
    if not expected:
        with pytest.raises(InputError, match="no user has"):
            build(events)
        return
    data = build(events)
    got = [
        (int(data.user_ids[u]), int(data.item_ids[i]), int(t))
        for u, i, t in zip(data.user, data.item, data.timestamp, strict=True)
    ]
    assert got == expected
    assert data.notes["duplicate interactions dropped"] == len(events) - len(kept)
    assert data.notes["users with fewer than 3 interactions dropped"] == sum(len(v) < 3 for v in by_user.values())


def test_equal_timestamps_keep_the_order_of_rows() -> None:
    events = [(1, item, 5) for item in (7, 3, 9, 1)]
    assert [int(build(events).item_ids[i]) for i in build(events).item] == [7, 3, 9, 1]


@given(EVENTS)
@settings(max_examples=100)
def test_core_is_a_fixed_point(events: list[tuple[int, int, int]]) -> None:
    try:
        data = build(events, core=3)
    except InputError:
        return
    assert np.bincount(data.user).min() >= 3
    assert np.bincount(data.item).min() >= 3


def test_ids_are_ordered_by_value_and_not_by_arrival() -> None:
    users = np.asarray(["10", "9", "b"] * 3)
    items = np.asarray([str(i) for i in range(9)])
    data = from_columns(users, items, None, None, "test")
    assert data.user_ids.tolist() == ["9", "10", "b"]


def test_blanks_around_an_id_are_no_part_of_it() -> None:
    """As nobody could name such a user in a list of whom to forget."""
    users = np.asarray(["1", " 1", "1 ", "2", "2\t", "2"])
    data = from_columns(users, np.asarray(["a", "b", "c ", "b", "c", " a"]), None, None, "padded")
    assert (data.user_ids.tolist(), data.item_ids.tolist()) == (["1", "2"], ["a", "b", "c"])
    assert data.user.tolist() == [0, 0, 0, 1, 1, 1] and data.item.tolist() == [0, 1, 2, 1, 2, 0]
    plain = from_columns(np.asarray(["1"] * 3 + ["2"] * 3), np.asarray([*"abcbca"]), None, None, "plain")
    assert data.content_hash == plain.content_hash


def test_equal_content_has_an_equal_hash_and_other_content_another() -> None:
    events = [(u, i, i) for u in range(3) for i in range(4)]
    assert build(events).content_hash == build(events[::-1]).content_hash
    assert build(events).content_hash != build([*events, (0, 5, 9)]).content_hash


def test_fractions_of_a_second_keep_their_order_and_are_no_repeats() -> None:
    times = np.asarray([0.9, 0.5, 0.1, 0.3])
    data = from_columns(np.asarray(["u"] * 4), np.asarray(["a", "b", "a", "c"]), None, times, "made")
    assert data.item_ids[data.item].tolist() == ["a", "c", "b", "a"]
    assert data.timestamp.tolist() == [100_000, 300_000, 500_000, 900_000]
    whole = from_columns(np.asarray(["u"] * 4), np.asarray(["a", "b", "a", "c"]), None, times * 10, "made")
    assert whole.timestamp.tolist() == [1, 3, 5, 9]


@pytest.mark.parametrize("time", [1e300, float("inf"), float("nan")])
def test_what_is_no_time_is_one_sentence(time: float) -> None:
    with pytest.raises(InputError, match=r"made: the timestamp .* is no time"):
        from_columns(np.asarray(["u"] * 3), np.asarray(["a", "b", "c"]), None, np.asarray([1.0, 2.0, time]), "made")
