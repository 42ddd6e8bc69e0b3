"""random_label: trains the forgotten transitions on a random other item.

    minimise γ CE(random y ≠ y⁻) on F + α CE_r,   y of the items that are retained

Golatkar, Achille and Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020 (arXiv 1911.04933), as a baseline; a
new item is drawn at every step. What it teaches is noise, which has to be learned too.
"""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige_methods.baselines.configs import RandomLabelConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


def another(targets: torch.Tensor, items: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """int64 [transitions]: one of the items each that is not the target, every one as likely as the next.

    Args:
        targets: int64 [transitions].
        items: int64 [items], two or more, in order, on the CPU.
        generator: Draws, on the CPU.
    """
    asked = targets.cpu()
    place = torch.searchsorted(items, asked)
    among = items[place.clamp_max(len(items) - 1)] == asked
    left = len(items) - among.long()
    drawn = (torch.rand(asked.shape, generator=generator, dtype=torch.float64) * left).long()
    return items[drawn + (among & (drawn >= place)).long()].to(targets.device)


class RandomLabel:
    """See the module's docstring."""

    def __init__(self, config: RandomLabelConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights.

        Raises:
            InputError: All that is retained is one item, so there is no other.
        """
        model, c = differentiable(task, "random_label"), self.config
        generator = torch.Generator().manual_seed(task.seed)
        items = torch.from_numpy(np.unique(task.retained.items).astype(np.int64))
        if len(items) < 2:
            raise InputError("random_label draws another item of what is retained, which is a single one or none.")

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            noise = cross_entropy(model.logits(forget), another(forget.targets, items, generator))
            return c.forget_weight * noise + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss)
