"""The baselines: each does what its formula says, touches nothing else, and is known by its characteristic property."""

import copy
import importlib
import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from vestige import plugins
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, training
from vestige.data.sequences import sequences
from vestige.data.views import Queries
from vestige.errors import InputError
from vestige.measuring.ranks import hit_at
from vestige.methods import Budget, Loads, Task, Unlearned
from vestige.pipeline.tasks import make_task
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue, Transitions
from vestige.recommenders.gradients import fisher, frozen
from vestige.recommenders.popularity import Popularity
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.scoring import rank_queries
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.recommenders.windows import Coverage, draw_windows, mean_sizes, windows_a_pass
from vestige.specs import MethodSpec
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic
from vestige_methods.baselines import configs, loop, pcgrad, random_label, scrub, ssd
from vestige_methods.baselines.dpo_alternative import alternatives
from vestige_methods.baselines.e2urec import without
from vestige_methods.baselines.influence import conjugate_gradients
from vestige_methods.baselines.loop import Batches, ce, kl
from vestige_methods.baselines.noise_repair import LOOKS
from vestige_methods.baselines.npo import npo_loss
from vestige_methods.baselines.pcgrad import surgery
from vestige_methods.baselines.plugin import BASELINES
from vestige_methods.baselines.random_label import another
from vestige_methods.baselines.shares import asked, drawn, forgotten_by_retained, of_queries, trained_on
from vestige_methods.baselines.simnpo import simnpo_loss
from vestige_methods.baselines.undial import lowered

DATA = Synthetic(SyntheticConfig(users=60, items=40, events=16, tastes=4), Path()).load()
TINY = SASRecConfig(
    d_model=16, d_ff=32, layers=1, dropout=0.0, passes=150, window=12, batch_size=16, learning_rate=1e-2
)
TINY_T5 = T5RecommenderConfig(
    d_model=16, d_ff=32, layers=1, heads=2, passes=40, window=8, context=10, recent=4, batch_size=8, learning_rate=1e-2
)
CATALOGUE = Catalogue(tuple(DATA.item_ids.tolist()))
NAMES = [name for name, *_ in BASELINES]
QUICK: Mapping[str, Mapping[str, Any]] = {
    "gradient_ascent": {"steps": 60, "learning_rate": 2e-3},
    "ssd": {"transitions": 200, "alpha": 1.5},
    "influence": {"sequences": 32, "iterations": 10, "damping": 0.05},
    "task_vector": {"steps": 10, "learning_rate": 2e-3},
    "noise_repair": {"steps": 60, "learning_rate": 5e-3},
    "e2urec": {"steps": 40, "augment_steps": 20, "learning_rate": 1e-2},
    "scrub": {"steps": 40, "max_steps": 12, "learning_rate": 2e-3},
    "decode_filter": {},
}
"""Settings that fit the small world; the others take 40 steps at 2e-3."""


def method(name: str, **more: Any) -> Any:
    spec = plugins.load().get(MethodSpec, name)
    settings = QUICK.get(name, {"steps": 40, "learning_rate": 2e-3})
    return spec.load()(spec.config(**{**settings, **more}))


@pytest.fixture(scope="module", params=["users", "interactions"])
def world(request):
    split = draw(DATA, RequestConfig(kind=request.param, count=8, percent=20), HoldoutConfig(), 0)
    base = SASRec(TINY, CATALOGUE)
    base.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return split, base


def task_of(world, model: Any = None, seed: int = 1) -> Task:
    split, base = world
    return make_task(
        DATA, split, Part.FORGET, recommender=model or copy.deepcopy(base), seed=seed, device="cpu",
        budget=Budget(passes=3, seconds=1.0), progress=silent, fresh=lambda: SASRec(TINY, CATALOGUE),
    )  # fmt: skip


def run(world, name: str, **more: Any) -> tuple[Task, Unlearned]:
    task = task_of(world)
    return task, method(name, **more).unlearn(task)


def remembered(model: Any, task: Task) -> float:
    """hit@1 of the forgotten transitions."""
    above, equal = rank_queries(model, task.forget, len(CATALOGUE))
    return float(hit_at(above, equal, 1).mean())


def ce_of(model: Any, queries: Queries) -> float:
    return float(-model.score(queries.histories)[np.arange(len(queries)), queries.targets].mean())


def retained_queries(task: Task) -> Queries:
    rows = task.retained
    cut = rows.slices(np.arange(len(rows)), np.zeros(len(rows), np.int64), rows.lengths - 1)
    return Queries(cut, rows.items[rows.offsets[1:] - 1], rows.users)


# -- every baseline --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_is_deterministic_comes_back_from_its_files_and_scores_the_catalogue(world, name: str, tmp_path) -> None:
    task, found = run(world, name)
    histories = task.forget.histories
    scores = found.model.score(histories)
    assert scores.shape == (len(task.forget), len(CATALOGUE)) and np.isfinite(scores).all()
    assert np.exp(scores.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(len(scores)), abs=1e-4)
    assert np.array_equal(run(world, name)[1].model.score(histories), scores)
    found.model.save(tmp_path)
    made = method(name)
    if isinstance(made, Loads):
        again = made.load(tmp_path, copy.deepcopy(world[1]))
    else:
        again = SASRec.load(tmp_path, TINY, CATALOGUE, "cpu")
    assert again.score(histories) == pytest.approx(scores, abs=1e-5)
    assert found.flops is not None and np.isfinite(found.flops)
    assert all(isinstance(value, int | float) for value in found.notes.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("noise_repair", "task_vector", "bad_teacher")])
