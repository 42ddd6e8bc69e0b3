"""grad_diff: climbs the loss of the forgotten, and descends on that of the retained transitions.

    minimise −γ CE_f + α CE_r

Liu, Liu and Stone, "Continual Learning and Private Unlearning", CoLLAs 2022 (arXiv 2203.12817); as GradDiff in
Maini et al., "TOFU", COLM 2024 (arXiv 2401.06121). The first term has no lower bound, so the number of steps
decides.
"""

import torch

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige_methods.baselines.configs import GradDiffConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


class GradDiff:
    """See the module's docstring."""

    def __init__(self, config: GradDiffConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights."""
        model, c = differentiable(task, "grad_diff"), self.config

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            return -c.forget_weight * ce(model, forget) + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss)
