"""What losses on any differentiable recommender share: a frozen copy, log-probabilities, the Fisher information."""

import copy
from collections.abc import Iterable
from typing import TypeVar

import torch

from vestige.recommenders.contract import Differentiable, Transitions

ModelT = TypeVar("ModelT", bound=Differentiable)


def frozen(model: ModelT) -> ModelT:
    """A private copy, in evaluation mode, whose weights take no gradient: a teacher, or a reference."""
    twin = copy.deepcopy(model)
    twin.module.eval().requires_grad_(False)
    return twin


def log_probs(model: Differentiable, transitions: Transitions) -> torch.Tensor:
    """[transitions]: the log-probability of every target."""
    scores = torch.log_softmax(model.logits(transitions), dim=-1)
    return scores.gather(1, transitions.targets[:, None]).squeeze(1)


def fisher(model: Differentiable, batches: Iterable[Transitions], at_once: int = 16) -> dict[str, torch.Tensor]:
    """The diagonal of the empirical Fisher information, by parameter name, each of its parameter's shape.

    The mean over all transitions of the squared gradient of log p(target | history) (Kirkpatrick et al., PNAS 2017),
    the gradient of every transition by itself. Parameters that take no gradient are left out.

    Args:
        model: Its mode (dropout) is not changed, and neither are gradients that it holds.
        batches: The transitions; small ones are faster, since a backward pass goes through the whole batch.
        at_once: Gradients held at once; memory grows with it.
    """
    named = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
    squares = {name: torch.zeros_like(p) for name, p in named.items()}
    count = 0
    for batch in batches:
        values = log_probs(model, batch)
        rows = torch.eye(len(batch), device=values.device)
        for one_hot in rows.split(at_once):
            found = torch.autograd.grad(
                values, list(named.values()), one_hot, retain_graph=True, allow_unused=True, is_grads_batched=True
            )
            for name, gradient in zip(named, found, strict=True):
                if gradient is not None:
                    squares[name] += gradient.square().sum(dim=0)
        count += len(batch)
    return {name: total / max(count, 1) for name, total in squares.items()}
