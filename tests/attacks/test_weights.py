"""What an attacker who holds the files gets back, and that the model is put back afterwards."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, training
from vestige.data.views import build
from vestige.measuring.attacks import Recovered, Target
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue, Parts
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic
from vestige_metrics.attacks.configs import STEPS, LatencyConfig, NoSettings, RelearnConfig
from vestige_metrics.attacks.latency import Latency
from vestige_metrics.attacks.probe import Probe
from vestige_metrics.attacks.quantise import Quantise, quantise, rounded
from vestige_metrics.attacks.relearn import Relearn, lesson_of, trainable_part
from vestige_metrics.attacks.weights import put_back

DATA = Synthetic(SyntheticConfig(users=60, items=40, events=16, tastes=4), Path()).load()
TINY = T5RecommenderConfig(
    d_model=16, d_ff=32, layers=1, heads=2, passes=60, window=16, context=10, recent=4, batch_size=8, learning_rate=1e-2
)
CATALOGUE = Catalogue(tuple(DATA.item_ids.tolist()))
NAMES = [*(f"relearn_{n}" for n in STEPS), *(f"relearn_benign_{n}" for n in STEPS)]


def target_for(kind: str, seed: int = 3, count: int = 12) -> Target:
    request = RequestConfig(kind=kind, count=count, percent=20)  # type: ignore[arg-type]
    split = draw(DATA, request, HoldoutConfig(), 0)
    model = T5Recommender(TINY, CATALOGUE)
    return Target(model, DATA, split, build(DATA, split, 0), seed, "cpu")


@pytest.fixture(scope="module")
def base() -> Target:
    """A T5 trained on R ∪ F."""
    target = target_for("users")
    target.model.fit(training(DATA, target.split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return target


@pytest.fixture
def target(base: Target) -> Target:
    """A private copy of it."""
    return replace(base, model=copy.deepcopy(base.model))


def relearned(target: Target, **settings: float) -> dict[str, Recovered]:
    return {found.name: found for found in Relearn(RelearnConfig(**settings)).attack(target)}  # type: ignore[arg-type]


def bytes_of(module: nn.Module) -> list[bytes]:
    return [t.numpy().tobytes() for t in module.state_dict().values()]


def hide(target: Target) -> None:
    """Unlearns by a few steps away from F and towards R: what the model knew is pushed down, and still there."""
    module = target.model.module
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    forget = training(DATA, target.split, [Part.FORGET])
    retained = training(DATA, target.split, [Part.RETAINED])
    rng = np.random.default_rng(0)
    for _ in range(12):
        rows = rng.permutation(len(retained))[:16]
        loss = target.model.loss(retained.take(rows), rng) - 1.5 * target.model.loss(forget, rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()


def test_relearning_brings_back_what_was_hidden_and_puts_the_model_back(target: Target) -> None:
    known = target.hits()
    hide(target)
    hidden = target.hits()
    for parameter in list(target.model.module.parameters())[:2]:
        parameter.requires_grad_(False)
    flags = [p.requires_grad for p in target.model.module.parameters()]
    before = bytes_of(target.model.module)
    found = relearned(target, learning_rate=5e-3, share=0.25)
    assert list(found) == NAMES
    assert bytes_of(target.model.module) == before
    assert [p.requires_grad for p in target.model.module.parameters()] == flags
    assert all(p.grad is None for p in target.model.module.parameters())
    assert np.array_equal(target.hits(), hidden)
    rest = ~np.isnan(found["relearn_20"].hits)
    lost = known[rest].mean() - hidden[rest].mean()
    back, benign = (
        max(found[name].hits[rest].mean() for name in names) - hidden[rest].mean() for names in (NAMES[:3], NAMES[3:])
    )
    assert lost > 0.15
    assert back > 0.4 * lost and back > benign
    assert not np.array_equal(found["relearn_20"].hits, found["relearn_benign_20"].hits, equal_nan=True)


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_a_tenth_is_taught_and_nine_tenths_are_asked(kind: str) -> None:
    target = target_for(kind, count=20)
    lesson = lesson_of(target, 0.1)
    assert lesson is not None
    split = target.split
    taught = lesson.forget.users
    assert len(taught) == len(lesson.unseen) == 2
    assert np.isin(taught, split.forget_users).all()
    asked = target.forget.users
    assert np.array_equal(lesson.rows, np.flatnonzero(~np.isin(asked, taught)))
    for rows, part, side in ((lesson.forget, Part.FORGET, "forget"), (lesson.unseen, Part.UNSEEN, "unseen")):
        assert np.isin(rows.users, getattr(split, f"{side}_users")).all()
        for row, user in enumerate(rows.users):
            shown = (DATA.user == user) & np.isin(split.part, (Part.RETAINED, part))
            assert rows.row(row).tolist() == DATA.item[shown].tolist()
            assert (split.part[shown] == part).any()
    if kind == "interactions":
        assert taught.tolist() == lesson.unseen.users.tolist()
    found = relearned(target)
    for name in NAMES:
        assert np.array_equal(np.isnan(found[name].hits), np.isin(asked, taught))
    again = relearned(target)
    assert all(np.array_equal(found[name].hits, again[name].hits, equal_nan=True) for name in NAMES)
    others = [lesson_of(replace(target, seed=seed), 0.1) for seed in range(5)]
    assert len({tuple(other.forget.users.tolist()) for other in others if other}) > 1


def test_of_withdrawn_items_a_tenth_is_taught_and_the_others_are_asked_for() -> None:
    target = target_for("items", count=8)
    split, asked = target.split, target.forget.targets
    lesson = lesson_of(target, 0.25)
    assert lesson is not None
    left = np.unique(asked[lesson.rows])
    for rows, part, items in (
        (lesson.forget, Part.FORGET, split.forget_items),
        (lesson.unseen, Part.UNSEEN, split.unseen_items),
    ):
        taught = np.intersect1d(rows.items, items)
        assert len(taught) == 2
        for row, user in enumerate(rows.users):
            kept = split.part == Part.RETAINED
            shown = (DATA.user == user) & (kept | ((split.part == part) & np.isin(DATA.item, taught)))
            assert rows.row(row).tolist() == DATA.item[shown].tolist()
            assert not kept[shown].all()
    assert len(left) == len(np.unique(asked)) - 2
    assert not np.isin(left, lesson.forget.items).any() and not np.isin(left, lesson.unseen.items).any()
    hits = relearned(target, share=0.25)["relearn_5"].hits
    assert np.array_equal(np.isnan(hits), np.isin(asked, lesson.forget.items))


def test_histories_alone_are_not_compared_where_both_of_a_pair_have_the_same() -> None:
    target = target_for("interactions")
    assert not list(Probe(NoSettings()).attack(target))
    assert not list(Latency(LatencyConfig()).attack(target))


def test_nobody_is_left_to_ask_where_one_user_is_forgotten() -> None:
    assert lesson_of(target_for("users", count=1), 0.1) is None
    assert lesson_of(target_for("users", count=2), 0.9) is not None


class Composed:
    """Answers by the side."""

    def __init__(self, main: T5Recommender, side: T5Recommender | None) -> None:
        self.main, self.side = main, side

    def parts(self) -> Parts:
        return Parts(self.main, self.side)

    def score(self, histories):  # type: ignore[no-untyped-def]
        return (self.side or self.main).score(histories)

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


def test_of_a_composite_the_side_is_trained_and_asked_by_itself(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, side = target.model, T5Recommender(TINY, CATALOGUE)
    assert trainable_part(Composed(main, side)) is side
    assert trainable_part(Composed(main, None)) is main
    states = [bytes_of(m.module) for m in (main, side)]
    seen = []
    score = T5Recommender.score

    def watched(self, histories):  # type: ignore[no-untyped-def]
        assert self is side, "the router's choice, or the main memory, has no say"
        seen.append([bytes_of(m.module) == state for m, state in zip((main, side), states, strict=True)])
        return score(self, histories)

    monkeypatch.setattr(T5Recommender, "score", watched)
    relearned(replace(target, model=Composed(main, side)))
    assert seen == [[True, False]] * len(seen) and len(seen) == 12  # F and T, six times
    assert [bytes_of(m.module) for m in (main, side)] == states


def test_int8_has_255_values_a_row_and_errs_by_half_a_step() -> None:
    torch.manual_seed(0)
    for shape in ((5, 3000), (4, 30, 20)):
        w = torch.randn(shape) * torch.logspace(-3, 2, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        q = rounded(w)
        scale = w.flatten(1).abs().amax(dim=1) / 127
        for row in range(shape[0]):
            assert len(q[row].unique()) <= 255
            assert (q[row] - w[row]).abs().max() <= scale[row] * (0.5 + 1e-4)
            assert q[row].abs().max() == pytest.approx(w[row].abs().max().item(), rel=1e-6)
    assert torch.equal(rounded(torch.zeros(2, 3)), torch.zeros(2, 3))
    q = rounded(torch.randn(6, 50))
    assert torch.allclose(rounded(q), q, rtol=1e-6)


class Tied(nn.Module):
    """Two layers of one matrix, with a bias and whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.counts = nn.Parameter(torch.ones(2, 2, dtype=torch.long), requires_grad=False)


