"""Each loss term against a value computed by hand, and its gradient against finite differences."""

import math
from functools import partial
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vestige_methods.dual_memory import losses

S = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, 0.3, 3.0]], dtype=torch.float64)
M = torch.tensor([[1.0, 2.0, 3.0, -4.0], [0.0, 5.0, 1.0, 2.0]], dtype=torch.float64)
Y = torch.tensor([0, 3])


def log(logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits, dim=-1)


at = partial(losses.at, items=Y)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


def test_bce() -> None:
    assert losses.positive_bce(S, Y).item() == pytest.approx((softplus(-2.0) + softplus(-3.0)) / 2)
    assert losses.negative_bce(at(S)).item() == pytest.approx((softplus(2.0) + softplus(3.0)) / 2)


def test_unlikelihood() -> None:
    p = [softmax(S[0].tolist())[0], softmax(S[1].tolist())[3]]
    assert losses.unlikelihood(log(S), Y).item() == pytest.approx(-sum(math.log(1 - x) for x in p) / 2)
    certain = torch.tensor([[200.0, 0.0]])
    assert torch.isfinite(losses.unlikelihood(log(certain), torch.tensor([0])))


def test_pairwise_competes_with_mains_best_others() -> None:
    # Row 0: main's best two but item 0 are 2 and 1; row 1: main's best two but item 3 are 1 and 2.
    rows = [[2.0 + 2.0 - 0.5, 2.0 + 2.0 + 1.0], [2.0 + 3.0 - 0.2, 2.0 + 3.0 - 0.3]]
    assert losses.pairwise(S, losses.rivals(M, Y, 2), at(S), 2.0).item() == pytest.approx(sum(map(sum, rows)) / 4)
    low = S.clone()
    low[0, 0], low[1, 3] = -50.0, -50.0
    assert losses.pairwise(low, losses.rivals(M, Y, 2), at(low), 2.0).item() == 0


def test_topk_penalty() -> None:
    # The second highest of row 0 is 0.5, of row 1 it is 0.3.
    expected = ((0.4 + 2.0 - 0.5) ** 2 + (0.4 + 3.0 - 0.3) ** 2) / 2
    assert losses.topk_penalty(S, at(S), 0.4, 2).item() == pytest.approx(expected)


@given(st.integers(1, 5), st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_highest_are_those_that_sorting_finds(samples: int, items: int, random: Random) -> None:
    """Ties included, which is where a partition and a sort may take different items, never different values."""
    values = torch.tensor([[float(random.randint(0, 9)) for _ in range(items)] for _ in range(samples)])
    k = random.randint(1, items)
    found = losses._highest(values, k)
    assert all(len(set(row)) == k for row in found.tolist())
    highest = values.sort(dim=-1, descending=True).values[:, :k]
    assert torch.equal(values.gather(1, found).sort(dim=-1, descending=True).values, highest)
    assert torch.equal(values.gather(1, found)[:, 0], highest[:, -1])


def test_absolute_suppression() -> None:
    assert losses.absolute_suppression(at(S), 3.5).item() == pytest.approx((5.5**2 + 6.5**2) / 2)
    assert losses.absolute_suppression(at(S - 100), 3.5).item() == 0


def test_stability_is_kl_of_main_from_side() -> None:
    expected = 0.0
    for s, m in zip(S.tolist(), M.tolist(), strict=True):
        p, q = softmax(m), softmax(s)
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2
    assert losses.stability(log(S), log(M)).item() == pytest.approx(expected)
    assert losses.stability(log(M), log(M)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "term",
    [
        lambda s: losses.positive_bce(s, Y),
        lambda s: losses.negative_bce(at(s)),
        lambda s: losses.unlikelihood(log(s), Y),
        lambda s: losses.pairwise(s, losses.rivals(M, Y, 2), at(s), 2.0),
        lambda s: losses.topk_penalty(s, at(s), 0.4, 2),
        lambda s: losses.absolute_suppression(at(s), 3.5),
        lambda s: losses.stability(log(s), log(M)),
        lambda s: losses.retained_cross_entropy(log(s), Y),
        lambda s: losses.self_distillation(log(s), log(M), Y, 0.6),
        lambda s: losses.log_prob_shift(log(s), log(M), Y, 0.6),
    ],
)
def test_gradients(term) -> None:
    assert torch.autograd.gradcheck(term, (S.clone().requires_grad_(True),))


def test_retained_cross_entropy() -> None:
    p = [softmax(S[0].tolist())[0], softmax(S[1].tolist())[3]]
    assert losses.retained_cross_entropy(log(S), Y).item() == pytest.approx(-sum(map(math.log, p)) / 2)


def test_self_distillation_wants_main_with_the_forgotten_lowered() -> None:
    expected = 0.0
    for s, m, y in zip(S.tolist(), M.tolist(), Y.tolist(), strict=True):
        p, q = softmax([x - 0.6 * (i == y) for i, x in enumerate(m)]), softmax(s)
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2
    assert losses.self_distillation(log(S), log(M), Y, 0.6).item() == pytest.approx(expected)
    reached = M.clone()
    reached[[0, 1], Y] -= 0.6
    assert losses.self_distillation(log(reached + 5), log(M), Y, 0.6).item() == pytest.approx(0, abs=1e-12)
    assert losses.self_distillation(log(S), log(M), Y, 0.0).item() == pytest.approx(
        losses.stability(log(S), log(M)).item()
    )


def test_the_shift_is_two_sided() -> None:
    p, q = ([math.log(softmax(row)[y]) for row, y in zip(x.tolist(), Y.tolist(), strict=True)] for x in (M, S))
    expected = sum((b - a + 0.6) ** 2 for a, b in zip(p, q, strict=True)) / 2
    assert losses.log_prob_shift(log(S), log(M), Y, 0.6).item() == pytest.approx(expected)
    assert losses.log_prob_shift(log(M), log(M), Y, 0.6).item() == pytest.approx(0.36)
    hidden = M.clone()
    hidden[[0, 1], Y] -= 50
    assert losses.log_prob_shift(log(hidden), log(M), Y, 0.6).item() > 100


@pytest.mark.parametrize(
    "term",
    [
        lambda s, m: losses.pairwise(s, losses.rivals(m, Y, 2), at(s), 2.0),
        lambda s, m: losses.self_distillation(log(s), log(m), Y, 0.6),
        lambda s, m: losses.log_prob_shift(log(s), log(m), Y, 0.6),
    ],
)
def test_main_gets_no_gradient(term) -> None:
    m = M.clone().requires_grad_(True)
    term(S.clone().requires_grad_(True), m).backward()
    assert m.grad is None
