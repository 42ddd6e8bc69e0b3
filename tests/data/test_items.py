"""A withdrawn item is gone for everybody: from training, from histories, and from what is asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import world
from vestige.data.interactions import from_columns
from vestige.data.request import (
    HoldoutConfig,
    Part,
    RequestConfig,
    Split,
    draw,
    hold_out,
    shadow_coins,
    shadow_training,
    training,
)
from vestige.data.units import frame
from vestige.data.views import MOST_AFFECTED, PER_USER, build, neighbours
from vestige.errors import InputError
from vestige.methods import Budget
from vestige.pipeline.tasks import make_task
from vestige.progress import silent

DATA = replace(world(), notes={})  # as if the source had told the times
LAST = HoldoutConfig()
FREE = hold_out(DATA, LAST) == Part.RETAINED
COUNTS = np.bincount(DATA.item[FREE], minlength=DATA.n_items)


def withdrawn(seed: int = 0, count: int = 5, select: str = "random") -> Split:
    return draw(DATA, RequestConfig(kind="items", count=count, select=select), LAST, seed)  # type: ignore[arg-type]


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 15),
    select=st.sampled_from(["random", "popular", "unpopular"]),
    rule=st.sampled_from(["last", "temporal"]),
)
@settings(max_examples=60)
def test_items_are_parted(seed: int, count: int, select: str, rule: str) -> None:
    holdout = HoldoutConfig(rule=rule)  # type: ignore[arg-type]
    split = draw(DATA, RequestConfig(kind="items", count=count, select=select), holdout, seed)  # type: ignore[arg-type]
    f, t = set(split.forget_items.tolist()), set(split.unseen_items.tolist())
    assert len(f) == len(t) == split.pairs == count and not f & t
    gold, base, swap = (
        set(training(DATA, split, parts).items.tolist())
        for parts in ([Part.RETAINED], [Part.RETAINED, Part.FORGET], [Part.RETAINED, Part.UNSEEN])
    )
    assert not gold & (f | t)
    assert f <= base and not base & t
    assert t <= swap and not swap & f
    # What was free to train on is trained on, but for the withdrawn items.
    free = hold_out(DATA, holdout) == Part.RETAINED
    whole = training(DATA, split, [Part.RETAINED, Part.FORGET, Part.UNSEEN])
    assert len(whole.items) == free.sum()
    assert not np.isin(DATA.item[np.isin(split.part, (Part.VALIDATION, Part.TEST))], [*f, *t]).any()


def test_equal_seeds_equal_items_and_other_seeds_others() -> None:
    one, same, other = (withdrawn(seed) for seed in (1, 1, 2))
    assert one.forget_items.tolist() == same.forget_items.tolist()
    assert one.forget_items.tolist() != other.forget_items.tolist()


@pytest.mark.parametrize(("select", "sign"), [("popular", 1), ("unpopular", -1)])
def test_the_popular_are_the_popular(select: str, sign: int) -> None:
    split = withdrawn(3, 4, select)
    pool = np.concatenate([split.forget_items, split.unseen_items])
    assert (sign * COUNTS[pool]).min() >= np.sort(sign * COUNTS)[-8]


def test_the_coin_is_fair_and_pairs_are_alike_in_popularity() -> None:
    gaps = []
    for seed in range(300):
        split = withdrawn(seed, 8)
        gaps.append(COUNTS[split.forget_items] - COUNTS[split.unseen_items])
    signs = np.sign(gaps).sum(axis=1)
    assert abs(signs.mean()) < 4 * signs.std() / np.sqrt(len(signs))
    apart = np.abs(COUNTS[:, None] - COUNTS[None, :])[np.triu_indices(len(COUNTS), 1)].mean()
    assert np.abs(gaps).mean() < apart / 3


def test_no_view_shows_or_asks_for_what_is_withdrawn_but_to_ask_whether_it_is_remembered() -> None:
    split = withdrawn()
    views = build(DATA, split, 0)
    gone = {*split.forget_items.tolist(), *split.unseen_items.tolist()}
    assert set(views.rows) == {"retain", "forget", "unseen_train", "neighbours", "controls"}
    for queries in views.queries.values():
        assert not gone & set(queries.histories.items.tolist())
    assert set(views.queries["forget"].targets.tolist()) <= set(split.forget_items.tolist())
    assert set(views.queries["unseen_train"].targets.tolist()) <= set(split.unseen_items.tolist())
    retain = views.queries["retain"]
    last = DATA.item[DATA.offsets[1:] - 1]
    stays = np.flatnonzero(~np.isin(last, list(gone)))
    assert retain.users.tolist() == stays.tolist()
    assert retain.targets.tolist() == last[stays].tolist()
    assert max(np.bincount(views.queries[view].users).max() for view in ("forget", "unseen_train")) <= PER_USER


def test_those_who_lose_most_are_near_and_others_are_controls() -> None:
    split = withdrawn(2, 6)
    near, far = neighbours(DATA, split)
    lost = np.bincount(DATA.user[split.part == Part.FORGET], minlength=DATA.n_users)
    kept = np.bincount(DATA.user[split.part == Part.RETAINED], minlength=DATA.n_users)
    share = lost / (lost + kept)
    others = np.setdiff1d(split.retained_users, near)
    assert len(near) == int(MOST_AFFECTED * len(split.retained_users))
    assert share[near].min() >= share[others].max() and share[near].min() > 0
    assert set(far.tolist()) <= set(others.tolist()) and len(far) == len(near)


def test_a_unit_is_an_item_wherever_f_and_t_are_measured() -> None:
    split = withdrawn()
    views = build(DATA, split, 0)
    measured = frame(DATA, split, views)
    own = measured.data
    for view, items in (("forget", split.forget_items), ("unseen_train", split.unseen_items)):
        queries = measured.views.queries[view]
        assert (queries.users - DATA.n_users).tolist() == queries.targets.tolist()
        assert queries.histories is views.queries[view].histories
        events = measured.views.events[view]
        assert own.item[events].tolist() == queries.targets.tolist()
        for item in items:  # a unit has what was trained on with the item, wherever that was
            events = own.user == DATA.n_users + item
            assert events.sum() == COUNTS[item] and (own.item[events] == item).all()
    assert (measured.split.forget_users - DATA.n_users).tolist() == split.forget_items.tolist()
    assert (measured.split.unseen_users - DATA.n_users).tolist() == split.unseen_items.tolist()
    assert (np.diff(own.user) >= 0).all()
    assert sorted(zip(own.item, own.timestamp, strict=True)) == sorted(zip(DATA.item, DATA.timestamp, strict=True))
    assert measured.views.queries["retain"] is views.queries["retain"]
    assert np.bincount(measured.split.part).tolist() == np.bincount(split.part).tolist()


def test_other_requests_are_measured_as_they_are() -> None:
    split = draw(DATA, RequestConfig(count=5), LAST, 0)
    views = build(DATA, split, 0)
    measured = frame(DATA, split, views)
    assert measured.data is DATA and measured.split is split and measured.views is views


@pytest.mark.parametrize(("world_", "own"), [(Part.FORGET, "forget_items"), (Part.UNSEEN, "unseen_items")])
def test_a_method_is_told_of_the_withdrawn_items_and_not_of_t(world_: Part, own: str) -> None:
    split = withdrawn()
    task = make_task(
        DATA,
        split,
        world_,
        recommender=None,
        seed=0,
        device="cpu",
        budget=Budget(1.0, 1.0),
        progress=silent,
        fresh=lambda: None,
    )
    gone = {*split.forget_items.tolist(), *split.unseen_items.tolist()}
    asked = set(getattr(split, own).tolist())
    assert task.kind == "items"
    assert not gone & set(task.retained.items.tolist())
    assert set(task.forget.targets.tolist()) <= asked and not gone & set(task.forget.histories.items.tolist())
    assert set(task.forget_sequences.items[task.forget_mask].tolist()) == asked
    assert not gone & set(task.forget_sequences.items[~task.forget_mask].tolist())
    # Whoever had only an item of the other side is not among the affected.
    had = {int(u) for u in np.unique(DATA.user[split.part == world_])}
    assert set(task.forget_sequences.users.tolist()) == had


def test_shadows_have_one_item_of_each_pair() -> None:
    split = withdrawn()
    coins = shadow_coins(split, 0, 7)
    assert (coins != shadow_coins(split, 1, 7)).all() and len(coins) == 5
    items = set(shadow_training(DATA, split, coins).items.tolist())
    for has_forget, forget, unseen in zip(coins, split.forget_items, split.unseen_items, strict=True):
        assert (int(forget) in items) == has_forget
        assert (int(unseen) in items) == (not has_forget)


def test_a_list_is_obeyed_and_matched(tmp_path: Path) -> None:
    file = tmp_path / "items.txt"
    file.write_text("3\n17\n\n5\n3\n")
    split = draw(DATA, RequestConfig(kind="items", file=str(file)), LAST, 0)
    assert DATA.item_ids[split.forget_items].tolist() == ["3", "5", "17"]
    assert len(split.unseen_items) == 3 and not split.exchangeable


def test_other_items_of_like_popularity_stand_in_for_a_list_of_them(tmp_path: Path) -> None:
    """Each of four items is had by as many as the other three; one is listed."""
    had = [(user, item) for item in range(16) for user in range(5 * 2 ** (item // 4))]
    had += [(user, 16 + last) for user in range(40) for last in range(2)]  # held out
    had.sort(key=lambda one: one[0])
    users, items = np.asarray(had).T
    data = from_columns(users, items, None, None, "test")
    file = tmp_path / "items.txt"
    file.write_text("5\n13\n")
    request = RequestConfig(kind="items", file=str(file))
    judged = [draw(data, request, LAST, seed) for seed in (0, 1)]
    split = draw(data, request, LAST, 7, stand_in_for=(0, 1))
    listed = {int(item) for one in judged for item in (*one.forget_items, *one.unseen_items)}
    assert not listed & {*split.forget_items.tolist(), *split.unseen_items.tolist()}
    assert {int(name) // 4 for name in data.item_ids[split.forget_items]} == {1, 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n", "the file is empty"),
        ("3\nnothing\n", "line 2: item 'nothing' is not in the dataset"),
        ("\n".join(map(str, range(40))), "takes 80 .*, but only 40 items"),
    ],
)
def test_a_bad_list_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "items.txt"
    file.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        draw(DATA, RequestConfig(kind="items", file=str(file)), LAST, 0)
    assert "\n" not in str(caught.value)


def test_an_item_that_nobody_has_in_training(tmp_path: Path) -> None:
    items = np.asarray([1, 2, 3, 4, 5, 9] + [1, 2, 3, 4, 5, 6] * 4)
    data = from_columns(np.repeat(np.arange(5), 6), items, None, None, "test")
    file = tmp_path / "items.txt"
    file.write_text("2\n9\n")
    with pytest.raises(InputError, match="line 2: nobody has item '9' in training, so no model learns it"):
        draw(data, RequestConfig(kind="items", file=str(file)), LAST, 0)


def test_more_items_than_there_are() -> None:
    with pytest.raises(InputError, match=r"of the 40 items of the catalogue only 40 .* count can be at most 19"):
        withdrawn(0, 20)
    with pytest.raises(InputError, match="of 40 items is none"):
        draw(DATA, RequestConfig(kind="items", fraction=0.001), LAST, 0)


@pytest.mark.parametrize("select", ["latest", "longest", "shortest"])
def test_items_are_not_chosen_as_users_are(select: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="'random', 'popular', 'unpopular' where kind = 'items'"):
        RequestConfig(kind="items", count=3, select=select)  # type: ignore[arg-type]