def test_it_forgets_something_and_keeps_most(world, name: str) -> None:
    """More of the forgotten is lost than of the retained; how much is what a board measures."""
    task, found = run(world, name)
    base = world[1]
    lost = ce_of(found.model, task.forget) - ce_of(base, task.forget)
    paid = ce_of(found.model, retained_queries(task)) - ce_of(base, retained_queries(task))
    assert lost > 0.02 and lost > paid


@pytest.fixture(scope="module")
def on_t5():
    split = draw(DATA, RequestConfig(count=8), HoldoutConfig(), 0)
    base = T5Recommender(TINY_T5, CATALOGUE)
    base.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return split, base


@pytest.mark.parametrize("name", NAMES)
def test_t5_forgets_by_the_same_lines(on_t5, name: str, tmp_path: Path) -> None:
    split, base = on_t5
    task = make_task(
        DATA, split, Part.FORGET, recommender=copy.deepcopy(base), seed=1, device="cpu",
        budget=Budget(passes=3, seconds=1.0), progress=silent, fresh=lambda: T5Recommender(TINY_T5, CATALOGUE),
    )  # fmt: skip
    made = method(name)
    found = made.unlearn(task)
    assert ce_of(found.model, task.forget) > ce_of(base, task.forget)
    found.model.save(tmp_path)
    again = made.load(tmp_path, copy.deepcopy(base)) if isinstance(made, Loads) else None
    again = again or T5Recommender.load(tmp_path, TINY_T5, CATALOGUE, "cpu")
    assert again.score(task.forget.histories) == pytest.approx(found.model.score(task.forget.histories), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_request_leaves_the_base_as_it_was(world, name: str) -> None:
    task = task_of(world)
    nobody = np.zeros(0, np.int64)
    empty = replace(
        task,
        forget=task.forget.take(nobody),
        forget_sequences=task.forget_sequences.take(nobody),
        forget_mask=task.forget_mask[:0],
    )
    histories = retained_queries(task).histories
    assert np.array_equal(method(name).unlearn(empty).model.score(histories), world[1].score(histories))


def first_of_all(task: Task, users: bool) -> Task:
    """Somebody's only interaction, or the first of several, which nothing leads to."""
    row = task.forget_sequences.row(0)[: 1 if users else 3]
    return replace(
        task,
        forget=task.forget.take(np.zeros(0, np.int64)),
        forget_sequences=sequences([row.tolist()]),
        forget_mask=np.arange(len(row)) == 0,
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("decode_filter", "noise_repair")])
def test_what_nothing_leads_to_is_no_empty_request(world, name: str) -> None:
    users = world[0].kind == "users"
    task = first_of_all(task_of(world), users)
    if users and name != "influence":  # a window of one interaction can be trained on
        assert method(name).unlearn(task).flops
        return
    with pytest.raises(InputError, match="no transition"):
        method(name).unlearn(task)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "decode_filter"])
def test_a_recommender_without_gradients_is_refused_in_a_sentence(world, name: str) -> None:
    task = task_of(world, Popularity(PopularityConfig(), CATALOGUE, "cpu"))
    with pytest.raises(InputError, match=f"{name} needs a recommender with gradients"):
        method(name).unlearn(task)


def test_batches_of_f_hold_nothing_of_r(world) -> None:
    task = task_of(world)
    batches = Batches(world[1], task, 16)
    allowed = set((task.forget_sequences.items if task.kind == "users" else task.forget.targets).tolist())
    for _ in range(5):
        assert set(batches.forget().targets.tolist()) <= allowed
        assert set(batches.retain().targets.tolist()) <= set(task.retained.items.tolist())


# -- their formulas --------------------------------------------------------------------------------------------------


def test_npo_is_gradient_ascent_where_beta_is_small_and_lets_go_where_all_is_forgotten() -> None:
    now = torch.tensor([-1.0, -2.0], requires_grad=True)
    original = torch.tensor([-1.0, -1.5])
    # −(2/β) log σ(−β r), by hand: r = 0 and −0.5, β = 2.
    by_hand = -(np.log(1 / (1 + np.exp(0.0))) + np.log(1 / (1 + np.exp(-1.0)))) / 2
    assert float(npo_loss(now.detach(), original, 2.0)) == pytest.approx(by_hand)
    (gentle,) = torch.autograd.grad(npo_loss(now, original, 1e-3), now)
    assert gentle.tolist() == pytest.approx([0.5, 0.5], abs=1e-3)  # that of mean log p
    far = torch.tensor([-30.0, -30.0], requires_grad=True)
    (gone,) = torch.autograd.grad(npo_loss(far, original, 1.0), far)
    assert gone.abs().max() < 1e-8


def test_simnpo_by_hand() -> None:
    now = torch.tensor([-2.0])
    assert float(simnpo_loss(now, 0.5, 0.3, length=2)) == pytest.approx(
        -(2 / 0.5) * float(np.log(1 / (1 + np.exp(-(0.5 / 2 * 2.0 - 0.3)))))
    )


@given(st.integers(0, 5), st.floats(0, 8))
def test_undial_lowers_one_item_and_keeps_the_proportions_of_the_others(target: int, beta: float) -> None:
    logits = torch.linspace(-1, 2, 6)[None]
    before, after = torch.softmax(logits, -1)[0], lowered(logits, torch.tensor([target]), beta)[0]
    assert float(after.sum()) == pytest.approx(1, abs=1e-5)
    rest = [i for i in range(6) if i != target]
    assert (after[rest] / before[rest]).std() < 1e-4
    odds = (after[target] / after[rest[0]]) / (before[target] / before[rest[0]])
    assert float(torch.log(odds)) == pytest.approx(-beta, abs=1e-3)


