"""Every view asks what it should, and no history holds what a model must not be shown."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from tests.planted import setting, world
from vestige.data import views
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw
from vestige.data.sequences import sequences
from vestige.data.views import NEAREST, PER_USER, build, jaccard, neighbours
from vestige.pipeline.tasks import make_task

DATA, SPLIT, VIEWS = setting()
MANY, SPLIT_OF_MANY, _ = setting(world(users=120, seed=3), count=6)
"""Enough who stay that most are neither neighbours nor controls."""


def items_of(user: int) -> list[int]:
    return DATA.item[DATA.offsets[user] : DATA.offsets[user + 1]].tolist()


@pytest.mark.parametrize("view", ["retain", "unseen"])
def test_held_out_views_ask_for_the_last_item_after_all_others(view: str) -> None:
    queries = VIEWS.queries[view]
    for row, user in enumerate(queries.users):
        assert queries.histories.row(row).tolist() == items_of(user)[:-1]
        assert queries.targets[row] == items_of(user)[-1]
    expected = SPLIT.retained_users if view == "retain" else SPLIT.unseen_users
    assert sorted(queries.users.tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("view", ["forget", "unseen_train"])
def test_training_views_ask_for_training_transitions(view: str) -> None:
    queries = VIEWS.queries[view]
    assert np.bincount(queries.users).max() <= PER_USER
    for row, user in enumerate(queries.users):
        at = len(queries.histories.row(row))
        assert queries.histories.row(row).tolist() == items_of(user)[:at]
        assert queries.targets[row] == items_of(user)[at]
        assert 1 <= at < len(items_of(user)) - 2


def test_interactions_are_asked_after_retained_items_only() -> None:
    data = world()
    split = draw(data, RequestConfig(kind="interactions", count=10, percent=20), HoldoutConfig(), 0)
    views = build(data, split, 0)
    taken = {(int(data.user[e]), int(data.item[e])) for e in np.flatnonzero(np.isin(split.part, [1, 2]))}
    for view in ("forget", "unseen_train", "affected"):
        queries = views.queries[view]
        for row, user in enumerate(queries.users):
            assert not {(int(user), int(item)) for item in queries.histories.row(row)} & taken
    assert len(views.queries["forget"]) == (split.part == Part.FORGET).sum()


def test_interactions_of_a_list_are_asked_after_what_stood_before_them_in_training(tmp_path: Path) -> None:
    """A list may name many in a row: after what stays of such a history nobody ever answered with the later ones."""
    data = world()
    users = range(5, 25)
    latest = {user: list(range(data.offsets[user + 1] - 6, data.offsets[user + 1] - 2)) for user in users}
    file = tmp_path / "latest.tsv"
    file.write_text(
        "".join(f"{data.user_ids[u]}\t{data.item_ids[data.item[e]]}\n" for u, events in latest.items() for e in events)
    )
    split = draw(data, RequestConfig(kind="interactions", file=str(file)), HoldoutConfig(), 0)
    views = build(data, split, 0)
    task = make_task(
        data, split, Part.FORGET, recommender=None, seed=0, device="cpu", budget=None, progress=None, fresh=None
    )
    parts = {"forget": Part.FORGET, "unseen_train": Part.UNSEEN}
    for name, queries in {**{view: views.queries[view] for view in parts}, "task": task.forget}.items():
        trained = (Part.RETAINED, parts.get(name, Part.FORGET))
        events = iter(np.flatnonzero(split.part == trained[1]))
        for row in range(len(queries)):
            event = next(events)
            own = np.arange(data.offsets[data.user[event]], event)
            before = own[np.isin(split.part[own], trained)]
            assert queries.targets[row] == data.item[event]
            assert queries.histories.row(row).tolist() == data.item[before].tolist()
    # The last of four stands after the three before it, which base was trained on.
    last = latest[5][-1]
    row = task.forget.targets.tolist().index(data.item[last])
    assert task.forget.histories.row(row)[-3:].tolist() == data.item[last - 3 : last].tolist()
    # What a service is asked after deletion is another question: the view `affected` has nothing that was taken away.
    gone = {(int(data.user[e]), int(data.item[e])) for e in np.flatnonzero(np.isin(split.part, [1, 2]))}
    for row, user in enumerate(views.queries["affected"].users):
        asked = views.queries["affected"].histories.row(row)
        assert not {(int(user), int(item)) for item in asked} & gone


def test_reach_leaves_out_what_training_cannot_touch() -> None:
    for reach in (1, 2, 3):
        near = build(DATA, SPLIT, 0, reach=reach).queries["forget"]
        for user in SPLIT.forget_users:
            trained = len(items_of(user)) - 2
            asked = sorted(len(near.histories.row(row)) for row in np.flatnonzero(near.users == user))
            assert asked == list(range(trained - reach, trained))


def test_neighbours_are_retained_and_controls_are_others() -> None:
    near, far = neighbours(DATA, SPLIT)
    retained = set(SPLIT.retained_users.tolist())
    assert set(near.tolist()) <= retained and set(far.tolist()) <= retained
    assert not set(near.tolist()) & set(far.tolist())


def training_items(user: int) -> set[int]:
    """Of `MANY`; validation and test items stand last."""
    return set(MANY.item[MANY.offsets[user] : MANY.offsets[user + 1] - 2].tolist())


def test_neighbours_have_the_items_of_the_forgotten() -> None:
    """By another way: sets of Python, one pair at a time."""
    retained = SPLIT_OF_MANY.retained_users.tolist()
    expected: set[int] = set()
    for user in SPLIT_OF_MANY.forget_users.tolist():
        own = training_items(user)
        alike = {other: len(own & training_items(other)) / len(own | training_items(other)) for other in retained}
        expected |= set(sorted(retained, key=lambda other: (-alike[other], other))[:NEAREST])
    near, _ = neighbours(MANY, SPLIT_OF_MANY)
    assert set(near.tolist()) == expected and len(expected) < len(retained) / 2


def test_controls_are_like_the_neighbours_and_no_others_are_liker() -> None:
    """In length of history and popularity of taste; exchanging one for anybody who was not taken brings nothing."""
    near, far = neighbours(MANY, SPLIT_OF_MANY)
    counts = np.bincount(MANY.item[SPLIT_OF_MANY.part <= Part.UNSEEN], minlength=MANY.n_items)
    users = SPLIT_OF_MANY.retained_users.tolist()
    rows = np.asarray(
        [(np.log1p(len(own)), np.log1p(counts[[*own]]).mean()) for own in map(training_items, users)], dtype=np.float64
    )
    features = dict(zip(users, (rows - rows.mean(axis=0)) / rows.std(axis=0), strict=True))

    def apart(some: list[int]) -> float:
        cost = np.asarray([[((features[a] - features[b]) ** 2).sum() for b in some] for a in near.tolist()])
        return float(cost[linear_sum_assignment(cost)].sum())

    taken = far.tolist()
    left = sorted(set(users) - set(near.tolist()) - set(taken))
    assert len(taken) == len(near) and len(left) > 20
    least = apart(taken)
    for place in range(0, len(taken), len(taken) // 3):
        for other in left:
            assert apart([*taken[:place], other, *taken[place + 1 :]]) >= least - 1e-9


def test_similar_users_are_looked_for_when_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    of_views = {view: VIEWS.users(view).tolist() for view in VIEWS.rows}
    monkeypatch.setattr(views, "neighbours", lambda *_: asked.append(1) or neighbours(DATA, SPLIT))
    built = build(DATA, SPLIT, 0)
    assert built.users("retain").tolist() == of_views["retain"] and "unseen" in built.rows
    assert not asked
    for view in ("neighbours", "controls", "neighbours"):
        assert built.users(view).tolist() == of_views[view]
    assert asked == [1] and len(built.rows) == len(list(built.rows)) == len(of_views)


def test_the_nearest_user_of_a_twin_is_the_twin() -> None:
    rows = sequences([[1, 2, 3, 3], [4, 5], [1, 2, 9]])
    others = sequences([[3, 1, 2], [5, 4, 4], [7, 8]])
    similar = jaccard(rows, others, 10)
    assert similar[0].tolist() == [1.0, 0.0, 0.0]
    assert similar[1].tolist() == [0.0, 1.0, 0.0]
    assert similar[2, 0] == pytest.approx(2 / 4)
    assert rows.items.tolist() == [1, 2, 3, 3, 4, 5, 1, 2, 9]
