"""Control rows are what they stand for: ignorant, ruined, over-fitted, or merely hiding."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige import plugins
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, training
from vestige.data.sequences import sequences
from vestige.data.views import build
from vestige.errors import InputError
from vestige.measuring.ranks import hit_at
from vestige.methods import Budget, Loads, Task, Unlearned
from vestige.pipeline.tasks import make_task
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.popularity import Popularity
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.scoring import rank_queries
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.specs import MethodSpec
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic
from vestige_methods.configs import NoSettings
from vestige_methods.controls_config import DestroyedConfig
from vestige_methods.destroyed import Destroyed
from vestige_methods.overfitted import Overfitted
from vestige_methods.uniform_on_f import UniformOnF, UniformOnFModel, hashes_of
from vestige_methods.untrained import Untrained

DATA = Synthetic(SyntheticConfig(users=60, items=40, events=16, tastes=4), Path()).load()
TINY = T5RecommenderConfig(
    d_model=16, d_ff=32, layers=1, heads=2, passes=25, window=8, context=10, recent=4, batch_size=8, learning_rate=1e-2
)
CATALOGUE = Catalogue(tuple(DATA.item_ids.tolist()))
METHODS = {
    "untrained": Untrained(NoSettings()),
    "destroyed": Destroyed(DestroyedConfig()),
    "overfitted": Overfitted(NoSettings()),
    "uniform_on_f": UniformOnF(NoSettings()),
}


@pytest.fixture(scope="module", params=["users", "interactions"])
def world(request, tmp_path_factory):
    split = draw(DATA, RequestConfig(kind=request.param, count=8, percent=20), HoldoutConfig(), 0)
    base = T5Recommender(TINY, CATALOGUE)
    base.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    folder = tmp_path_factory.mktemp("base")
    base.save(folder)
    return split, build(DATA, split, 0), folder


def base_in(folder: Path) -> T5Recommender:
    return T5Recommender.load(folder, TINY, CATALOGUE, "cpu")


def task_in(world) -> Task:
    split, _, folder = world
    return make_task(
        DATA,
        split,
        Part.FORGET,
        recommender=base_in(folder),
        seed=5,
        device="cpu",
        budget=Budget(25, 1.0),
        progress=silent,
        fresh=lambda: T5Recommender(TINY, CATALOGUE),
    )


def hits(model, queries) -> float:
    return float(hit_at(*rank_queries(model, queries, DATA.n_items), 5).mean())


def log_prob(model, queries) -> np.ndarray:
    return model.score(queries.histories)[np.arange(len(queries)), queries.targets]


def loaded(name: str, result: Unlearned, world, folder: Path):
    result.model.save(folder)
    method = METHODS[name]
    if isinstance(method, Loads):
        return method.load(folder, base_in(world[2]))
    return T5Recommender.load(folder, TINY, CATALOGUE, "cpu")


def test_they_are_listed_as_controls() -> None:
    found = plugins.load().all(MethodSpec)
    assert {name for name, spec in found.items() if spec.control} == set(METHODS)
    for name, method in METHODS.items():
        assert isinstance(found[name].load()(found[name].config()), type(method))


@pytest.mark.parametrize("name", list(METHODS))
def test_they_come_back_from_their_files(name: str, world, tmp_path: Path) -> None:
    result = METHODS[name].unlearn(task_in(world))
    again = loaded(name, result, world, tmp_path)
    queries = world[1].queries["forget"]
    scores = result.model.score(queries.histories)
    assert np.isfinite(scores).all()
    assert np.exp(scores.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(len(queries)), rel=1e-4)
    assert np.array_equal(again.score(queries.histories), scores)
    assert all(np.isfinite(value) for value in result.notes.values())
    same = METHODS[name].unlearn(task_in(world)).model
    assert np.array_equal(same.score(queries.histories), scores)


def test_untrained_knows_nobody(world) -> None:
    _, views, folder = world
    result = Untrained(NoSettings()).unlearn(task_in(world))
    assert hits(base_in(folder), views.queries["retain"]) > hits(result.model, views.queries["retain"]) + 0.1
    assert result.flops == 0.0
    scores = result.model.score(views.queries["retain"].histories)
    fresh = T5Recommender(TINY, CATALOGUE).score(views.queries["retain"].histories)
    assert np.array_equal(scores, fresh)


def test_destroyed_is_of_no_more_use_and_stays_finite(world) -> None:
    _, views, folder = world
    result = Destroyed(DestroyedConfig()).unlearn(task_in(world))
    retain, forget = views.queries["retain"], views.queries["forget"]
    assert hits(base_in(folder), retain) > hits(result.model, retain) + 0.1
    assert log_prob(result.model, forget).mean() < -2 * np.log(DATA.n_items)
    assert log_prob(result.model, retain).mean() < -1.5 * np.log(DATA.n_items)  # −log n is knowing nothing
    long = Destroyed(DestroyedConfig(steps=300)).unlearn(task_in(world))
    assert np.isfinite(long.model.score(forget.histories)).all()
    one = Destroyed(DestroyedConfig(steps=1)).unlearn(task_in(world))
    assert result.flops == pytest.approx(60 * one.flops) and one.flops > 0


def test_overfitted_tells_f_from_t_for_sure(world) -> None:
    split, views, folder = world
    result = Overfitted(NoSettings()).unlearn(task_in(world))

    def auc(model) -> float:
        means = [
            np.asarray([log_prob(model, q)[q.users == user].mean() for user in users if (q.users == user).any()])
            for q, users in (
                (views.queries["forget"], split.forget_users),
                (views.queries["unseen_train"], split.unseen_users),
            )
        ]
        return float((means[0][:, None] > means[1][None, :]).mean())

    assert auc(result.model) > (0.95 if split.kind == "users" else 0.85)
    assert auc(result.model) > auc(base_in(folder))
    assert result.notes["passes"] == 25


@pytest.mark.parametrize("name", ["destroyed", "overfitted"])
def test_what_cannot_be_trained_is_refused_in_a_sentence(name: str, world) -> None:
    task = task_in(world)
    object.__setattr__(task, "recommender", Popularity(PopularityConfig(), CATALOGUE, "cpu"))
    with pytest.raises(InputError, match=rf"{name} needs a recommender that can be trained further"):
        METHODS[name].unlearn(task)


def test_uniform_on_f_shrugs_at_exact_histories_and_nowhere_else(world) -> None:
    split, views, folder = world
    task = task_in(world)
    model = UniformOnF(NoSettings()).unlearn(task).model
    base = base_in(folder)
    known = {tuple(task.forget.histories.row(i).tolist()) for i in range(len(task.forget))}
    for name in ("retain", "forget", "unseen_train"):
        histories = views.queries[name].histories
        routed = np.asarray([tuple(histories.row(i).tolist()) in known for i in range(len(histories))])
        # The two interactions of a pair are adjacent, so F and T are asked for after the same retained items.
        assert routed.all() == (name == "forget" or (name == "unseen_train" and split.kind == "interactions"))
        own, plain = model.score(histories), base.score(histories)
        assert np.array_equal(own[~routed], plain[~routed])
        assert (own[routed] == np.float32(-np.log(DATA.n_items))).all()
    # Rows of both kinds in one batch, in any order.
    others = [row for row in map(tuple, np.split(task.retained.items, task.retained.offsets[1:-1])) if row not in known]
    mixed = sequences([row for pair in zip(sorted(known), others, strict=False) for row in pair])
    own, plain = model.score(mixed), base.score(mixed)
    assert (own[::2] == np.float32(-np.log(DATA.n_items))).all()
    assert np.array_equal(own[1::2], plain[1::2]) and len(mixed) >= 20
    assert np.array_equal(base.score(mixed), plain)
    assert (model.score(task.forget.histories.tail(1)) != np.float32(-np.log(DATA.n_items))).any()


def test_uniform_on_f_keeps_hashes_only_and_refuses_other_folders(world, tmp_path: Path) -> None:
    result = UniformOnF(NoSettings()).unlearn(task_in(world))
    result.model.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["hashes.safetensors"]
    assert result.notes["histories"] == len(result.model.hashes)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "hashes.safetensors").write_text("no")
    for folder in ("empty", "broken"):
        with pytest.raises(InputError, match="no uniform_on_f"):
            UniformOnF(NoSettings()).load(tmp_path / folder, result.model.base)


ROWS = st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=12)


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_hashes_know_the_order(one: list[int], two: list[int]) -> None:
    first, second = hashes_of(sequences([one, two]))
    assert ((first == second) == (one == two)).all()


@given(ROWS)
def test_hashes_are_equal_where_rows_are_and_nowhere_else(rows: list[list[int]]) -> None:
    hashes = hashes_of(sequences(rows))
    assert hashes.shape == (len(rows), 2) and hashes.dtype == np.uint64
    for column in (hashes, hashes[:, :1], hashes[:, 1:]):  # either half alone would do on so few rows
        same = (column[:, None] == column[None, :]).all(axis=2)
        assert same.tolist() == [[a == b for b in rows] for a in rows]


def test_hashes_do_not_depend_on_the_company_and_spread_over_all_bits() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 5000, rng.integers(0, 60)).tolist() for _ in range(3000)]
    hashes = hashes_of(sequences(rows))
    assert np.array_equal(hashes[10:13], hashes_of(sequences(rows[10:13])))
    some = hashes[[len(row) > 0 for row in rows]]
    bits = np.unpackbits(some.view(np.uint8), axis=1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.05
    assert len(np.unique(some[:, 0])) == len({tuple(row) for row in rows if row})


def test_an_unlisted_model_is_the_base(world) -> None:
    base = base_in(world[2])
    model = UniformOnFModel(base, np.zeros((0, 2), np.uint64))
    histories = world[1].queries["retain"].histories
    assert np.array_equal(model.score(histories), base.score(histories))