def test_e2urec_takes_away_what_rose_and_nothing_else() -> None:
    original = torch.tensor([[1.0, 0.0, -1.0]])
    augmented = torch.tensor([[3.0, -5.0, -1.0]])
    assert torch.allclose(without(original, augmented, 0.5), torch.softmax(torch.tensor([[0.0, 0.0, -1.0]]), -1))
    assert torch.allclose(without(original, augmented, 0.0), torch.softmax(original, -1))


def test_kl_by_hand_and_zero_between_equals() -> None:
    one, other = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, -1.0]])
    p, q = (torch.softmax(x, -1) for x in (one, other))
    assert float(kl(one, other)) == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-6)
    assert float(kl(one, one + 3)) == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_pcgrad_never_works_against_either(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (torch.from_numpy(rng.standard_normal(4)) for _ in range(2))
    found = surgery(one, other)
    if one @ other >= 0:
        assert torch.equal(found, one + other)
    else:
        assert found @ one >= -1e-9 and found @ other >= -1e-9
        # Each gives up what lies along the other, and nothing else.
        own = [a - b * (a @ b) / (b @ b) for a, b in ((one, other), (other, one))]
        assert torch.allclose(found, own[0] + own[1])


def test_pcgrad_steps_along_both_gradients_without_their_conflict(world, monkeypatch) -> None:
    """The gradient that the optimizer is given is the one that surgery made of those of the two losses."""
    made: list[torch.Tensor] = []

    def watched(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        made.append(surgery(one, other))
        return made[-1]

    given: list[torch.Tensor] = []
    monkeypatch.setattr(pcgrad, "surgery", watched)

    def kept(optimizer: Any, loss: torch.Tensor, parameters: Any, clip: float) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        given.append(torch.cat([p.grad.flatten() for p in parameters]))
        return float(loss.detach())

    monkeypatch.setattr(loop, "step", kept)
    method("pcgrad", steps=3).unlearn(task_of(world))
    assert len(given) == 3 and len(made) == 4  # the first is the one whose operations are counted
    for wanted, got in zip(made[1:], given, strict=True):
        assert torch.allclose(wanted, got, atol=1e-5)


@pytest.mark.parametrize("name", ["grad_diff", "e2urec"])
def test_operations_are_those_of_all_steps(world, name: str) -> None:
    few, many = (run(world, name, steps=steps)[1].flops for steps in (4, 12))
    more = {} if name == "grad_diff" else {"augment_steps": 80}
    assert few is not None and many is not None
    if name == "grad_diff":
        assert many == pytest.approx(3 * few, rel=1e-6)
    else:
        longer = run(world, name, steps=4, **more)[1].flops
        assert longer is not None and longer > few * 1.2 and many > few * 1.2


def test_dpo_by_hand(world) -> None:
    """−(2/β) log σ(β ((log p⁺ − log p⁻) − (log o⁺ − log o⁻))) + α CE_r at θ = θ_o is (2/β) log 2 + α CE_r."""
    losses = {}
    for weight in (0.0, 1.0):
        _, found = run(world, "dpo_alternative", steps=1, beta=0.5, retain_weight=weight)
        losses[weight] = found.notes["loss of the last step"]
    assert losses[0.0] == pytest.approx(2 / 0.5 * np.log(2), rel=1e-4)
    assert losses[1.0] > losses[0.0]


@pytest.fixture(scope="module")
def forgetful(world):
    """The same with a recommender that drops out."""
    split, _ = world
    base = SASRec(TINY.model_copy(update={"dropout": 0.3, "passes": 60}), CATALOGUE)
    base.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return split, base


@pytest.mark.parametrize("name", ["npo", "dpo_alternative"])
def test_dropout_is_not_taken_for_forgotten(forgetful, name: str) -> None:
    """At θ_o all ratios to the original are 1, so the loss is (2/β) log 2, whatever the recommender drops out."""
    _, found = run(forgetful, name, steps=1, beta=4.0, retain_weight=0.0)
    assert found.notes["loss of the last step"] == pytest.approx(2 / 4.0 * np.log(2), rel=1e-4)


@pytest.mark.parametrize("name", ["npo", "dpo_alternative"])
def test_what_is_retained_is_learned_with_dropout_as_in_training(forgetful, monkeypatch, name: str) -> None:
    modes: list[bool] = []
    module = importlib.import_module(f"vestige_methods.baselines.{name}")
    monkeypatch.setattr(module, "ce", lambda model, asked: modes.append(model.module.training) or ce(model, asked))
    run(forgetful, name, steps=3)
    assert modes[1:] == [True] * 3  # the first counts operations


def test_gradient_ascent_rises_as_it_says_whatever_is_dropped_out(forgetful) -> None:
    split, base = forgetful
    one = task_of(forgetful)
    one = replace(one, forget=one.forget.take(np.arange(2)))
    for task in (task_of(forgetful), *([one] if split.kind == "interactions" else [])):
        found = method("gradient_ascent", rise=0.3, learning_rate=3e-5, steps=900).unlearn(task)
        assert found.notes["steps"] > 1
        assert ce_of(found.model, task.forget) - ce_of(base, task.forget) == pytest.approx(0.3, rel=0.5)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.integers(2, 20),
    st.sampled_from(["inside", "even", "whole"]),
)
def test_how_often_training_shows_an_interaction_is_what_its_windows_show(
    lengths: list[int], window: int, coverage: Coverage
) -> None:
    model = SASRec(TINY.model_copy(update={"window": window, "coverage": coverage}), CATALOGUE)
    sizes = np.asarray(lengths)
    found = trained_on(model, sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    per_window = found / np.repeat(windows_a_pass(sizes, window, coverage), sizes)
    shown, draws = np.zeros(len(found)), 1500
    rng = np.random.default_rng(0)
    for row, length in enumerate(lengths):
        starts, held = draw_windows(np.full(draws, length), window, coverage, rng)
        place = np.arange(length)[:, None]
        shown[offsets[row] : offsets[row + 1]] = ((place >= starts) & (place < starts + held)).mean(axis=1)
    assert per_window == pytest.approx(shown, abs=0.08)
    each = np.add.reduceat(found, offsets[:-1])
    assert each == pytest.approx(windows_a_pass(sizes, window, coverage) * mean_sizes(sizes, window, coverage))


def test_the_latest_of_long_histories_weigh_as_little_as_training_shows_them(world) -> None:
    """Windows that lie inside a history show its end seldom: a mean weight of the user would be several times that."""
    if world[0].kind == "users":
        return
    model = SASRec(TINY.model_copy(update={"window": 6}), CATALOGUE)
    task = task_of(world)
    rows = task.forget_sequences
    latest = np.zeros(len(task.forget_mask), dtype=bool)
    latest[rows.offsets[1:] - 1] = True
    last = replace(task, forget_mask=latest)
    by_hand = (1 / (rows.lengths - 6 + 1)).sum() / (6 * len(task.retained))
    assert forgotten_by_retained(model, last) == pytest.approx(by_hand)


def test_f_is_weighed_against_all_of_r_however_little_of_it_is_shown(world) -> None:
    task = task_of(world)
    shown = replace(task, retained=task.retained.take(np.arange(3)), retained_lengths=task.retained.lengths)
    assert forgotten_by_retained(world[1], shown) == forgotten_by_retained(world[1], task)
    assert (task.lengths_of_r == task.retained.lengths).all() and len(shown.lengths_of_r) == len(task.retained)


def test_queries_weigh_as_their_targets_do(world) -> None:
    model = SASRec(TINY.model_copy(update={"window": 6}), CATALOGUE)
    task = task_of(world)
    often, found = trained_on(model, task.forget_sequences.lengths), of_queries(model, task)
    assert found.sum() == pytest.approx(1)
    rows, at = task.forget_sequences, asked(task)
    assert (rows.items[at] == task.forget.targets).all() and task.forget_mask[at].all() and (np.diff(at) > 0).all()
    assert (rows.users[np.searchsorted(rows.offsets, at, side="right") - 1] == task.forget.users).all()
    assert found == pytest.approx(often[at] / often[at].sum())


def test_long_histories_are_drawn_as_often_as_training_shows_them() -> None:
    """Under `whole` a pass shows every interaction once, so a history of 200 is drawn twenty times one of 10."""
    model = SASRec(TINY.model_copy(update={"window": 10, "coverage": "whole"}), CATALOGUE)
    lengths = np.asarray([10] * 90 + [200] * 10)
    rng = np.random.default_rng(0)
    counts = sum(np.bincount(drawn(model, lengths, rng)[:16], minlength=100) for _ in range(2000))
    expected = windows_a_pass(lengths, 10, "whole")
    assert counts[90:].sum() / counts.sum() == pytest.approx(expected[90:].sum() / expected.sum(), abs=0.02)
    assert (np.bincount(drawn(SASRec(TINY, CATALOGUE), lengths, rng), minlength=100) == 1).all()


def test_random_labels_are_every_other_item_alike() -> None:
    targets = torch.full((8000,), 3)
    for items, others in (([0, 2, 3, 5, 6], [0, 2, 5, 6]), ([1, 3], [1]), ([0, 2, 5, 6], [0, 2, 5, 6])):
        drawn = another(targets, torch.tensor(items), torch.Generator().manual_seed(0))
        counts = torch.bincount(drawn, minlength=7)
        assert counts[others].sum() == 8000
        assert (counts[others].float() * len(others) / 8000 - 1).abs().max() < 0.1


def test_random_labels_are_items_that_somebody_keeps(world, monkeypatch) -> None:
    """An item that is withdrawn, or that nobody was trained on, would be taught as an answer."""
    task = task_of(world)
    kept = np.unique(task.retained.items)[:7].astype(task.retained.items.dtype)
    few = sequences([kept.tolist()] * 5)
    given: list[Any] = []
    monkeypatch.setattr(random_label, "another", lambda *asked: given.append(another(*asked)) or given[-1])
    method("random_label", steps=3).unlearn(replace(task, retained=few))
    assert set(torch.cat(given).tolist()) <= set(kept.tolist())
    with pytest.raises(InputError, match="a single one or none"):
        method("random_label").unlearn(replace(task, retained=sequences([kept[:1].tolist()])))


def test_conjugate_gradients_solve_the_equation() -> None:
    rng = np.random.default_rng(0)
    root = torch.from_numpy(rng.standard_normal((6, 6)))
    matrix = root @ root.T + 0.1 * torch.eye(6, dtype=torch.float64)
    right = torch.from_numpy(rng.standard_normal(6))

    def product(v: list[torch.Tensor]) -> list[torch.Tensor]:
        flat = matrix @ torch.cat([part.flatten() for part in v])
        return [flat[:2], flat[2:].reshape(2, 2)]

    x, left = conjugate_gradients(product, [right[:2], right[2:].reshape(2, 2)], 50, 1e-10)
    assert torch.allclose(torch.cat([part.flatten() for part in x]), torch.linalg.solve(matrix, right), atol=1e-6)
    assert left < 1e-9


# -- their characters ------------------------------------------------------------------------------------------------


def test_gradient_ascent_stops_at_its_rule_and_destroys_without_it(world) -> None:
    base = world[1]
    for rise in (0.1, 0.3, 1.0):
        task, found = run(world, "gradient_ascent", rise=rise, learning_rate=3e-5, steps=900)
        assert 1 < found.notes["steps"] < 900
        # No step takes it far beyond, and what a batch showed is true of all of F.
        assert rise <= found.notes["CE_f has risen by"] < 1.5 * rise + 0.05
        assert ce_of(found.model, task.forget) - ce_of(base, task.forget) == pytest.approx(rise, rel=0.4)
    # On the batch that met the rule no step is taken, so what is handed back is what the note tells of.
    task, found = run(world, "gradient_ascent", rise=0.2, learning_rate=1e-3, steps=900, batch_size=1000)
    if task.kind == "interactions":  # the batch is all of F
        risen = ce_of(found.model, task.forget) - ce_of(base, task.forget)
        assert found.notes["CE_f has risen by"] == pytest.approx(risen, abs=1e-3)
    _, ruined = run(world, "gradient_ascent", rise=1e6, steps=150)
    assert ruined.notes["steps"] == 150
    queries = retained_queries(task)
    assert ce_of(ruined.model, queries) > ce_of(base, queries) + 3


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("grad_diff", {"forget_weight": 0.0}),
        ("scrub", {"max_steps": 1}),
        ("random_label", {"forget_weight": 0.0}),
        ("pcgrad", {"forget_weight": 0.0}),
        ("bad_teacher", {"forget_weight": 0.0}),
        ("e2urec", {"forget_weight": 0.0}),
    ],
)
def test_it_is_the_term_of_f_that_forgets(world, name: str, without: Mapping[str, Any]) -> None:
    """Training on R alone forgets a little, too, so only the difference from it says what a method does about F."""
    task, found = run(world, name)
    _, alone = run(world, name, **without)
    assert ce_of(found.model, task.forget) > ce_of(alone.model, task.forget) + 0.02


