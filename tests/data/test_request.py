"""R, F and T are what the design says, for every selector and seed."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import world
from vestige.data.interactions import Interactions, from_columns
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, hold_out, training, training_counts
from vestige.errors import InputError

DATA = world()
LAST = HoldoutConfig()


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 25),
    select=st.sampled_from(["random", "longest", "shortest", "popular", "unpopular"]),
)
@settings(max_examples=60)
def test_users_are_parted(seed: int, count: int, select: str) -> None:
    split = draw(DATA, RequestConfig(count=count, select=select), LAST, seed)  # type: ignore[arg-type]
    f, t, r = (set(u.tolist()) for u in (split.forget_users, split.unseen_users, split.retained_users))
    assert len(f) == len(t) == count
    assert not f & t and not f & r and not t & r
    assert f | t | r == set(range(DATA.n_users))
    for role in ([Part.RETAINED], [Part.RETAINED, Part.FORGET], [Part.RETAINED, Part.UNSEEN]):
        trained = training(DATA, split, role)
        assert (set(trained.users.tolist()) & t == set()) == (Part.UNSEEN not in role)
        assert (set(trained.users.tolist()) & f == set()) == (Part.FORGET not in role)


@given(seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_nobody_trains_on_the_last_two_items(seed: int) -> None:
    split = draw(DATA, RequestConfig(count=10), LAST, seed)
    everything = training(DATA, split, [Part.RETAINED, Part.FORGET, Part.UNSEEN])
    for row, user in enumerate(everything.users):
        mine = DATA.item[DATA.offsets[user] : DATA.offsets[user + 1]]
        assert everything.row(row).tolist() == mine[:-2].tolist()


def test_the_coin_is_fair_and_pairs_are_alike() -> None:
    lengths = training_counts(DATA, hold_out(DATA, LAST))
    firsts = []
    for seed in range(400):
        split = draw(DATA, RequestConfig(count=10, select="longest"), LAST, seed)
        gaps = lengths[split.forget_users] - lengths[split.unseen_users]
        assert np.abs(gaps).max() <= 2
        firsts.append(np.sign(gaps).sum())
    # Whoever of a pair is longer must be forgotten as often as not: the mean is within four standard errors of 0.
    assert abs(np.mean(firsts)) < 4 * np.std(firsts) / np.sqrt(len(firsts))


def test_longest_takes_the_longest() -> None:
    lengths = training_counts(DATA, hold_out(DATA, LAST))
    split = draw(DATA, RequestConfig(count=5, select="longest"), LAST, 3)
    pool = np.concatenate([split.forget_users, split.unseen_users])
    assert lengths[pool].min() >= np.sort(lengths)[-10]


@given(
    seed=st.integers(0, 1000), percent=st.sampled_from([5.0, 10.0, 25.0]), select=st.sampled_from(["latest", "random"])
)
@settings(max_examples=40)
def test_interactions_come_in_adjacent_pairs(seed: int, percent: float, select: str) -> None:
    request = RequestConfig(kind="interactions", count=10, percent=percent, select=select)  # type: ignore[arg-type]
    split = draw(DATA, request, LAST, seed)
    forget, unseen = (np.flatnonzero(split.part == part) for part in (Part.FORGET, Part.UNSEEN))
    assert len(forget) == len(unseen)
    assert (np.abs(forget - unseen) == 1).all()
    assert (DATA.user[forget] == DATA.user[unseen]).all()
    assert set(DATA.user[forget].tolist()) == set(split.forget_users.tolist())
    if select == "latest":
        for user in split.forget_users:
            mine = np.flatnonzero((DATA.user == user) & (split.part != Part.RETAINED) & (split.part <= Part.UNSEEN))
            assert mine[-1] == DATA.offsets[user + 1] - 3


def test_equal_seeds_equal_splits_and_other_seeds_others() -> None:
    one, same, other = (draw(DATA, RequestConfig(count=10), LAST, seed) for seed in (1, 1, 2))
    assert one.forget_users.tolist() == same.forget_users.tolist()
    assert one.forget_users.tolist() != other.forget_users.tolist()


def test_temporal_holdout_trains_on_nothing_late() -> None:
    rng = np.random.default_rng(0)
    from vestige.data.interactions import from_columns

    users = np.repeat(np.arange(30), 10)
    data = from_columns(users, rng.integers(0, 50, 300), None, rng.integers(0, 10_000, 300), "test")
    part = hold_out(data, HoldoutConfig(rule="temporal", share=0.2))
    latest_training = data.timestamp[part == Part.RETAINED].max()
    assert (data.timestamp[part == Part.TEST] > latest_training).all()
    tests = np.bincount(data.user[part == Part.TEST], minlength=data.n_users)
    assert tests.max() == 1


def test_a_list_is_obeyed_and_matched(tmp_path: Path) -> None:
    file = tmp_path / "forget.txt"
    file.write_text("3\n17\n\n5\n")
    split = draw(DATA, RequestConfig(file=str(file)), LAST, 0)
    assert DATA.user_ids[split.forget_users].tolist() == ["3", "5", "17"]
    assert not split.exchangeable
    assert len(split.unseen_users) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "empty"), ("3\nnobody\n", "line 2: user 'nobody'"), ("\n".join(map(str, range(40))), "takes 80")],
)
def test_a_bad_list_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "forget.txt"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        draw(DATA, RequestConfig(file=str(file)), LAST, 0)


def test_a_file_of_interactions(tmp_path: Path) -> None:
    event = DATA.offsets[4] + 6
    file = tmp_path / "forget.tsv"
    file.write_text(f"{DATA.user_ids[4]}\t{DATA.item_ids[DATA.item[event]]}\n")
    split = draw(DATA, RequestConfig(kind="interactions", file=str(file)), LAST, 0)
    assert np.flatnonzero(split.part == Part.FORGET).tolist() == [event]
    assert np.flatnonzero(split.part == Part.UNSEEN).tolist() == [event - 1]
    held_out = DATA.offsets[5] - 1
    file.write_text(f"{DATA.user_ids[4]}\t{DATA.item_ids[DATA.item[held_out]]}\n")
    with pytest.raises(InputError, match="held out"):
        draw(DATA, RequestConfig(kind="interactions", file=str(file)), LAST, 0)


def test_an_item_had_twice_is_forgotten_twice_and_an_unaskable_request_is_empty(tmp_path: Path) -> None:
    from vestige.data.interactions import from_columns

    items = np.asarray([7, 2, 9, 7, 3, 4, 7] + [1, 2, 3, 4, 5, 6, 8] * 4)
    data = from_columns(np.repeat(np.arange(5), 7), items, None, None, "test")
    file = tmp_path / "forget.tsv"
    file.write_text("0\t7\n")
    split = draw(data, RequestConfig(kind="interactions", file=str(file)), LAST, 0)
    assert np.flatnonzero(split.part == Part.FORGET).tolist() == [0, 3]
    file.write_text("1\t1\n")  # a first item has no history, so nobody can be asked about it
    with pytest.raises(InputError, match="the request is empty"):
        draw(data, RequestConfig(kind="interactions", file=str(file)), LAST, 0)


def twins(lengths: list[int], of_each: int = 2) -> Interactions:
    """Users in whose histories no item stands twice; `of_each` of every length, one after another."""
    sizes = np.repeat(lengths, of_each)
    items = np.concatenate([np.arange(size) for size in sizes])
    return from_columns(np.repeat(np.arange(len(sizes)), sizes), items, None, np.arange(len(items)), "test")


def listing(file: Path, data: Interactions, events: Iterable[int]) -> RequestConfig:
    file.write_text("".join(f"{data.user_ids[data.user[e]]}\t{data.item_ids[data.item[e]]}\n" for e in events))
    return RequestConfig(kind="interactions", file=str(file))


@given(seed=st.integers(0, 1000), listed=st.sets(st.integers(0, DATA.n_users - 1), min_size=1, max_size=12))
@settings(max_examples=40)
def test_another_list_of_users_stands_in_for_a_list(
    tmp_path_factory: pytest.TempPathFactory, seed: int, listed: set[int]
) -> None:
    """It is what settings are chosen on, so nobody of the board's F or T is in it: all models know them."""
    file = tmp_path_factory.mktemp("listed") / "forget.txt"
    file.write_text("".join(f"{DATA.user_ids[user]}\n" for user in listed))
    request = RequestConfig(file=str(file))
    board = [draw(DATA, request, LAST, of) for of in (0, 1)]
    split = draw(DATA, request, LAST, seed, stand_in_for=(0, 1))
    forget, unseen = set(split.forget_users.tolist()), set(split.unseen_users.tolist())
    assert len(forget) == len(unseen) == len(listed) and not forget & unseen
    for one in board:
        judged = {*one.forget_users.tolist(), *one.unseen_users.tolist()}
        assert listed <= judged <= set(split.retained_users.tolist())
    assert not split.exchangeable
    again = draw(DATA, request, LAST, seed, stand_in_for=(0, 1))
    assert again.part.tolist() == split.part.tolist()


