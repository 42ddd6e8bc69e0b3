"""Coverage, Gini and popularity of lists that are known."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import Planted, by_name, context, noise, setting, world
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw
from vestige.data.sequences import sequences
from vestige.data.views import Queries, Views
from vestige.measuring.contract import Context
from vestige.pipeline.own import combined
from vestige_metrics.collapse import Collapse, coverage, gini, lists, recommended
from vestige_metrics.configs import NoSettings


def judged(recommended: np.ndarray, n_items: int, histories: list[list[int]] | None = None) -> Context:
    """Everybody is asked once; user i sees the items of row i, best first, and gold's are in the catalogue's order."""
    data, split, _ = setting(world(users=60, items=n_items, events=8), count=4)
    users = split.retained_users[: len(recommended)]
    rows = [[] for _ in users] if histories is None else histories
    asked = Queries(sequences(rows, users.tolist()), np.zeros(len(users), np.int32), users)
    views = Views({"retain": asked}, {"retain": ("retain", np.arange(len(users)))})
    order = np.tile(-np.arange(n_items, dtype=float), (len(users), 1))
    own = order - n_items
    np.put_along_axis(own, recommended, -np.arange(recommended.shape[1], dtype=float), axis=1)
    models = {name: Planted(lambda _, z=z: z) for name, z in (("gold", order), ("unlearned", own))}
    return context(data, split, views, models)


def measure(ctx: Context):
    return by_name(Collapse(NoSettings()).measure(ctx))


def test_the_same_list_for_everybody() -> None:
    found = measure(judged(np.tile(np.arange(10, 20), (20, 1)), 40))
    assert found["coverage@10/retain"].value == pytest.approx(10 / 40)
    assert found["gini@10/retain"].value == pytest.approx(1 - 10 / 40)
    # Gold gives everybody the first ten: as narrow.
    assert found["coverage@10:vs_gold/retain"].value == 0
    assert found["gini@10:vs_gold/retain"].value == 0


def test_every_item_equally_often() -> None:
    found = measure(judged(np.arange(200).reshape(20, 10) % 40, 40))
    assert found["coverage@10/retain"].value == 1
    assert found["gini@10/retain"].value == pytest.approx(0, abs=1e-12)
    assert found["coverage@10:vs_gold/retain"].value == pytest.approx(30 / 40)
    assert found["gini@10:vs_gold/retain"].value == pytest.approx(-30 / 40)


def test_popularity_counts_what_r_trained_on() -> None:
    ctx = judged(np.arange(200).reshape(20, 10) % 40, 40)
    retained = ctx.data.item[ctx.split.part == Part.RETAINED]
    logs = np.log(1 + np.bincount(retained, minlength=40))
    found = measure(ctx)
    popularity = found["popularity@10/retain"]
    assert popularity.value == pytest.approx(logs.mean())
    assert popularity.per_user.values == pytest.approx(logs.reshape(4, 10).mean(axis=1)[np.arange(20) % 4])
    assert popularity.interval[0] < popularity.value < popularity.interval[1]
    assert found["popularity@10:vs_gold/retain"].value == pytest.approx(logs.mean() - logs[:10].mean())
    assert found["coverage@10/retain"].interval is None
    assert found["gini@10/retain"].per_user is None


def test_withdrawn_items_are_as_popular_as_they_were() -> None:
    """Nothing of them is left in R; a list of them would seem unpopular to somebody who counted there."""
    ctx = judged(np.arange(200).reshape(20, 10) % 40, 40)
    split = draw(ctx.data, RequestConfig(kind="items", count=4), HoldoutConfig(), 0)
    trained = np.isin(split.part, (Part.RETAINED, Part.FORGET))
    logs = np.log(1 + np.bincount(ctx.data.item[trained], minlength=40))
    found = measure(replace(ctx, split=split))
    assert found["popularity@10/retain"].value == pytest.approx(logs.mean())
    retained = np.log(1 + np.bincount(ctx.data.item[split.part == Part.RETAINED], minlength=40))
    assert logs.mean() > retained.mean()


def test_items_of_the_history_are_taken_out_and_the_list_goes_on_below() -> None:
    """All start with the same 15 items; whoever has had the first five sees the next ten."""
    had = [list(range(5))] * 10 + [[]] * 10
    found = measure(judged(np.tile(np.arange(15), (20, 1)), 40, had))
    assert found["coverage@10/retain"].value == pytest.approx(15 / 40)
    counts = np.repeat([10, 20, 10, 0], [5, 5, 5, 25])  # items 0–4, 5–9, 10–14
    assert found["gini@10/retain"].value == pytest.approx(gini(counts))


def test_a_list_that_runs_out_is_said_and_counted_as_it_is() -> None:
    had = [list(range(35))] + [[]] * 19
    ctx = judged(np.tile(np.arange(10), (20, 1)), 40, had)
    found = measure(ctx)
    assert "1 lists are shorter than 10" in found["coverage@10/retain"].note
    assert found["coverage@10/retain"].value == pytest.approx(15 / 40)
    # Whoever has had everything has no list, and no popularity either.
    nothing = measure(judged(np.tile(np.arange(10), (20, 1)), 40, [list(range(40))] + [[]] * 19))
    assert len(nothing["popularity@10/retain"].per_user.users) == 19


def test_lists_of_a_large_catalogue_are_those_of_a_full_sort() -> None:
    """Some 300 items, of which only the top 100 are kept."""
    data, _, views = setting(world(users=60, items=300, events=20), count=4)
    model = Planted(noise(7, data.n_items))
    queries = views.queries["retain"]
    top = model.scores(views, data.n_items)["retain"].top_items
    assert top.shape[1] == 100 < data.n_items
    found = lists(top, queries.histories, data.n_items)
    z = model.logits(queries)
    for row in range(len(queries)):
        had = set(queries.histories.row(row).tolist())
        exact = [i for i in np.argsort(-z[row]).tolist() if i not in had][:10]
        assert found.items[row][found.chosen[row]].tolist() == exact


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12))
@settings(max_examples=100)
def test_gini_is_half_the_relative_mean_difference(counts: list[int]) -> None:
    x = np.asarray(counts)
    n = len(x)
    mean = np.abs(x[:, None] - x[None, :]).sum() / (2 * n * max(x.sum(), 1))
    assert gini(x) == pytest.approx(mean)
    assert 0 <= gini(x) <= 1 - 1 / n + 1e-12
    assert coverage(x) == np.mean(x > 0)


def test_gold_against_itself_is_nothing() -> None:
    ctx = judged(np.arange(200).reshape(20, 10) % 40, 40)
    found = measure(replace(ctx, subject=ctx.roles["gold"]))
    for name in ("coverage", "gini", "popularity"):
        assert found[f"{name}@10:vs_gold/retain"].value == 0
    assert found["popularity@10:vs_gold/retain"].interval == (0.0, 0.0)


def test_a_methods_own_gold_is_compared_with_the_boards() -> None:
    """Its row is called as the role is, and answers otherwise."""
    ctx = judged(np.arange(200).reshape(20, 10) % 40, 40)
    gold = ctx.roles["gold"]
    assert gold.name == "gold" and ctx.subject.scores is not gold.scores
    for first in (False, True):  # whichever of the two is looked at before the other
        row = replace(ctx, subject=replace(ctx.subject, name="gold"), memo={})
        if first:
            recommended(row, row.roles["gold"])
        found, right = measure(row), measure(replace(ctx, memo={}))
        for name in ("coverage", "gini", "popularity"):
            value = found[f"{name}@10:vs_gold/retain"].value
            assert value == right[f"{name}@10:vs_gold/retain"].value != 0, name


def test_below_what_is_kept_the_model_that_has_the_scores_is_asked() -> None:
    """A role of a method's own is the board's on `retain`, so the board's names what its kept lists do not hold."""
    ctx = judged(np.arange(200).reshape(20, 10) % 40, 40)
    own, board = (replace(ctx.roles["gold"], load=partial(str, name)) for name in ("own", "board"))
    both = combined(own, board)
    assert both.scorer("retain") == "board" and both.scorer("forget") == "own" == both.load()
    assert own.scorer("retain") == "own"
