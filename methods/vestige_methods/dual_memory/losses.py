"""The loss terms of dual memory, each a pure function, averaged over samples.

Notation: s are the side memory's logits, m the main memory's, log_s and log_m the logarithms of their softmax, all
[samples, items]; y⁻ a forgotten target and y⁺ a positive, both int64 [samples]; s⁻ = s[y⁻], [samples], which `at` makes
once for all terms that ask for it.
"""

import math

import numpy as np
import torch
from torch.nn import functional

Tensor = torch.Tensor


def retained_cross_entropy(log_s: Tensor, target: Tensor) -> Tensor:
    """−log_s[target] of retained samples: a scalar, ≥ 0."""
    return functional.nll_loss(log_s, target)


def positive_bce(s: Tensor, positive: Tensor) -> Tensor:
    """BCE(s[y⁺] → 1): a scalar, ≥ 0."""
    return functional.softplus(-at(s, positive)).mean()


def negative_bce(s_minus: Tensor) -> Tensor:
    """BCE(s⁻ → 0): a scalar, ≥ 0."""
    return functional.softplus(s_minus).mean()


def unlikelihood(log_s: Tensor, forgotten: Tensor) -> Tensor:
    """−log(1 − exp log_s[y⁻]) (Welleck et al., ICLR 2020): a scalar, ≥ 0; finite where the probability rounds to 1."""
    rest = -torch.expm1(at(log_s, forgotten))
    return -torch.log(rest.clamp_min(torch.finfo(log_s.dtype).eps)).mean()


def rivals(m: Tensor, forgotten: Tensor, k: int) -> Tensor:
    """int64 [samples, k]: the k highest items of m without y⁻, in no order; fewer where there are fewer items."""
    without = m.detach().scatter(1, forgotten[:, None], -torch.inf)
    return _highest(without, min(k, m.shape[1] - 1))


def pairwise(s: Tensor, rivals: Tensor, s_minus: Tensor, margin: float) -> Tensor:
    """mean over the rivals k of y⁻, int64 [samples, rivals], of relu(margin + s⁻ − s[k]): a scalar, ≥ 0."""
    return functional.relu(margin + s_minus[:, None] - s.gather(1, rivals)).mean()


def topk_penalty(s: Tensor, s_minus: Tensor, margin: float, k: int) -> Tensor:
    """relu(margin + s⁻ − s_(K))², s_(K) the K-th largest of s: a scalar, ≥ 0."""
    kth = at(s, _highest(s, min(k, s.shape[1]))[:, 0])
    return functional.relu(margin + s_minus - kth).square().mean()


def absolute_suppression(s_minus: Tensor, margin: float) -> Tensor:
    """relu(margin + s⁻)²: a scalar, ≥ 0."""
    return functional.relu(margin + s_minus).square().mean()


def stability(log_s: Tensor, log_m: Tensor) -> Tensor:
    """KL(main ‖ side): a scalar, ≥ 0, and 0 where both agree."""
    return functional.kl_div(log_s, log_m, log_target=True, reduction="batchmean")


def self_distillation(log_s: Tensor, log_m: Tensor, forgotten: Tensor, delta: float) -> Tensor:
    """KL(softmax(m − δ·1[y⁻]) ‖ side): a scalar, ≥ 0, and 0 where the side is main with y⁻ lowered by δ.

    The target is what main says of everything else, with y⁻ a little less likely, and not hidden: δ is in logits (Dong
    et al., "UNDIAL", NAACL 2025, arXiv 2402.10052).
    """
    column = forgotten[:, None]
    log_m = log_m.detach()
    # What y⁻ loses, all items share: p → p / (1 − p[y⁻] (1 − exp −δ)).
    left = torch.log1p(log_m.gather(1, column).exp() * math.expm1(-delta))
    return stability(log_s, log_m.scatter_add(1, column, torch.full_like(left, -delta)) - left)


def log_prob_shift(log_s: Tensor, log_m: Tensor, forgotten: Tensor, delta: float) -> Tensor:
    """(log_s[y⁻] − log_m[y⁻] + δ)²: a scalar, ≥ 0, and 0 where y⁻ is δ nats less likely than in main.

    It pulls back whoever falls below, as well as whoever is still above. Self-distillation alone moves an unlikely y⁻
    very little: its gradient at y⁻ is the difference of two small probabilities.
    """
    return (at(log_s, forgotten) - at(log_m.detach(), forgotten) + delta).square().mean()


def at(values: Tensor, items: Tensor) -> Tensor:
    """[samples]: each sample's value at its item."""
    return values.gather(1, items[:, None]).squeeze(1)


def _highest(values: Tensor, k: int) -> Tensor:
    """int64 [samples, k]: the items of the k highest values of each sample, of which the first is the lowest."""
    if values.device.type != "cpu":
        return values.topk(k, dim=-1).indices.flip(-1)
    place = values.shape[1] - k
    # Several times as fast on a processor: nothing but the first is put into its place.
    return torch.from_numpy(np.argpartition(values.detach().numpy(), place, axis=1)[:, place:])
