"""pcgrad: two objectives, each of whose gradients loses what works against the other.

    g_f = ∇(−γ CE_f),  g_r = ∇(α CE_r);  where g_f·g_r < 0:
    g = (g_f − (g_f·g_r/‖g_r‖²) g_r) + (g_r − (g_r·g_f/‖g_f‖²) g_f),   else g = g_f + g_r

Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020 (arXiv 2001.06782).
"""

import torch

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige_methods.baselines.configs import PCGradConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


def surgery(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The sum of two gradients [numbers], each without what works against the other."""
    along = one @ other
    if along >= 0:
        return one + other
    return one - along / (other @ other) * other + other - along / (one @ one) * one


class PCGrad:
    """See the module's docstring."""

    def __init__(self, config: PCGradConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights."""
        model, c = differentiable(task, "pcgrad"), self.config
        weights = [p for p in model.module.parameters() if p.requires_grad]

        def gradient(loss: torch.Tensor) -> torch.Tensor:
            found = torch.autograd.grad(loss, weights, allow_unused=True)
            flat = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
            return torch.cat([g.flatten() for g in flat])

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            away, back = -c.forget_weight * ce(model, forget), c.retain_weight * ce(model, retain)
            wanted = surgery(gradient(away), gradient(back))
            # The value of both objectives, with the gradient `wanted`.
            along = wanted @ torch.cat([w.flatten() for w in weights])
            return along - along.detach() + (away + back).detach()

        return descend(task, model, c, loss)
