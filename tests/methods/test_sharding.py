"""Methods with shards: partitions, mixtures, and that forgetting is exact, bit for bit."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from vestige.data.interactions import Interactions
from vestige.data.request import HoldoutConfig, Part, RequestConfig, Split, draw, training
from vestige.data.sequences import Sequences
from vestige.data.sequences import sequences as rows_of
from vestige.errors import InputError
from vestige.methods import Budget, Maker, Task, Unlearned
from vestige.pipeline.tasks import make_task
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue, Modular, Recommender, Represents, Trainable
from vestige.recommenders.popularity import Popularity
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.testing import world
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic
from vestige_methods.sharding.adapter_shards import AdapterEnsemble, AdapterShards, one_hot
from vestige_methods.sharding.affinity import Affinity, mixture, vectors_of, weights_of
from vestige_methods.sharding.config import AdapterShardsConfig, ShardsConfig, SISAConfig
from vestige_methods.sharding.partition import BACKBONE, Partition, balanced, divide, drawn, matched, moved
from vestige_methods.sharding.sisa import SISA, Ensemble, TorchEnsemble
from vestige_metrics.attacks.quantise import quantise
from vestige_metrics.attacks.relearn import trainable_part
from vestige_metrics.attacks.weights import put_back

DATA = Synthetic(SyntheticConfig(users=48, items=30, events=12, tastes=3), Path()).load()
CATALOGUE = Catalogue(tuple(DATA.item_ids.tolist()))
MARKER = 29
SEED = 5

CONFIGS: Mapping[str, Any] = {
    "sasrec": (SASRec, SASRecConfig(d_model=8, d_ff=16, layers=1, heads=1, passes=4, window=8, batch_size=8)),
    "t5": (
        T5Recommender,
        T5RecommenderConfig(
            d_model=8, d_ff=16, layers=1, heads=2, passes=4, window=6, context=6, recent=4, batch_size=8,
            learning_rate=1e-2,
        ),
    ),
    "popularity": (Popularity, PopularityConfig()),
}  # fmt: skip


def maker_of(name: str, **more: Any) -> Maker:
    kind, config = CONFIGS[name]
    config = config.model_copy(update=more)
    return Maker(
        CATALOGUE,
        "cpu",
        fresh=lambda: kind(config, CATALOGUE, "cpu"),
        load=lambda folder: kind.load(folder, config, CATALOGUE, "cpu"),
    )


@dataclass(frozen=True)
class Case:
    """A method with its own base, and what it is asked to forget."""

    method: Any
    maker: Maker
    data: Interactions
    split: Split

    @property
    def retained(self) -> Sequences:
        return training(self.data, self.split, [Part.RETAINED])

    def base(self) -> Recommender:
        torch.set_num_threads(1)
        model: Recommender = self.method.recommender(self.maker)
        model.fit(training(self.data, self.split, [Part.RETAINED, Part.FORGET]), SEED, silent)
        return model

    def task(self, base: Recommender) -> Task:
        return make_task(
            self.data, self.split, Part.FORGET, recommender=base, seed=1, device="cpu",
            budget=Budget(passes=3, seconds=1.0), progress=silent,
            fresh=lambda: self.method.recommender(self.maker),
        )  # fmt: skip

    def forget(self, base: Recommender) -> Unlearned:
        found: Unlearned = self.method.unlearn(self.task(base))
        return found


def planted(kind: str = "users", forgotten: int | None = None) -> tuple[Interactions, Split]:
    """One user (or one user's interactions) to forget, with an item that nobody else has."""
    split = draw(DATA, RequestConfig(kind=kind, count=4, percent=25), HoldoutConfig(), 0)
    item = np.where(DATA.item == MARKER, MARKER - 1, DATA.item)
    user = int(split.forget_users[0]) if forgotten is None else forgotten
    if forgotten is not None:
        users = np.asarray([forgotten])
        part = np.where((split.part == Part.FORGET) | (split.part == Part.UNSEEN), Part.RETAINED, split.part)
        part[(DATA.user == user) & (part == Part.RETAINED)] = Part.FORGET
        split = replace(split, part=part.astype(np.int8), forget_users=users, unseen_users=users[:0])
    else:
        split = world.narrowed(DATA, split, split.forget_users[:1])
    item[(split.part == Part.FORGET) & (DATA.user == user)] = MARKER
    return replace(DATA, item=item.astype(DATA.item.dtype)), split


def saved(model: Any, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    model.save(folder)
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


# -- partitions ------------------------------------------------------------------------------------------------------


def greedy(similarity: Any, capacity: int) -> list[int]:
    """All pairs in the order of similarity, one after another."""
    n, shards = similarity.shape
    pairs = sorted((-similarity[u, k], u, k) for u in range(n) for k in range(shards))
    found, room = [-1] * n, [capacity] * shards
    for _, u, k in pairs:
        if found[u] < 0 and room[k]:
            found[u], room[k] = k, room[k] - 1
    return found


@given(st.integers(1, 25), st.integers(1, 5), st.integers(0, 2**31), st.booleans())
@settings(deadline=None)
def test_a_matching_is_what_taking_the_pairs_in_order_gives(users: int, shards: int, seed: int, ties: bool) -> None:
    similarity = np.random.default_rng(seed).random((users, shards))
    similarity = np.round(similarity, 1) if ties else similarity
    capacity = -(-users // shards)
    assert matched(similarity, capacity).tolist() == greedy(similarity, capacity)


@given(st.sets(st.integers(0, 10_000), min_size=2, max_size=60), st.integers(2, 6), st.integers(0, 2**31 - 1))
@settings(deadline=None)
def test_a_random_shard_depends_on_nobody_else(users: set[int], shards: int, seed: int) -> None:
    config = ShardsConfig(shards=shards)
    everybody = divide(rows_of([[0]] * len(users), sorted(users)), 1, config, seed, backbone=0.3)
    few = sorted(users)[::2]
    alone = divide(rows_of([[0]] * len(few), few), 1, config, seed, backbone=0.3)
    assert np.array_equal(everybody.of(np.asarray(few)), alone.shards)
    assert ((everybody.shards >= BACKBONE) & (everybody.shards < shards)).all()


def test_random_shards_are_of_about_the_same_size_and_another_seed_divides_otherwise() -> None:
    one, other = (drawn(np.arange(4000), seed, "shard") for seed in (0, 1))
    assert ((one >= 0) & (one < 1)).all()
    assert np.bincount((one * 4).astype(int)) == pytest.approx([1000] * 4, abs=120)
    assert np.mean((one * 4).astype(int) == (other * 4).astype(int)) == pytest.approx(0.25, abs=0.05)


def test_balanced_shards_hold_similar_users_and_as_many_each() -> None:
    rng = np.random.default_rng(0)
    taste = rng.permutation(np.repeat([0, 1, 2], 20))
    rows = rows_of([(10 * t + rng.permutation(10)[:6]).tolist() for t in taste])
    found = divide(rows, 30, ShardsConfig(shards=3, partition="balanced"), seed=0)
    assert np.bincount(found.shards).tolist() == [20, 20, 20]
    together = {tuple(sorted(set(found.shards[taste == t].tolist()))) for t in range(3)}
    assert len(together) == 3 and all(len(shards) == 1 for shards in together)


@given(st.integers(0, 40), st.integers(2, 6), st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=30)
def test_no_balanced_shard_is_larger_than_its_share(users: int, shards: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rows_of([rng.integers(0, 12, rng.integers(1, 5)).tolist() for _ in range(users)])
    vectors = vectors_of(rows, weights_of(rows, 12))
    assert isinstance(vectors, csr_array)
    sizes = np.bincount(balanced(vectors, shards, rng.random(users)), minlength=shards)
    assert sizes.sum() == users and sizes.max(initial=0) <= -(-users // shards)


def test_moved_counts_users_and_not_names_of_shards() -> None:
    users = np.arange(10)
    one = Partition(users, np.repeat([0, 1], 5))
    assert moved(one, Partition(users, np.repeat([1, 0], 5))) == 0
    changed = np.repeat([1, 0], 5)
    changed[0] = 0
    assert moved(one, Partition(users, changed)) == pytest.approx(0.1)
    assert moved(one, Partition(users[1:], changed[1:])) == 0


# -- mixtures --------------------------------------------------------------------------------------------------------


def test_attention_knows_the_shard_of_a_history() -> None:
    rows = rows_of([[0, 1, 2], [1, 2, 3], [6, 7, 8], [7, 8, 9]])
    affinity = Affinity.to(rows, np.asarray([0, 0, 2, 2]), np.asarray([0, 2]), 10)
    histories = rows_of([[0, 3], [9, 6, 9], [], [1, 7]])
    soft, hard = (affinity.attention(histories, t) for t in (0.5, 0.01))
    assert soft.sum(axis=1) == pytest.approx(np.ones(4))
    assert soft[0, 0] > 0.6 and soft[1, 1] > 0.6
    assert soft[2] == pytest.approx([0.5, 0.5]) and soft[3] == pytest.approx([0.5, 0.5])
    assert hard[0] == pytest.approx([1, 0]) and hard[1] == pytest.approx([0, 1])


@given(st.integers(1, 4), st.integers(0, 2**31 - 1))
@settings(deadline=None)
def test_a_mixture_of_answers_is_an_answer(shards: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = [np.log(rng.dirichlet(np.ones(7), size=3)).astype(np.float32) for _ in range(shards)]
    weights = rng.dirichlet(np.ones(shards), size=3)
    weights[0] = np.eye(shards)[0]  # a shard that weighs nothing
    mixed = mixture(answers, weights)
    expected = sum(weights[:, k, None] * np.exp(one) for k, one in enumerate(answers))
    assert mixed.dtype == np.float32
    assert np.exp(mixed) == pytest.approx(np.asarray(expected), abs=1e-5)
    assert mixed[0] == pytest.approx(answers[0][0], abs=1e-5)


# -- sisa ------------------------------------------------------------------------------------------------------------

VARIANTS = [
    pytest.param("sasrec", "users", {"partition": "random", "aggregation": "attention"}, id="sasrec"),
    pytest.param("sasrec", "interactions", {"partition": "balanced", "aggregation": "attention"}, id="interactions"),
    pytest.param("t5", "users", {"partition": "balanced", "aggregation": "mean", "passes": 2}, id="t5"),
    pytest.param("popularity", "users", {"partition": "random"}, id="popularity"),
]


@pytest.mark.parametrize(("recommender", "kind", "how"), VARIANTS)
def test_what_sisa_forgot_was_never_there(recommender: str, kind: str, how: Mapping[str, Any], tmp_path: Path) -> None:
    """Every byte is that of an ensemble trained without it, under the same partition; other shards stay."""
    data, split = planted(kind)
    case = Case(SISA(SISAConfig(**{"shards": 3, **how})), maker_of(recommender), data, split)
    base = case.base()
    assert isinstance(base, Ensemble)
    before, partition = saved(base, tmp_path / "base"), base.state.partition
    assert MARKER not in case.retained.items and MARKER in case.task(base).forget_sequences.items
    found = case.forget(base)
    after = saved(found.model, tmp_path / "unlearned")

    scratch = case.method.recommender(case.maker)
    scratch.train(case.retained, partition.only(case.retained.users), SEED, silent)
    assert after == saved(scratch, tmp_path / "scratch")
    if how["partition"] == "random":  # then the partition itself knows nothing of the forgotten
        again = case.method.recommender(case.maker)
        again.fit(case.retained, SEED, silent)
        assert after == saved(again, tmp_path / "again")

    (touched,) = np.unique(partition.of(split.forget_users[:1])).tolist()
    assert found.notes["shards trained again"] == 1
    weights = [name for name in before if name.endswith(("/model.safetensors", "/popularity.json"))]
    assert len(weights) == 3
    assert {name for name in weights if before[name] != after[name]} == {
        name for name in weights if name.startswith(f"shard-{touched}/")
    }
    assert before["shards.safetensors"] != after["shards.safetensors"]


def test_a_shard_that_everybody_left_answers_no_more(tmp_path: Path) -> None:
    config = SISAConfig(shards=2, aggregation="attention")
    rows = rows_of([[0, 1, 2], [3, 4, 5], [1, 2, 3]], [0, 1, 2])
    ensemble = SISA(config).recommender(maker_of("popularity"))
    assert isinstance(ensemble, Ensemble)
    ensemble.train(rows, Partition(np.arange(3), np.asarray([0, 1, 1])), SEED, silent)
    left = rows.take(np.asarray([1, 2]))
    ensemble.forget(left, np.asarray([0]), silent)
    assert list(ensemble.state.models) == [1]
    ensemble.save(tmp_path)
    again = SISA(config).load_recommender(tmp_path, maker_of("popularity"))
    assert again.score(left) == pytest.approx(ensemble.score(left), abs=1e-6)
    with pytest.raises(InputError, match="nothing to train on"):
        ensemble.forget(left.take(np.zeros(0, np.int64)), np.asarray([1]), silent)


def test_the_price_of_sisa_is_that_of_the_shards_it_trains() -> None:
    data, split = planted()
    case = Case(SISA(SISAConfig(shards=3)), maker_of("sasrec"), data, split)
    base = case.base()
    assert isinstance(base, TorchEnsemble)
    sizes = [sum(p.numel() for p in model.module.parameters()) for model in base.models]  # type: ignore[attr-defined]
    whole = case.method.recommender(case.maker).fit(case.retained, SEED, silent)
    found = case.forget(base)
    assert found.trainable_parameters == sizes[0]
    assert whole.flops and found.flops and 0.1 < found.flops / whole.flops < 0.6
    everybody = replace(case.task(base), forget_sequences=training(data, split, [Part.RETAINED]))
    all_of_it = case.method.unlearn(everybody)
    assert all_of_it.flops == pytest.approx(whole.flops)
    assert all_of_it.notes["shards trained again"] == 3
    nobody = replace(everybody, forget_sequences=everybody.forget_sequences.take(np.zeros(0, np.int64)))
    assert case.method.unlearn(nobody).flops == 0


def test_attackers_reach_every_shard() -> None:
    data, split = planted()
    case = Case(SISA(SISAConfig(shards=2)), maker_of("sasrec"), data, split)
    model = case.base()
    assert isinstance(model, Modular) and isinstance(model, Represents)
    assert trainable_part(model) is model
    asked = case.retained.take(np.arange(5))
    before = model.score(asked)
    assert len(model.modules()) == 2 and model.represent(asked).shape == (5, 2 * 2 * 8)
    with put_back(model.modules()):
        quantise(model.modules())
        assert np.abs(model.score(asked) - before).max() > 0
    assert np.array_equal(model.score(asked), before)
    assert isinstance(model, Trainable)
    model.loss(asked, np.random.default_rng(0)).backward()
    for module in model.modules():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    model.train_on(asked, 1, 0, silent)
    assert np.abs(model.score(asked) - before).max() > 0


def test_a_recommender_that_is_told_nothing_of_passes_refuses_them_in_a_sentence() -> None:
    ensemble = SISA(SISAConfig(passes=3)).recommender(maker_of("popularity"))
    assert not isinstance(ensemble, Modular | Trainable | Represents)
    with pytest.raises(InputError, match="passes"):
        ensemble.fit(rows_of([[0, 1]] * 8), 0, silent)


# -- adapter_shards --------------------------------------------------------------------------------------------------


def adapters(**how: Any) -> AdapterShards:
    return AdapterShards(AdapterShardsConfig(**{"shards": 2, "rank": 2, "lora_alpha": 4.0, "passes": 3, **how}))


def who(shard: int) -> int:
    """A user of a shard, or of the backbone."""
    everybody = rows_of([[0]] * DATA.n_users)
    found = divide(everybody, 1, ShardsConfig(shards=2), SEED, backbone=0.5)
    return int(found.users[found.shards == shard][0])


@pytest.mark.parametrize("recommender", ["t5", "sasrec"])
@pytest.mark.parametrize("shard", [1, BACKBONE])
def test_what_adapters_forgot_was_never_there(shard: int, recommender: str, tmp_path: Path) -> None:
    data, split = planted(forgotten=who(shard))
    case = Case(adapters(), maker_of(recommender), data, split)
    base = case.base()
    before = saved(base, tmp_path / "base")
    found = case.forget(base)
    after = saved(found.model, tmp_path / "unlearned")
    scratch = case.method.recommender(case.maker)
    whole = scratch.fit(case.retained, SEED, silent)
    assert after == saved(scratch, tmp_path / "scratch")
    weights = {name for name in before if name.endswith(".safetensors") and name != "shards.safetensors"}
    changed = {name for name in weights if before[name] != after[name]}
    assert found.flops is not None and whole.flops is not None
    if shard == BACKBONE:
        assert changed == weights and found.flops == pytest.approx(whole.flops)
        assert found.notes["backbone trained again"] == 1
    else:
        assert changed == {"adapters/shard_1/adapter_model.safetensors"} and found.flops < whole.flops / 2
        assert found.notes["adapters trained again"] == 1
    again = case.method.load_recommender(tmp_path / "unlearned", case.maker)
    asked = case.retained
    assert again.score(asked) == pytest.approx(found.model.score(asked), abs=1e-5)


@pytest.fixture(scope="module", params=["t5", "sasrec"])
def carried(request: pytest.FixtureRequest) -> tuple[AdapterEnsemble, Sequences]:
    case = Case(adapters(temperature=0.3), maker_of(request.param, score_batch_size=4), *planted())
    model = case.base()
    assert isinstance(model, AdapterEnsemble)
    torch.manual_seed(0)
    with torch.no_grad():  # adapters that differ more than a moment's training makes them
        for name, weight in model.module.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=2.0)
    return model, case.retained.take(np.arange(6))


def test_each_history_is_answered_by_its_own_sum_of_adapters(carried: tuple[AdapterEnsemble, Sequences]) -> None:
    model, asked = carried
    attention, scores = model.weights(asked), model.score(asked)
    assert np.ptp(attention[:, 0]) > 0.01
    for row in range(3):
        alone = asked.take(np.asarray([row]))
        assert model.score(alone)[0] == pytest.approx(scores[row], abs=1e-5)
        merged: Any = copy.deepcopy(model.state.mixed)
        merged.add_weighted_adapter(list(model.names.values()), attention[row].tolist(), "sum", "cat")
        merged.set_adapter("sum")
        summed = copy.copy(model.state.backbone)
        summed.module = merged.base_model.model
        assert summed.score(alone)[0] == pytest.approx(scores[row], abs=1e-4)
        assert np.abs(model.state.backbone.score(alone)[0] - scores[row]).max() > 1e-2


def test_answers_are_mixed_where_that_is_asked_for(carried: tuple[AdapterEnsemble, Sequences]) -> None:
    model, asked = carried
    other = copy.copy(model)
    other.config = model.config.model_copy(update={"mixing": "answers"})
    single = []
    for place in range(2):
        with model._mixed(one_hot(place, 2)):
            single.append(model._answering.score(asked))
    assert np.abs(single[0] - single[1]).max() > 1e-2
    expected = mixture(single, model.weights(asked))
    assert other.score(asked) == pytest.approx(expected, abs=1e-5)
    assert np.abs(other.score(asked) - model.score(asked)).max() > 1e-4


def test_attackers_reach_backbone_and_adapters(carried: tuple[AdapterEnsemble, Sequences]) -> None:
    model, asked = carried
    before = model.score(asked)
    assert trainable_part(model) is model and model.represent(asked).shape == (6, 2 * 8)
    with put_back([model.module]):
        quantise(model.modules())
        assert np.abs(model.score(asked) - before).max() > 0
    assert np.array_equal(model.score(asked), before)
    model.module.requires_grad_(True)
    model.loss(asked, np.random.default_rng(0)).backward()
    reached = {name for name, p in model.module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(item_table in name for name in reached for item_table in ("shared", "items"))
    assert all(any(f"lora_A.{name}." in found for found in reached) for name in model.names.values())
    model.module.zero_grad()


def test_adapters_are_on_every_linear_layer_but_the_output_head(carried: tuple[AdapterEnsemble, Sequences]) -> None:
    model, _ = carried
    plain = model.state.backbone.module
    linear = {name for name, layer in plain.named_modules() if type(layer) is torch.nn.Linear} - {"lm_head"}
    adapted = {name.partition(".lora_A.")[0] for name in model.module.state_dict() if ".lora_A.shard_1." in name}
    assert linear and {name.removeprefix("base_model.model.") for name in adapted} == linear


def test_where_answers_are_mixed_each_adapter_has_a_loss_of_its_own(carried: tuple[AdapterEnsemble, Sequences]) -> None:
    model, asked = carried
    other = copy.copy(model)
    other.config = model.config.model_copy(update={"mixing": "answers"})
    rng = np.random.default_rng(0)
    expected = []
    for place in range(2):
        with model._mixed(one_hot(place, 2)):
            expected.append(float(model._answering.loss(asked, rng).detach()))
    found = float(other.loss(asked, np.random.default_rng(0)).detach())
    assert found == pytest.approx(np.mean(expected), rel=1e-5)
    mixed = float(model.loss(asked, np.random.default_rng(0)).detach())
    assert abs(found - mixed) > 1e-3


@pytest.mark.parametrize("recommender", ["t5", "sasrec"])
def test_training_on_moves_the_adapters_of_those_users_and_nothing_else(recommender: str) -> None:
    data, split = planted()
    case = Case(adapters(), maker_of(recommender), data, split)
    model = case.base()
    assert isinstance(model, AdapterEnsemble)
    before = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    rows = case.retained.take(np.flatnonzero(model.state.partition.of(case.retained.users) == 1))
    model.train_on(rows, 1, 0, silent, 1e-2)
    changed = {name for name, p in model.module.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all(".shard_1." in name for name in changed)


def test_adapters_of_a_checkpoint_leave_it_alone(tmp_path: Path) -> None:
    maker = maker_of("t5")
    pretrained = maker.fresh()
    pretrained.fit(training(DATA, planted()[1], [Part.UNSEEN, Part.RETAINED]), 3, silent)
    pretrained.save(tmp_path)
    kind, config = CONFIGS["t5"]
    started = T5RecommenderConfig(
        init=str(tmp_path), **config.model_dump(include={"passes", "window", "context", "recent", "batch_size"})
    )
    case = Case(
        adapters(),
        Maker(
            CATALOGUE,
            "cpu",
            fresh=lambda: kind(started, CATALOGUE, "cpu"),
            load=lambda folder: kind.load(folder, started, CATALOGUE, "cpu"),
        ),
        *planted(),
    )
    base = case.base()
    assert isinstance(base, AdapterEnsemble) and (base.state.partition.shards >= 0).all()
    found = case.forget(base)
    for name, weight in pretrained.module.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(base.state.backbone.module.state_dict()[name], weight)
    assert found.notes["backbone trained again"] == 0 and found.notes["adapters trained again"] == 1


def test_what_adapters_cannot_do_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the recommender 't5' or 'sasrec'"):
        adapters().recommender(maker_of("popularity"))
    with pytest.raises(InputError, match="set mixing = 'answers'"):
        adapters().recommender(maker_of("t5", items="sequential"))
    adapters(mixing="answers").recommender(maker_of("t5", items="sequential"))
    for method, file in ((adapters(), "adapter_shards.json"), (SISA(SISAConfig()), "sisa.json")):
        (tmp_path / file).write_text(json.dumps({"format": 2}))
        with pytest.raises(InputError, match=file):
            method.load_recommender(tmp_path, maker_of("t5"))
