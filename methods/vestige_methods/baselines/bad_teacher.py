"""bad_teacher: learns from the original on R, and from one that knows nothing on F.

    minimise α KL(p_o ‖ p_θ) on R + γ KL(p_untrained ‖ p_θ) on F

Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
AAAI 2023 (arXiv 2205.08096). An untrained teacher is nearly uniform; gold is not, so the forgotten stand out.
Where the recommender starts from a checkpoint, the checkpoint is the teacher.
"""

import torch

from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Differentiable, Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import BadTeacherConfig
from vestige_methods.baselines.loop import descend, differentiable, kl


class BadTeacher:
    """See the module's docstring."""

    def __init__(self, config: BadTeacherConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights."""
        model, c = differentiable(task, "bad_teacher"), self.config
        good, bad = frozen(model), task.fresh()
        if not isinstance(bad, Differentiable):
            raise InputError("bad_teacher needs a recommender with gradients.")
        bad.module.eval().requires_grad_(False)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            with torch.no_grad():
                wanted_r, wanted_f = good.logits(retain), bad.logits(forget)
            kept = kl(wanted_r, model.logits(retain))
            return c.retain_weight * kept + c.forget_weight * kl(wanted_f, model.logits(forget))

        return descend(task, model, c, loss)