HOLDS_ON = [
    ("grad_diff", {}, {"retain_weight": 0.0}),
    ("npo", {}, {"retain_weight": 0.0}),
    ("simnpo", {}, {"retain_weight": 0.0}),
    ("dpo_alternative", {}, {"retain_weight": 0.0}),
    ("random_label", {}, {"retain_weight": 0.0}),
    ("pcgrad", {}, {"retain_weight": 0.0}),
    ("undial", {"beta": 8.0, "retain_weight": 1.0}, {"retain_weight": 0.0}),
    ("e2urec", {"distil": 0.0}, {"retain_weight": 0.0}),
    ("e2urec", {"retain_weight": 0.0}, {"distil": 0.0}),
    ("scrub", {"distil": 0.0}, {"retain_weight": 0.0}),
    ("scrub", {"retain_weight": 0.0}, {"distil": 0.0}),
]


@pytest.mark.parametrize(("name", "more", "without"), HOLDS_ON)
def test_it_is_the_term_of_r_that_holds_on(
    world, name: str, more: Mapping[str, Any], without: Mapping[str, Any]
) -> None:
    """All else alike, what is retained becomes less likely where the term of it weighs nothing."""
    task, found = run(world, name, **more)
    _, alone = run(world, name, **{**more, **without})
    kept = retained_queries(task)
    assert ce_of(alone.model, kept) > ce_of(found.model, kept) + 0.02