def test_vectors_stay_and_shared_matrices_are_rounded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    shapes = []
    counting = lambda matrix: shapes.append(matrix.shape) or rounded(matrix)  # noqa: E731
    monkeypatch.setattr("vestige_metrics.attacks.quantise.rounded", counting)
    module = Tied()
    before = copy.deepcopy(module)
    view = nn.Linear(4, 4)
    view.weight = nn.Parameter(module.first.weight.detach())  # another parameter, the same memory
    with put_back([module]):
        quantise([module, view, module])
        assert shapes == [(4, 4)]
        assert module.first.weight is module.second.weight
        assert torch.equal(module.first.weight, rounded(before.first.weight))
        assert torch.equal(module.first.bias, before.first.bias)
        assert torch.equal(module.counts, before.counts)
    assert torch.equal(module.first.weight, before.first.weight)


def test_quantising_t5_is_seen_in_its_answers_and_undone(target: Target) -> None:
    module = target.model.module
    before, own = bytes_of(module), target.model.score(target.forget.histories)
    vectors = {name: p.clone() for name, p in module.named_parameters() if p.ndim < 2}
    (found,) = Quantise(NoSettings()).attack(target)
    assert found.name == "int8" and found.hits.shape == (len(target.forget),)
    assert np.abs(found.hits - target.hits()).mean() < 0.1  # int8 changes little of a plain model
    with put_back(target.model.modules()):
        quantise(target.model.modules())
        assert not np.array_equal(target.model.score(target.forget.histories), own)
        assert vectors and all(
            torch.equal(p, vectors[name]) for name, p in module.named_parameters() if name in vectors
        )
        assert module.lm_head.weight.data_ptr() == module.shared.weight.data_ptr()
    assert bytes_of(module) == before
    assert np.array_equal(target.model.score(target.forget.histories), own)


def test_weights_come_back_even_when_an_attack_fails(target: Target) -> None:
    before = bytes_of(target.model.module)
    with pytest.raises(RuntimeError, match="half way"), put_back(target.model.modules()):
        quantise(target.model.modules())
        raise RuntimeError("half way")
    assert bytes_of(target.model.module) == before


def test_probe_reads_one_row_of_states_a_query(target: Target) -> None:
    (told,) = Probe(NoSettings()).attack(target)
    assert told.name == "probe" and not told.varies
    assert told.forget.shape == (len(target.forget), 2 * TINY.d_model)
    assert told.unseen.shape == (len(target.queries("unseen_train")), 2 * TINY.d_model)
    assert told.forget[:3] == pytest.approx(
        target.model.represent(target.forget.histories.take(np.arange(3))), abs=1e-5
    )
