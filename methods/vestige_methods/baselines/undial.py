"""undial: distils the original into itself, with the forgotten item's logit lowered.

    minimise CE(softmax(z_o − β·1[y]), softmax(z_θ)) on F + α CE_r

Dong et al., "UNDIAL: Self-Distillation with Adjusted Logits for Robust Unlearning in Large Language Models", NAACL
2025 (arXiv 2402.10052). The target is a distribution, so there is an end to it; how far down it lies is β's choice,
and not gold's.
"""

import torch
from torch.nn.functional import cross_entropy

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import UndialConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


def lowered(logits: torch.Tensor, targets: torch.Tensor, beta: float) -> torch.Tensor:
    """softmax(z − β·1[y]), [transitions, items]."""
    by = torch.zeros_like(logits).scatter_(1, targets[:, None], beta)
    return torch.softmax(logits - by, dim=-1)


class Undial:
    """See the module's docstring."""

    def __init__(self, config: UndialConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights against a frozen copy of the original."""
        model, c = differentiable(task, "undial"), self.config
        original = frozen(model)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            with torch.no_grad():
                wanted = lowered(original.logits(forget), forget.targets, c.beta)
            distilled = cross_entropy(model.logits(forget), wanted)
            return distilled + c.retain_weight * ce(model, retain) if c.retain_weight else distilled

        return descend(task, model, c, loss)