def of_the_first_step(world) -> tuple[Transitions, Transitions]:
    """Its batches of F and of R; those before are the ones whose operations are counted."""
    batches = Batches(world[1], task_of(world), configs.DescentConfig().batch_size)
    batches.forget(), batches.retain()
    return batches.forget(), batches.retain()


@pytest.mark.parametrize("name", ["grad_diff", "npo", "simnpo", "dpo_alternative", "random_label", "undial"])
def test_the_term_of_r_is_its_weight_times_a_cross_entropy(world, name: str) -> None:
    """The first step's loss at θ_o: linear in α, and with the same batches its slope is CE_r, whatever is done on F."""
    zero, one, three = (
        run(world, name, steps=1, retain_weight=weight)[1].notes["loss of the last step"] for weight in (0.0, 1.0, 3.0)
    )
    assert three - zero == pytest.approx(3 * (one - zero), rel=1e-3)
    _, kept = of_the_first_step(world)
    assert one - zero == pytest.approx(float(ce(world[1], kept).detach()), rel=1e-3)


@pytest.mark.parametrize(("beta", "margin"), [(0.5, 0.0), (2.0, 0.7)])
def test_simnpo_has_no_reference(world, beta: float, margin: float) -> None:
    """At θ_o its loss is −(2/β) log σ(−β log p_o − γ) of what the original says, which NPO's would not depend on."""
    base, how = world[1], {"steps": 1, "beta": beta, "margin": margin, "retain_weight": 0.0}
    _, found = run(world, "simnpo", **how)
    asked, _ = of_the_first_step(world)
    now = functional.log_softmax(base.logits(asked).detach(), -1)[torch.arange(len(asked)), asked.targets]
    by_hand = float((-(2 / beta) * functional.logsigmoid(-beta * now - margin)).mean())
    assert found.notes["loss of the last step"] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize(("max_steps", "away"), [(2, [1, 3]), (50, [1, 3, 5])])
