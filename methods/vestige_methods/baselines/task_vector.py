"""task_vector: goes the way that training on F alone would go, backwards.

    θ = θ_o − λ (θ_F − θ_o),   θ_F: the original, trained on F for some more steps

Ilharco et al., "Editing Models with Task Arithmetic", ICLR 2023 (arXiv 2212.04089).
"""

import torch

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import TaskVectorConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


class TaskVector:
    """See the module's docstring."""

    def __init__(self, config: TaskVectorConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains on F, and mirrors what that changed."""
        model = differentiable(task, "task_vector")
        original = frozen(model)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            return ce(model, forget)

        tuned = descend(task, model, self.config, loss)
        with torch.no_grad():
            for weight, before in zip(model.module.parameters(), original.module.parameters(), strict=True):
                weight.copy_(before - self.config.scale * (weight - before))
        return tuned
