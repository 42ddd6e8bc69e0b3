"""random_label: trains the forgotten transitions on a random other item.

    minimise γ CE(random y ≠ y⁻) on F + α CE_r

Golatkar, Achille and Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020 (arXiv 1911.04933), as a baseline; a
new item is drawn at every step. What it teaches is noise, which has to be learned too.
"""

import torch
from torch.nn.functional import cross_entropy

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige_methods.baselines.configs import RandomLabelConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


def another(targets: torch.Tensor, n_items: int, generator: torch.Generator) -> torch.Tensor:
    """int64 [transitions]: an item each, every other one as likely as the next."""
    by = torch.randint(1, n_items, targets.shape, generator=generator).to(targets.device)
    return (targets + by) % n_items


class RandomLabel:
    """See the module's docstring."""

    def __init__(self, config: RandomLabelConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights."""
        model, c = differentiable(task, "random_label"), self.config
        generator = torch.Generator().manual_seed(task.seed)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            noise = cross_entropy(model.logits(forget), another(forget.targets, len(task.catalogue), generator))
            return c.forget_weight * noise + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss)