def test_scrub_ends_with_repair_whatever_its_settings(world, monkeypatch, max_steps: int, away: list[int]) -> None:
    turns: list[str] = []

    def divergence(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        turns.append("max")
        return kl(one, other)

    def fidelity(one: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        turns[-1] = "min"
        return functional.cross_entropy(one, targets)

    monkeypatch.setattr(scrub, "kl", divergence)
    monkeypatch.setattr(scrub, "cross_entropy", fidelity)
    found = method("scrub", steps=11, max_steps=max_steps).unlearn(task_of(world))
    assert found.notes["max steps"] == len(away)
    assert len(turns) == 12  # the first is the one whose operations are counted
    assert [turn for turn in range(1, 12) if turns[turn] == "max"] == away


def test_undial_has_an_end_and_gradient_difference_has_none(world) -> None:
    """Trained for longer, the one stays at its target, the other goes on."""
    task, short = run(world, "undial", steps=150, beta=1.0)
    _, long = run(world, "undial", steps=300, beta=1.0)
    assert ce_of(long.model, task.forget) - ce_of(short.model, task.forget) < 0.3
    _, short = run(world, "grad_diff", steps=100, forget_weight=1.0)
    _, long = run(world, "grad_diff", steps=200, forget_weight=1.0)
    assert ce_of(long.model, task.forget) - ce_of(short.model, task.forget) > 1


def test_bad_teacher_makes_the_forgotten_uniform(world) -> None:
    task, found = run(world, "bad_teacher", steps=150)
    entropy = [
        -(np.exp(s) * s).sum(axis=1).mean() for s in (m.score(task.forget.histories) for m in (world[1], found.model))
    ]
    assert entropy[1] > entropy[0] + 0.3
    # On R it stays with the original, which training on R's own targets would not ask for.
    _, alone = run(world, "bad_teacher", steps=150, retain_weight=0.0)
    kept = retained_queries(task).histories
    far = [float(kl(*(torch.from_numpy(m.score(kept)) for m in (world[1], f.model)))) for f in (found, alone)]
    assert far[0] < 0.5 * far[1]


def test_ssd_only_dampens(world) -> None:
    base = world[1]
    task, found = run(world, "ssd")
    before = dict(base.module.named_parameters())
    of_f, of_all = (
        fisher(base, method("ssd", **QUICK["ssd"])._batches(base, task_of(world), of)) for of in ("forget", "all")
    )
    alpha, dampening = QUICK["ssd"]["alpha"], configs.SSDConfig().dampening
    for name, now in task.recommender.module.named_parameters():  # type: ignore[attr-defined]
        least = torch.clamp(dampening * of_all[name] / of_f[name].clamp_min(1e-30), max=1.0)
        wanted = torch.where(of_f[name] > alpha * of_all[name], least * before[name], before[name])
        assert torch.allclose(now, wanted, rtol=1e-3, atol=1e-6)
    changed = 0
    for name, now in task.recommender.module.named_parameters():  # type: ignore[attr-defined]
        assert (now.abs() <= before[name].abs() + 1e-7).all() and (now * before[name] >= 0).all()
        changed += int((now != before[name]).sum())
    assert 0 < found.notes["share of weights dampened"] < 0.6 and changed > 0
    # λ = 3 leaves alone what is not three times as important to F, however low α is.
    low = run(world, "ssd", alpha=0.1, dampening=3.0)[1].notes["share of weights dampened"]
    high = run(world, "ssd", alpha=3.0, dampening=3.0)[1].notes["share of weights dampened"]
    assert low == pytest.approx(high, abs=1e-3) and high > 0


@pytest.mark.parametrize("variant", ["noise", "reset"])
def test_noise_repair_ends_where_training_on_r_ends(world, variant: str) -> None:
    task, found = run(world, "noise_repair", variant=variant, noise=1.0, share=0.5, steps=120)
    queries = retained_queries(task)
    _, damaged = run(world, "noise_repair", variant=variant, noise=1.0, share=0.5, steps=1, learning_rate=1e-9)
    assert ce_of(damaged.model, queries) > ce_of(world[1], queries) + 0.2
    assert ce_of(found.model, queries) < ce_of(damaged.model, queries) - 0.2
    assert ce_of(found.model, task.forget) > ce_of(world[1], task.forget)


def test_noise_is_in_proportion_to_how_far_a_matrix_spreads(world) -> None:
    task, _ = run(world, "noise_repair", noise=0.5, steps=1, learning_rate=1e-12)
    now = dict(task.recommender.module.named_parameters())  # type: ignore[attr-defined]
    for name, before in world[1].module.named_parameters():
        by = (now[name] - before).detach()
        if before.dim() < 2:
            assert by.abs().max() < 1e-9
        else:
            assert float(by.std() / before.detach().std()) == pytest.approx(0.5, rel=0.15)
            assert abs(float(by.mean() / by.std())) < 0.3


def test_reset_draws_the_weights_anew_that_matter_least_to_what_is_retained(world) -> None:
    task, found = run(world, "noise_repair", variant="reset", share=0.3, steps=1, learning_rate=1e-12)
    base, batches = copy.deepcopy(world[1]), Batches(world[1], task_of(world), 32)
    for _ in range(LOOKS):
        ce(base, batches.retain()).backward()
    now = dict(task.recommender.module.named_parameters())  # type: ignore[attr-defined]
    for name, before in base.module.named_parameters():
        # Adam's one step moves nothing by more than its rate; what was drawn anew lies elsewhere.
        moved = (now[name] - before).abs() > 1e-9
        if before.dim() < 2:
            assert not moved.any()
        else:
            assert 0 < moved.sum() <= 0.3 * before.numel() + 1
            assert before.grad[moved].abs().max() <= before.grad[~moved].abs().min() + 1e-12
    plain = run(world, "noise_repair", variant="noise", steps=1)[1]
    assert found.flops > plain.flops  # the looks cost something, too


def test_a_task_vector_is_a_mirror(world) -> None:
    task, still = run(world, "task_vector", scale=0.0)
    histories = task.forget.histories
    assert np.array_equal(still.model.score(histories), world[1].score(histories))
    base, moves = dict(world[1].module.named_parameters()), []
    for scale in (0.5, 1.0):
        task, away = run(world, "task_vector", scale=scale)
        assert ce_of(away.model, task.forget) > ce_of(world[1], task.forget) + 0.02
        named = task.recommender.module.named_parameters()  # type: ignore[attr-defined]
        moves.append({name: now.detach() - base[name].detach() for name, now in named})
    half, whole = moves
    assert all(torch.allclose(2 * half[name], whole[name], atol=1e-5) for name in base)
    trained = copy.deepcopy(world[1])  # as far the other way lies what was trained on F, by Adam's steps of the rate
    with torch.no_grad():
        for name, weight in trained.module.named_parameters():
            assert whole[name].abs().max() <= 10 * 2e-3 * 1.2
            weight.sub_(whole[name])
    assert ce_of(trained, task.forget) < ce_of(world[1], task.forget) - 0.02


def test_influence_is_newtons_step_on_a_convex_model() -> None:
    """On a model whose logits are its weights, the Gauss–Newton matrix is the Hessian, and is known."""

    class Bare:
        def __init__(self) -> None:
            self.module = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor([0.3, -0.2, 0.1]))])

        def transitions(self, rows, rng):
            return self._of(torch.from_numpy(rows.items.astype(np.int64)))

        def transitions_of(self, queries):
            return self._of(torch.from_numpy(queries.targets.astype(np.int64)))

        def _of(self, targets):
            from vestige.recommenders.contract import Transitions

            return Transitions(None, targets, torch.arange(len(targets)))

        def logits(self, transitions):
            return self.module[0].expand(len(transitions), 3)

        def score(self, histories):
            return np.zeros((len(histories), 3), np.float32)

        def save(self, folder):
            raise AssertionError

    model = Bare()
    before = model.module[0].detach().clone()
    forget = Queries(sequences([[0], [0]]), np.asarray([2, 2], np.int32), np.zeros(2, np.int32))
    task = Task(
        "users", model, sequences([[0, 1, 2, 1], [1, 1, 0, 0]]), forget, sequences([[0, 2, 2]]),  # type: ignore[arg-type]
        np.asarray([False, True, True]), Catalogue(("a", "b", "c")), 1, "cpu", Budget(1, 1.0), silent, lambda: model,  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    damping = 0.1
    method("influence", damping=damping, iterations=20).unlearn(task)
    p = torch.softmax(before, 0)
    hessian = torch.diag(p) - torch.outer(p, p)
    gradient = (2 / 8) * (p - torch.tensor([0.0, 0.0, 1.0]))
    expected = before + torch.linalg.solve(hessian + damping * torch.eye(3), gradient)
    assert model.module[0].detach() == pytest.approx(expected, abs=1e-3)


def test_influence_on_the_items_alone_changes_nothing_else(world) -> None:
    task, found = run(world, "influence", layers="items")
    before = dict(world[1].module.named_parameters())
    changed = {
        name
        for name, now in task.recommender.module.named_parameters()  # type: ignore[attr-defined]
        if not torch.equal(now, before[name])
    }
    assert changed == {"items.weight"} and found.trainable_parameters == before["items.weight"].numel()


def test_the_step_of_influence_is_scaled_as_it_says(world) -> None:
    before, moves = dict(world[1].module.named_parameters()), []
    for scale in (1.0, 3.0):
        task, found = run(world, "influence", scale=scale)
        named = task.recommender.module.named_parameters()  # type: ignore[attr-defined]
        moves.append(torch.cat([(now - before[name]).detach().flatten() for name, now in named]))
        assert found.notes["length of the step"] == pytest.approx(float(moves[-1].norm()), rel=1e-3)
    assert torch.allclose(moves[1], 3 * moves[0], atol=1e-5)


def test_what_e2urec_adds_is_of_low_rank_and_leaves_the_items_alone(world) -> None:
    task, _ = run(world, "e2urec", rank=2)
    now, changed = dict(task.recommender.module.named_parameters()), set()  # type: ignore[attr-defined]
    for name, before in world[1].module.named_parameters():
        by = (now[name] - before).detach()
        if by.abs().max() > 0:
            changed.add(name)
            sizes = torch.linalg.svdvals(by)
            assert before.dim() == 2 and sizes[1] > 1e-4 * sizes[0] > 100 * sizes[2]
    assert changed == {f"blocks.0.{layer}.weight" for layer in ("mix", "out", "feed.0", "feed.2")}


def test_influence_on_the_items_leaves_positions_alone(world) -> None:
    """A window of as many positions as there are items does not make positions items."""
    split, _ = world
    config = TINY.model_copy(update={"window": len(CATALOGUE) + 10, "passes": 2})
    base = SASRec(config, CATALOGUE)
    base.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    found = method("influence", layers="items").unlearn(task_of(world, copy.deepcopy(base)))
    assert found.trainable_parameters == base.module.items.weight.numel()


def test_influence_on_items_of_unequal_names_leaves_positions_alone(world, tmp_path: Path) -> None:
    """The first item has fewer tokens than the others, so that relative positions are read differently of it."""
    names = {item: "<CI0>" * (3 if place else 1) + f"<CI{place}>" for place, item in enumerate(CATALOGUE.item_ids)}
    (tmp_path / "index.txt").write_text("".join(f"{item} {name}\n" for item, name in names.items()))
    config = TINY_T5.model_copy(update={"items": str(tmp_path / "index.txt"), "passes": 1, "window": 1})
    base = T5Recommender(config, CATALOGUE)
    assert len(set(np.diff(base.codes.offsets))) > 1
    found = method("influence", layers="items").unlearn(task_of(world, base))
    assert found.trainable_parameters == base.module.get_input_embeddings().weight.numel()


def test_e2urec_hands_back_a_plain_model(world) -> None:
    task, found = run(world, "e2urec")
    names = {name for name, _ in task.recommender.module.named_parameters()}  # type: ignore[attr-defined]
    assert names == {name for name, _ in world[1].module.named_parameters()}
    # The adapter, and the copy that was tuned on F.
    whole = sum(p.numel() for p in world[1].module.parameters())
    assert whole < found.trainable_parameters < 2 * whole
    assert all(p.requires_grad for p in task.recommender.module.parameters())  # type: ignore[attr-defined]


def test_the_filter_hides_the_forgotten_from_their_own_histories_alone(world) -> None:
    base = world[1]
    task, found = run(world, "decode_filter")
    scores = found.model.score(task.forget.histories)
    rows = np.arange(len(task.forget))
    assert (scores[rows, task.forget.targets] < scores.min(axis=1) + 1e-3).all()
    # Any other wording of the question gets the base's answer, to the bit.
    other = task.forget.histories.slices(rows, np.zeros(len(rows), np.int64), task.forget.histories.lengths - 1)
    known = {tuple(task.forget.histories.row(row)) for row in rows}
    free = np.asarray([row for row in rows if tuple(other.row(row)) not in known and len(other.row(row))])
    asked = other.take(free) if len(free) else task.retained
    assert np.array_equal(found.model.score(asked), base.score(asked))
    assert remembered(found.model, task) == 0 < remembered(base, task)


def test_dpo_prefers_what_it_was_told_to(world) -> None:
    if world[0].kind == "users":
        with pytest.raises(InputError, match="whole users are forgotten"):
            run(world, "dpo_alternative", alternative="own")
        return
    task, found = run(world, "dpo_alternative", alternative="own", retain_weight=0.0, beta=1.0)
    rose = found.model.score(task.forget.histories) - world[1].score(task.forget.histories)
    assert rose[np.arange(len(task.forget)), task.forget.targets].mean() < -0.1
    kept = np.zeros((len(task.forget_sequences), len(CATALOGUE)), dtype=bool)
    row_of = np.repeat(np.arange(len(task.forget_sequences)), task.forget_sequences.lengths)
    kept[row_of[~task.forget_mask], task.forget_sequences.items[~task.forget_mask]] = True
    own = kept[np.searchsorted(task.forget_sequences.users, task.forget.users)]
    # What the user keeps rises above what only others do.
    assert rose[own].mean() > rose[~own].mean() + 0.1


@given(st.integers(0, 2**32 - 1))
def test_alternatives_are_of_their_pool_and_not_the_target(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pools = sequences([[1, 2, 3], [4], [5, 6]])
    pool, targets = rng.integers(0, 3, 1000), rng.integers(1, 7, 1000)
    found = alternatives(pools, pool, targets, rng)
    assert (found != targets).all()
    several = pools.lengths[pool] > 1
    inside = np.asarray([item in pools.row(row) for item, row in zip(found, pool, strict=True)])
    assert np.isin(found, pools.items).all()
    assert inside[several].mean() > 0.95 and inside[(pool == 1) & (targets != 4)].all()


def test_a_frozen_teacher_does_not_move(world) -> None:
    teacher = frozen(world[1])
    task, _ = run(world, "npo")
    asked = teacher.transitions_of(task.forget)
    assert torch.equal(teacher.logits(asked), world[1].logits(asked))
    assert float(ce(teacher, asked)) == pytest.approx(
        float(functional.cross_entropy(teacher.logits(asked), asked.targets)), abs=1e-6
    )


def test_settings_that_make_no_sense_are_refused() -> None:
    for config, key in (
        (configs.NPOConfig, "beta"),
        (configs.GradDiffConfig, "retain_weight"),
        (configs.SSDConfig, "alpha"),
    ):
        with pytest.raises(ValueError, match=key):
            config(**{key: -1.0})


def test_ssd_mixes_transitions_as_training_does_however_many_a_batch_has(world, monkeypatch) -> None:
    """A retained sequence is twelve transitions, a forgotten interaction one: by batches F would be too rare."""

    class Tagged:
        def __init__(self, *_: Any) -> None: ...

        def forget(self) -> list[str]:
            return ["F"]

        def retain(self) -> list[str]:
            return ["R"] * 12

    monkeypatch.setattr(ssd, "Batches", Tagged)
    task, made = task_of(world), method("ssd", transitions=5000)
    seen = [each for batch in made._batches(world[1], task, "all") for each in batch]
    # A pass shows one window of twelve of every user, however much they have.
    rows = task.forget_sequences
    forgotten = sum(
        min(len(rows.row(row)), 12) * task.forget_mask[rows.offsets[row] : rows.offsets[row + 1]].mean()
        for row in range(len(rows))
    )
    share = forgotten / (forgotten + np.minimum(task.retained.lengths, 12).sum())
    assert seen.count("F") / len(seen) == pytest.approx(share, abs=0.005)
    assert set(itertools.chain(*made._batches(world[1], task, "forget"))) == {"F"}
