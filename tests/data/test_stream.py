"""A stream asks step by step: nothing of what was asked for so far is trained on, and T never is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import world
from vestige.data import stream
from vestige.data.request import HoldoutConfig, Kind, Part, RequestConfig, Split, draw, training
from vestige.data.views import Queries, build
from vestige.errors import InputError
from vestige.methods import Budget, Task
from vestige.pipeline.tasks import make_task
from vestige.progress import silent

DATA = world()
LAST = HoldoutConfig()
SIDES: tuple[stream.World, ...] = (Part.FORGET, Part.UNSEEN)
KINDS: tuple[Kind, ...] = ("users", "interactions", "items")


def whole(of: Kind = "users", count: int = 3, steps: int = 4, seed: int = 0) -> Split:
    request = RequestConfig(kind="stream", of=of, count=count, steps=steps, percent=10)
    return stream.deal(draw(DATA, request, LAST, seed), steps, seed)


def pairs(events: np.ndarray) -> set[int]:
    return set(events.tolist())


def trained(split: Split, *parts: Part) -> set[int]:
    """The interactions that a model of these parts is trained on, by position in the data."""
    found = np.flatnonzero(np.isin(split.part, parts))
    assert len(training(DATA, split, parts).items) == len(found)
    return pairs(found)


@given(of=st.sampled_from(KINDS), seed=st.integers(0, 10_000), count=st.integers(1, 4), steps=st.integers(2, 4))
@settings(max_examples=60)
def test_what_was_asked_for_is_gone_and_t_is_never_there(of: Kind, seed: int, count: int, steps: int) -> None:
    split = whole(of, count, steps, seed)
    assert np.bincount(split.steps).tolist() == [0, *[count] * steps]
    f, t = pairs(split.events(Part.FORGET)), pairs(split.events(Part.UNSEEN))
    base = trained(split, Part.RETAINED, Part.FORGET)
    so_far: set[int] = set()
    for step in range(1, steps + 1):
        now = stream.after(DATA, split, step)
        asked = pairs(now.events(Part.FORGET))
        assert so_far < asked <= f and len(now.steps) == count * step and now.steps.max() == step
        gold = trained(now, Part.RETAINED)
        assert gold == base - asked
        assert not gold & t and not base & t
        assert pairs(now.events(Part.UNSEEN)) < t or step == steps
        assert now.retained_users.tolist() == split.retained_users.tolist()
        if of == "users":
            assert len(now.forget_users) == len(now.unseen_users) == count * step
        so_far = asked
    last = stream.after(DATA, split, steps)
    assert so_far == f
    for name in ("part", "forget_users", "unseen_users", "forget_items", "unseen_items"):
        assert getattr(last, name).tolist() == getattr(split, name).tolist()


LONG = world(users=40, items=120, events=60)
"""Of everybody more is forgotten than is asked about."""

SHORT = world(users=120, items=30, events=5)
"""Where later requests may withdraw all that stood before an item."""


@given(
    of=st.sampled_from(KINDS),
    seed=st.integers(0, 1000),
    view=st.sampled_from(["forget", "unseen_train"]),
    short=st.booleans(),
    reach=st.sampled_from([None, 12]),
)
@settings(max_examples=40)
def test_the_first_request_is_asked_about_in_the_same_questions_at_every_step(
    of: Kind, seed: int, view: str, short: bool, reach: int | None
) -> None:
    data = SHORT if short else LONG
    request = RequestConfig(kind="stream", of=of, count=3, steps=4, percent=25)
    split = stream.deal(draw(data, request, LAST, seed), 4, seed)
    first = stream.asked_at(data, split) == 1
    asked = []
    for step in range(1, 5):
        now = stream.after(data, split, step)
        events = build(data, now, seed, reach=reach, whole=split).events[view]
        asked.append(pairs(events[first[events]]))
    assert len(asked[0]) >= (1 if short else 10) or reach
    assert asked == [asked[0]] * 4


@given(of=st.sampled_from(KINDS), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_equal_seeds_equal_steps(of: Kind, seed: int) -> None:
    one, same = (whole(of, seed=seed) for _ in range(2))
    assert one.steps.tolist() == same.steps.tolist()
    assert one.part.tolist() == same.part.tolist()
    assert len({tuple(whole(of, seed=other).steps.tolist()) for other in range(seed, seed + 5)}) > 1


def test_a_stream_forgets_in_all_what_one_large_request_would() -> None:
    for of in KINDS:
        large = draw(DATA, RequestConfig(kind=of, count=12, percent=10), LAST, 5)
        assert whole(of, seed=5).part.tolist() == large.part.tolist()


def task(split: Split, step: int, side: stream.World, first: int) -> Task:
    return make_task(
        DATA,
        stream.request(DATA, split, step, side, first),
        side,
        recommender=None,
        seed=0,
        device="cpu",
        budget=Budget(1.0, 1.0),
        progress=silent,
        fresh=lambda: None,
    )


def counted(items: Any, users: Any) -> np.ndarray:
    """[users, items]: how often each stands there."""
    table = np.zeros((DATA.n_users, DATA.n_items), np.int64)
    np.add.at(table, (users, items), 1)
    return table


@given(
    of=st.sampled_from(KINDS),
    seed=st.integers(0, 1000),
    step=st.integers(1, 4),
    side=st.sampled_from([Part.FORGET, Part.UNSEEN]),
    restarted=st.booleans(),
)
@settings(max_examples=60)
def test_a_method_is_given_its_step_and_nothing_that_is_gone(
    of: Kind, seed: int, step: int, side: stream.World, restarted: bool
) -> None:
    split = whole(of, seed=seed)
    first = 1 if restarted else step
    found = task(split, step, side, first)
    members = {"users": DATA.user, "interactions": DATA.user, "items": DATA.item}[of]
    sides = (split.forget_items, split.unseen_items) if of == "items" else (split.forget_users, split.unseen_users)
    own_members = sides[0 if side == Part.FORGET else 1]
    of_step = np.zeros(max(DATA.n_users, DATA.n_items), np.int64)
    of_step[own_members] = split.steps
    own = split.part == side
    when = np.where(own, of_step[members], 0)
    wanted = own & (when >= first) & (when <= step)
    keeps = (split.part == Part.RETAINED) | (own & (when > step))
    rows = np.repeat(found.forget_sequences.users, found.forget_sequences.lengths)
    asked = counted(found.forget_sequences.items[found.forget_mask], rows[found.forget_mask])
    assert (asked == counted(DATA.item[wanted], DATA.user[wanted])).all()
    kept = counted(found.retained.items, np.repeat(found.retained.users, found.retained.lengths))
    assert (kept == counted(DATA.item[keeps], DATA.user[keeps])).all()
    beside = counted(found.forget_sequences.items[~found.forget_mask], rows[~found.forget_mask])
    assert (beside <= kept).all()
    assert set(np.unique(found.forget.users)) <= set(np.unique(DATA.user[wanted]))


@pytest.mark.parametrize("of", KINDS)
def test_the_same_are_asked_after_every_step_and_no_history_shows_t(of: Kind) -> None:
    split = whole(of)
    retained = []
    for step in range(1, 5):
        now = stream.after(DATA, split, step)
        views = build(DATA, now, 0)
        retained.append(views.queries["retain"].users.tolist())
        hidden = now.part == Part.FORGET
        hidden |= split.part == Part.UNSEEN
        if of == "users":
            continue
        taken = {(int(u), int(i)) for u, i in zip(DATA.user[hidden], DATA.item[hidden], strict=True)}
        for queries in views.queries.values():
            owner = np.repeat(queries.users, queries.histories.lengths)
            assert not taken & {(int(u), int(i)) for u, i in zip(owner, queries.histories.items, strict=True)}
    assert all(users == retained[0] for users in retained)
    assert retained[0]


def questions(queries: Queries) -> dict[tuple[int, int], list[int]]:
    """By user and target, the history that it is asked after."""
    rows = range(len(queries))
    keys = zip(queries.users.tolist(), queries.targets.tolist(), strict=True)
    return dict(zip(keys, (queries.histories.take(np.array([row])).items.tolist() for row in rows), strict=True))


@given(of=st.sampled_from(KINDS), seed=st.integers(0, 1000), step=st.integers(1, 4))
@settings(max_examples=60)
def test_each_world_is_asked_about_its_requests_after_the_histories_it_was_told(of: Kind, seed: int, step: int) -> None:
    """Items that wait are in the histories of the one world and unknown to the other."""
    split = whole(of, seed=seed)
    now, there = (stream.after(DATA, split, step, side) for side in SIDES)
    for side, view, world_ in zip(SIDES, ("forget", "unseen_train"), (None, there), strict=True):
        asked = questions(build(DATA, now, seed, whole=split, world=world_).queries[view])
        told = questions(task(split, step, side, 1).forget)
        assert asked and asked.items() <= told.items()
    one, other = (build(DATA, now, seed, whole=split, world=world_) for world_ in (None, there))
    for view in ("forget", "unseen_train"):  # the same is asked in both, in the same order
        assert one.events[view].tolist() == other.events[view].tolist()
        assert one.queries[view].targets.tolist() == other.queries[view].targets.tolist()
    if step == 4 or of != "items":
        assert all(questions(one.queries[v]) == questions(other.queries[v]) for v in ("forget", "unseen_train"))


@given(of=st.sampled_from(KINDS), seed=st.integers(0, 1000), step=st.integers(1, 4))
@settings(max_examples=40)
def test_the_second_world_is_the_first_with_f_and_t_in_each_others_place(of: Kind, seed: int, step: int) -> None:
    split = whole(of, seed=seed)
    swapped = replace(
        split,
        part=np.select(
            [split.part == Part.FORGET, split.part == Part.UNSEEN], [Part.UNSEEN, Part.FORGET], split.part
        ).astype(split.part.dtype),
        forget_users=split.unseen_users,
        unseen_users=split.forget_users,
        forget_items=split.unseen_items,
        unseen_items=split.forget_items,
    )
    there, mirrored = stream.after(DATA, split, step, Part.UNSEEN), stream.after(DATA, swapped, step)
    for one, other in ((Part.FORGET, Part.UNSEEN), (Part.UNSEEN, Part.FORGET), (Part.RETAINED, Part.RETAINED)):
        assert there.events(one).tolist() == mirrored.events(other).tolist()


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"kind": "stream", "file": "x"}, "a stream draws its requests: give count or fraction of one step, not file"),
        ({"kind": "users", "count": 3, "steps": 4}, "steps is for kind = 'stream'"),
        ({"kind": "users", "count": 3, "of": "items"}, "of is for kind = 'stream'"),
        ({"kind": "stream", "count": 3, "steps": 1}, "greater than or equal to 2"),
        ({"kind": "stream", "count": 3, "select": "latest"}, "'unpopular' where of = 'users'"),
        ({"kind": "stream", "of": "stream", "count": 3}, "'users', 'interactions' or 'items'"),
    ],
)
def test_bad_streams_are_told(settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        RequestConfig(**settings_)


def test_more_than_there_are() -> None:
    with pytest.raises(InputError, match=r"forgetting 40 users .* count can be at most 7 in each of 4 steps"):
        whole("users", count=10)
    with pytest.raises(InputError, match=r"withdrawing 24 items .* count can be at most 4 in each of 4 steps"):
        whole("items", count=6)


def test_a_single_request_says_nothing_of_a_stream() -> None:
    """The keys of splits and the records of boards that have no stream must stay as they were."""
    assert list(RequestConfig(count=3).model_dump()) == [
        "kind", "count", "fraction", "select", "percent", "file", "missing",
    ]  # fmt: skip
    assert RequestConfig(kind="stream", count=3).model_dump(exclude={"file"})["steps"] == 5
