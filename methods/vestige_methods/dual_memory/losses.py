"""The loss terms of dual memory, each a pure function, averaged over samples.

Notation: s are the side memory's logits, m the main memory's, both [samples, items]; y⁻ a forgotten target and y⁺ a
positive, both int64 [samples].
"""

import torch
from torch.nn import functional

Tensor = torch.Tensor


def retained_cross_entropy(s: Tensor, target: Tensor) -> Tensor:
    """−log softmax(s)[target] of retained samples: a scalar, ≥ 0."""
    return functional.cross_entropy(s, target)


def positive_bce(s: Tensor, positive: Tensor) -> Tensor:
    """BCE(s[y⁺] → 1): a scalar, ≥ 0."""
    return functional.softplus(-_at(s, positive)).mean()


def negative_bce(s: Tensor, forgotten: Tensor) -> Tensor:
    """BCE(s[y⁻] → 0): a scalar, ≥ 0."""
    return functional.softplus(_at(s, forgotten)).mean()


def unlikelihood(s: Tensor, forgotten: Tensor) -> Tensor:
    """−log(1 − softmax(s)[y⁻]) (Welleck et al., ICLR 2020): a scalar, ≥ 0; finite where the probability rounds to 1."""
    log_p = _at(torch.log_softmax(s, dim=-1), forgotten)
    rest = -torch.expm1(log_p)
    return -torch.log(rest.clamp_min(torch.finfo(s.dtype).eps)).mean()


def pairwise(s: Tensor, m: Tensor, forgotten: Tensor, margin: float, k: int) -> Tensor:
    """mean over the k highest items of m without y⁻ of relu(margin + s[y⁻] − s[k]): a scalar, ≥ 0."""
    without = m.detach().scatter(1, forgotten[:, None], -torch.inf)
    rivals = without.topk(min(k, s.shape[1] - 1), dim=-1, sorted=False).indices
    return functional.relu(margin + _at(s, forgotten)[:, None] - s.gather(1, rivals)).mean()


def topk_penalty(s: Tensor, forgotten: Tensor, margin: float, k: int) -> Tensor:
    """relu(margin + s[y⁻] − s_(K))², s_(K) the K-th largest of s: a scalar, ≥ 0."""
    kth = s.topk(min(k, s.shape[1]), dim=-1, sorted=False).values.amin(dim=-1)
    return functional.relu(margin + _at(s, forgotten) - kth).square().mean()


def absolute_suppression(s: Tensor, forgotten: Tensor, margin: float) -> Tensor:
    """relu(margin + s[y⁻])²: a scalar, ≥ 0."""
    return functional.relu(margin + _at(s, forgotten)).square().mean()


def stability(s: Tensor, m: Tensor) -> Tensor:
    """KL(softmax(m) ‖ softmax(s)): a scalar, ≥ 0, and 0 where both agree."""
    return functional.kl_div(
        torch.log_softmax(s, dim=-1), torch.log_softmax(m, dim=-1), log_target=True, reduction="batchmean"
    )


def self_distillation(s: Tensor, m: Tensor, forgotten: Tensor, delta: float) -> Tensor:
    """KL(softmax(m − δ·1[y⁻]) ‖ softmax(s)): a scalar, ≥ 0, and 0 where s is main with y⁻ lowered by δ.

    The target is what main says of everything else, with y⁻ a little less likely, and not hidden: δ is in logits (Dong
    et al., "UNDIAL", NAACL 2025, arXiv 2402.10052).
    """
    lowered = m.detach().scatter_add(1, forgotten[:, None], torch.full_like(m[:, :1], -delta).detach())
    return stability(s, lowered)


def log_prob_shift(s: Tensor, m: Tensor, forgotten: Tensor, delta: float) -> Tensor:
    """(log softmax(s)[y⁻] − log softmax(m)[y⁻] + δ)²: a scalar, ≥ 0, and 0 where y⁻ is δ nats less likely than in main.

    It pulls back whoever falls below, as well as whoever is still above. Self-distillation alone moves an unlikely y⁻
    very little: its gradient at y⁻ is the difference of two small probabilities.
    """
    side, main = (_at(torch.log_softmax(logits, dim=-1), forgotten) for logits in (s, m.detach()))
    return (side - main + delta).square().mean()


def _at(values: Tensor, items: Tensor) -> Tensor:
    """[samples]: each sample's value at its item."""
    return values.gather(1, items[:, None]).squeeze(1)
