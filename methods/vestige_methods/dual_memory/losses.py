"""The loss terms of dual memory, each a pure function, averaged over samples.

Notation: s are the side memory's logits, m the main memory's, both [samples, items]; y⁻ a forgotten target and y⁺ a
positive, both int64 [samples].
"""

import torch
from torch.nn import functional

Tensor = torch.Tensor


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
    rivals = without.topk(min(k, s.shape[1] - 1), dim=-1).indices
    return functional.relu(margin + _at(s, forgotten)[:, None] - s.gather(1, rivals)).mean()


def topk_penalty(s: Tensor, forgotten: Tensor, margin: float, k: int) -> Tensor:
    """relu(margin + s[y⁻] − s_(K))², s_(K) the K-th largest of s: a scalar, ≥ 0."""
    kth = s.topk(min(k, s.shape[1]), dim=-1).values[:, -1]
    return functional.relu(margin + _at(s, forgotten) - kth).square().mean()


def absolute_suppression(s: Tensor, forgotten: Tensor, margin: float) -> Tensor:
    """relu(margin + s[y⁻])²: a scalar, ≥ 0."""
    return functional.relu(margin + _at(s, forgotten)).square().mean()


def stability(s: Tensor, m: Tensor) -> Tensor:
    """KL(softmax(m) ‖ softmax(s)): a scalar, ≥ 0, and 0 where both agree."""
    return functional.kl_div(
        torch.log_softmax(s, dim=-1), torch.log_softmax(m, dim=-1), log_target=True, reduction="batchmean"
    )


def _at(values: Tensor, items: Tensor) -> Tensor:
    """[samples]: each sample's value at its item."""
    return values.gather(1, items[:, None]).squeeze(1)
