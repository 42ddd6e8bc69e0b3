"""The mean cross-entropy over a whole catalogue, and its gradient, without keeping the logits.

Logits of a batch over thousands of items are by far the largest thing that a training step of a small model makes, and
reading and writing them takes longer than the arithmetic. So they are made for some rows at a time, in a room that
stays in the processor's cache, and what the backward pass needs of them is worked out while they are there (as Wijmans
et al., "Cut Your Losses in Large-Vocabulary Language Models", ICLR 2025, arXiv 2411.09009, do in a kernel for GPUs).
"""

from collections.abc import Callable
from typing import Any

import torch

IGNORED = -100
"""Target of a position without a loss."""

ROOM = 1 << 20
"""Logits held at once."""

ALIGNED = 64
"""Rows of logits begin at multiples of so many numbers; products of matrices are up to twice as fast for it."""


def mean_cross_entropy(
    states: torch.Tensor,
    targets: torch.Tensor,
    project: Callable[[torch.Tensor], torch.Tensor],
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """The mean cross-entropy, in nats, of the positions that have a target; no other is projected onto the answers.

    Of short sequences most positions of a batch are padding, and over a catalogue of thousands the projection and its
    softmax are most of the work.

    Args:
        states: [rows, positions, d_model].
        targets: int64 [rows, positions], `IGNORED` at padding.
        project: Gives logits [positions, answers] of states [positions, d_model].
        weight: [answers, d_model], where `project` is nothing but the product with it: logits are then not kept.
            Under autocast `project` is asked all the same.
    """
    at = targets != IGNORED
    asked, answers = states[at], targets[at]
    if weight is None or torch.is_autocast_enabled(asked.device.type):
        return torch.nn.functional.cross_entropy(project(asked).float(), answers)
    return catalogue_cross_entropy(asked, weight, answers)


def catalogue_cross_entropy(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """cross_entropy(states @ weightᵀ, targets), the mean in nats, differentiable once.

    Args:
        states: [positions, d_model].
        weight: [answers, d_model].
        targets: int64 [positions].
    """
    loss: torch.Tensor = _CatalogueCrossEntropy.apply(states, weight, targets)  # type: ignore[no-untyped-call]
    return loss


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        count, items = len(states), len(weight)
        of_states, of_weight = (
            torch.zeros_like(tensor) if needed else None
            for tensor, needed in zip((states, weight), ctx.needs_input_grad[:2], strict=True)
        )
        stride = -(-items // ALIGNED) * ALIGNED
        room = states.new_empty(max(1, min(count, ROOM // stride)), stride)
        total = states.new_zeros(())
        for begin in range(0, count, len(room)):
            part, wanted = states[begin : begin + len(room)], targets[begin : begin + len(room), None]
            logits = room[: len(part)]
            torch.mm(part, weight.T, out=logits[:, :items])
            logits[:, items:] = -torch.inf  # places that only align the rows: answers of probability 0
            highest, right = logits.amax(dim=1), logits.gather(1, wanted)[:, 0]
            p = torch.softmax(logits, dim=1, out=logits)
            # log Σ exp z = max z − log max p, and the highest probability is never 0.
            total += (highest - p.amax(dim=1).log() - right).sum()
            p = p[:, :items]
            # The gradient of the sum with respect to the logits is p − 1[target].
            p.scatter_add_(1, wanted, p.new_full((1, 1), -1.0).expand_as(wanted))
            if of_states is not None:
                torch.mm(p, weight, out=of_states[begin : begin + len(room)])
            if of_weight is not None:
                torch.addmm(of_weight, p.T, part, out=of_weight)
        ctx.save_for_backward(of_states, of_weight)
        ctx.count = count
        return total / count

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        if torch.is_grad_enabled():  # the gradient was worked out without a graph, and would pass for a constant
            raise RuntimeError("the training loss can be differentiated once; build on the logits for more.")
        of_states, of_weight = ctx.saved_tensors
        scale = gradient / ctx.count
        return (
            None if of_states is None else of_states * scale,
            None if of_weight is None else of_weight * scale,
            None,
        )
