"""One protocol for losses on any torch recommender: T5 keeps to it, with names of one token, and so does a toy."""

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from vestige.data.sequences import Sequences, padded, sequences
from vestige.data.views import Queries
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue, Differentiable, Transitions
from vestige.recommenders.gradients import fisher, frozen, log_probs
from vestige.recommenders.popularity import Popularity
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig

ITEMS = 20
CATALOGUE = Catalogue(tuple(str(100 + i) for i in range(ITEMS)))
TINY = T5RecommenderConfig(
    d_model=16, d_ff=32, layers=1, heads=2, passes=3, window=6, context=8, recent=3, batch_size=8, learning_rate=1e-2
)
HISTORIES = sequences([[1], list(range(20)), [4, 4, 7, 2, 9]])
QUERIES = Queries(HISTORIES, np.asarray([3, 0, 19], np.int32), np.zeros(3, np.int32))
ROWS = sequences([[(start + step) % ITEMS for step in range(14)] for start in range(ITEMS)])


class Toy:
    """A recommender of another architecture: the last item's vector against every item's."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Embedding(ITEMS + 1, 8), torch.nn.Linear(8, ITEMS))

    def transitions(self, rows: Sequences, rng: np.random.Generator) -> Transitions:
        starts = rng.integers(0, np.maximum(rows.lengths - 4, 0) + 1)
        rows = rows.slices(np.arange(len(rows)), starts, np.minimum(rows.lengths - starts, 4))
        items = torch.from_numpy(padded(rows, 4, -1))
        row, at = torch.nonzero(items >= 0, as_tuple=True)
        before = torch.cat([torch.full((len(items), 1), ITEMS), items[:, :-1]], dim=1)
        return Transitions(before[row, at], items[row, at], row)

    def transitions_of(self, queries: Queries) -> Transitions:
        last = queries.histories.items[queries.histories.offsets[1:] - 1]
        targets = torch.from_numpy(queries.targets.astype(np.int64))
        return Transitions(torch.from_numpy(last.astype(np.int64)), targets, torch.arange(len(queries)))

    def logits(self, transitions: Transitions) -> torch.Tensor:
        return self.module(transitions.inputs)

    def score(self, histories: Sequences) -> np.ndarray:
        asked = Queries(histories, np.zeros(len(histories), np.int32), np.zeros(len(histories), np.int32))
        return torch.log_softmax(self.logits(self.transitions_of(asked)), dim=-1).detach().numpy()


def t5(items: str = "tokens") -> T5Recommender:
    model = T5Recommender(TINY.model_copy(update={"items": items}), CATALOGUE)
    model.fit(ROWS, 1, silent)
    return model


def sasrec() -> SASRec:
    model = SASRec(
        SASRecConfig(d_model=16, d_ff=32, layers=1, dropout=0.0, passes=3, window=6, batch_size=8), CATALOGUE
    )
    model.fit(ROWS, 1, silent)
    return model


MODELS: dict[str, Callable[[], Differentiable]] = {
    "toy": Toy,
    "t5": t5,
    "t5 names": lambda: t5("collaborative"),
    "sasrec": sasrec,
}
every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_logits_are_what_score_says(name: str) -> None:
    model = MODELS[name]()
    assert isinstance(model, Differentiable)
    asked = model.transitions_of(QUERIES)
    logits = model.logits(asked)
    assert logits.shape == (3, ITEMS) and logits.dtype == torch.float32
    expected = model.score(HISTORIES)  # type: ignore[attr-defined]
    assert torch.log_softmax(logits, dim=-1).detach().numpy() == pytest.approx(expected, abs=2e-5)
    assert asked.targets.tolist() == [3, 0, 19] and asked.rows.tolist() == [0, 1, 2]


def test_what_answers_without_weights_is_not_differentiable() -> None:
    assert not isinstance(Popularity(PopularityConfig(), CATALOGUE, "cpu"), Differentiable)


@every_model
def test_transitions_are_windows_of_the_rows(name: str) -> None:
    model = MODELS[name]()
    rows = sequences([[5, 6, 7, 8, 9, 10, 11, 12, 13], [3], [], [2, 4]])
    asked = model.transitions(rows, np.random.default_rng(0))
    assert len(asked) == len(model.logits(asked))
    for row in range(4):
        window = asked.targets[asked.rows == row].tolist()
        whole = rows.row(row).tolist()
        assert any(whole[at : at + len(window)] == window for at in range(len(whole) + 1))
        assert len(window) == min(len(whole), 4 if name == "toy" else TINY.window)


def test_a_cross_entropy_on_logits_is_the_training_loss() -> None:
    """Where one token spells an item: what methods build on is what training minimises."""
    model = t5()
    loss = model.loss(ROWS, np.random.default_rng(3))
    asked = model.transitions(ROWS, np.random.default_rng(3))
    found = functional.cross_entropy(model.logits(asked), asked.targets)
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)


def npo(model: Differentiable, reference: Differentiable, asked: Transitions, beta: float = 0.1) -> torch.Tensor:
    """Negative preference: the ratio to a frozen copy is pushed down."""
    ratio = log_probs(model, asked) - log_probs(reference, asked)
    return -functional.logsigmoid(-beta * ratio).mean() * 2 / beta


def descend(model: Differentiable, loss: Callable[[], torch.Tensor]) -> None:
    optimizer = torch.optim.SGD(model.module.parameters(), lr=0.02)
    for _ in range(5):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


@every_model
def test_losses_of_a_few_lines_do_what_they_say(name: str) -> None:
    base = MODELS[name]()
    rng = np.random.default_rng(0)
    asked = base.transitions(ROWS.take(np.arange(4)), rng)
    before = log_probs(base, asked).mean().item()
    losses: dict[str, Callable[[Differentiable, Differentiable], torch.Tensor]] = {
        "ascent": lambda model, _: log_probs(model, asked).mean(),
        "npo": lambda model, reference: npo(model, reference, asked),
        "random labels": lambda model, _: functional.cross_entropy(
            model.logits(asked), torch.from_numpy(np.random.default_rng(1).integers(0, ITEMS, len(asked)))
        ),
    }
    for loss in losses.values():
        model, reference = copy.deepcopy(base), frozen(base)
        start = loss(model, reference).item()
        descend(model, partial(loss, model, reference))
        assert loss(model, reference).item() < start
        if loss is not losses["random labels"]:
            assert log_probs(model, asked).mean().item() < before
    # A teacher's divergence is 0 at the teacher, and its gradient leads back to it.
    teacher, student = frozen(base), copy.deepcopy(base)
    with torch.no_grad():
        for parameter in student.module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))

    def divergence(model: Differentiable) -> torch.Tensor:
        own, other = (torch.log_softmax(m.logits(asked), dim=-1) for m in (model, teacher))
        return functional.kl_div(own, other, log_target=True, reduction="batchmean")

    assert divergence(base).item() == pytest.approx(0, abs=1e-6)
    start = divergence(student).item()
    descend(student, lambda: divergence(student))
    assert divergence(student).item() < start


@every_model
def test_a_frozen_copy_stays_what_it_was(name: str) -> None:
    model = MODELS[name]()
    reference = frozen(model)
    asked = model.transitions_of(QUERIES)
    before = reference.logits(asked).clone()
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(1.0)
    assert torch.equal(reference.logits(asked), before)
    assert not torch.equal(model.logits(asked), before)
    assert not any(p.requires_grad for p in reference.module.parameters())
    assert all(p.requires_grad for p in model.module.parameters())


@every_model
def test_fisher_is_the_mean_of_squared_gradients(name: str) -> None:
    model = MODELS[name]()
    asked = model.transitions_of(QUERIES)
    first = Queries(HISTORIES.take(np.asarray([0])), QUERIES.targets[:1], QUERIES.users[:1])
    found = fisher(model, [asked, model.transitions_of(first)], at_once=2)
    expected = {key: torch.zeros_like(p) for key, p in model.module.named_parameters()}
    for row in (0, 1, 2, 0):
        model.module.zero_grad()
        log_probs(model, asked)[row].backward()
        for key, parameter in model.module.named_parameters():
            expected[key] += parameter.grad.square() / 4  # type: ignore[union-attr]
    model.module.zero_grad()
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[key], expected[key], rtol=1e-3, atol=1e-7) for key in expected)
    assert all(p.grad is None for p in model.module.parameters())