def test_users_who_stand_in_are_of_like_size(tmp_path: Path) -> None:
    data = twins([10, 20, 40, 80], of_each=4)  # the list, T, what stands in for the list, and its T
    file = tmp_path / "forget.txt"
    file.write_text("4\n12\n")
    split = draw(data, RequestConfig(file=str(file)), LAST, 5, stand_in_for=(0,))
    assert {user // 4 for user in split.forget_users.tolist()} == {1, 3}


@pytest.mark.parametrize("holdout", [LAST, HoldoutConfig(rule="temporal", share=0.1)])
@pytest.mark.parametrize("missing", ["error", "drop"])
def test_interactions_that_stand_in_are_as_far_from_the_end_of_the_others_training(
    tmp_path: Path, holdout: HoldoutConfig, missing: str
) -> None:
    data = twins([12, 20, 40, 80])
    lengths = training_counts(data, hold_out(data, holdout))
    after = {0: [1, 4], 2: [2], 6: [3, 5, 6]}  # of the first of each two, from the end of training
    events = [int(data.offsets[user] + lengths[user] - rank) for user, ranks in after.items() for rank in ranks]
    request = listing(tmp_path / "forget.tsv", data, events).model_copy(update={"missing": missing})
    for seed in range(5):
        split = draw(data, request, holdout, seed, stand_in_for=(0,))
        forgotten = split.events(Part.FORGET)
        assert split.forget_users.tolist() == [1, 3, 7] and split.asked_as_trained
        for user, ranks in after.items():
            twin = forgotten[data.user[forgotten] == user + 1]
            assert sorted((data.offsets[user + 1] + lengths[user + 1] - twin).tolist()) == ranks
        assert set(data.user[split.events(Part.UNSEEN)].tolist()) <= {1, 3, 7}
        assert split.notes["interactions of the list that it stands in for"] == len(events)


def test_what_no_other_history_reaches_back_to_is_left_out_and_counted(tmp_path: Path) -> None:
    users = np.repeat([0, 1, 2, 3], [12, 4, 4, 4])
    data = from_columns(users, np.concatenate([np.arange(12), *[np.arange(4)] * 3]), None, None, "test")
    # The two latest in training, the latter of which is the other's first, and one too far back.
    split = draw(data, listing(tmp_path / "forget.tsv", data, [9, 8, 3]), LAST, 0, stand_in_for=(0,))
    (other,) = split.forget_users.tolist()
    assert other != 0 and (split.events(Part.FORGET) - data.offsets[other]).tolist() == [0, 1]
    assert (
        split.notes["forgotten interactions"] == 2
        and split.notes["interactions of the list that it stands in for"] == 3
    )
    with pytest.raises(InputError, match=r"forget\.tsv: in a study another list .* no other history reaches as far"):
        draw(data, listing(tmp_path / "forget.tsv", data, [1, 2]), LAST, 0, stand_in_for=(0,))


def test_an_item_that_the_other_had_twice_is_forgotten_twice(tmp_path: Path) -> None:
    had = [[1, 2, 3, 4, 5, 6, 7, 8], [9] * 8, [1, 2, 3, 4], [1, 2, 3, 4]]
    data = from_columns(np.repeat(range(4), list(map(len, had))), np.concatenate(had), None, None, "test")
    split = draw(data, listing(tmp_path / "forget.tsv", data, [5]), LAST, 0, stand_in_for=(0,))
    assert split.events(Part.FORGET).tolist() == [8, 9, 10, 11, 12, 13]  # all of training


def test_where_too_few_are_left_to_stand_in_it_is_said(tmp_path: Path) -> None:
    file = tmp_path / "forget.txt"
    file.write_text("".join(f"{user}\n" for user in DATA.user_ids[: DATA.n_users // 2 - 1].tolist()))
    draw(DATA, RequestConfig(file=str(file)), LAST, 0)
    with pytest.raises(InputError, match=r"forget\.txt: in a study another list .* too few other users are left"):
        draw(DATA, RequestConfig(file=str(file)), LAST, 0, stand_in_for=(0,))


def test_more_users_than_there_are() -> None:
    with pytest.raises(InputError, match="count can be at most 29"):
        draw(DATA, RequestConfig(count=30), LAST, 0)
    with pytest.raises(InputError, match="is nobody"):
        draw(DATA, RequestConfig(fraction=0.001), LAST, 0)


TIED = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 6)), min_size=18, max_size=60, unique=True
)


@given(rows=TIED, share=st.sampled_from([0.1, 0.2, 0.3, 0.7]))
@settings(max_examples=80)
def test_holding_out_obeys_time_where_it_ties(rows: list[tuple[int, int, int]], share: float) -> None:
    table = np.asarray(rows)
    try:
        data = from_columns(table[:, 0], table[:, 1], None, table[:, 2], "tied")
    except InputError:
        return
    last = hold_out(data, LAST)
    first = int(np.ceil(round(len(data) * (1 - share), 6)))
    if np.sort(data.timestamp)[first - 1] == data.timestamp.max():
        with pytest.raises(InputError, match="leaves nothing to test on"):
            hold_out(data, HoldoutConfig(rule="temporal", share=share))
        return
    temporal = hold_out(data, HoldoutConfig(rule="temporal", share=share))
    # The cut takes at least its share of all interactions, and none of those at its own time but all.
    early = data.timestamp[np.isin(temporal, (Part.RETAINED, Part.VALIDATION))]
    late = data.timestamp[np.isin(temporal, (Part.TEST, Part.UNUSED))]
    assert len(early) >= len(data) * (1 - share) - 1e-6
    assert not len(late) or early.max() < late.min()
    assert (early < early.max()).sum() < len(data) * (1 - share)
    for user in range(data.n_users):
        mine = slice(data.offsets[user], data.offsets[user + 1])
        at = [table.tolist().index(row) for row in _rows(data, mine)]
        assert at == sorted(at, key=lambda row: (table[row, 2], row))  # ties keep the order of the rows
        assert last[mine].tolist() == [Part.RETAINED] * (mine.stop - mine.start - 2) + [Part.VALIDATION, Part.TEST]
        after = data.timestamp[mine] > early.max()
        before, parts = int((~after).sum()), temporal[mine].tolist()
        tested = before < len(parts)
        assert parts[before:] == [Part.TEST, *[Part.UNUSED] * (len(parts) - before - 1)][: len(parts) - before]
        held = [Part.VALIDATION] if tested and before >= 2 else []
        assert parts[:before] == [Part.RETAINED] * (before - len(held)) + held


def _rows(data, mine: slice) -> list[list[int]]:
    """The raw rows of a user's interactions."""
    users, items = data.user_ids[data.user[mine]], data.item_ids[data.item[mine]]
    return [[int(u), int(i), int(t)] for u, i, t in zip(users, items, data.timestamp[mine], strict=True)]


def test_a_share_is_what_it_says() -> None:
    """10 · (1 − 0.7) is a hair more than 3 in floating point."""
    data = from_columns(np.zeros(10, int), np.arange(10), None, np.arange(10), "ten")
    part = hold_out(data, HoldoutConfig(rule="temporal", share=0.7))
    assert part.tolist() == [Part.RETAINED] * 2 + [Part.VALIDATION, Part.TEST] + [Part.UNUSED] * 6


def test_a_temporal_rule_that_leaves_nothing_to_test_on_is_refused() -> None:
    users, items = np.repeat(np.arange(5), 4), np.tile(np.arange(4), 5)
    data = from_columns(users, items, None, np.full(20, 7), "made")
    with pytest.raises(InputError, match="leaves nothing to test on: no interaction of made is later"):
        hold_out(data, HoldoutConfig(rule="temporal"))
