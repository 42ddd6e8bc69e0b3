"""finetune: goes on training on the retained data for a share of the budget, and hopes that the rest fades.

The naive baseline of the field (catastrophic forgetting as a method; Golatkar, Achille and Soatto, "Eternal Sunshine of
the Spotless Net", CVPR 2020). Nothing in it pushes against what must be forgotten, so little is.
"""

from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Trainable
from vestige_methods.configs import FinetuneConfig


class Finetune:
    """See the module's docstring."""

    def __init__(self, config: FinetuneConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """θ ← θ − η ∇ CE_R(θ), for `share` of the base's passes."""
        model = task.recommender
        if not isinstance(model, Trainable):
            raise InputError("finetune needs a recommender that can be trained further; this one cannot.")
        passes = self.config.share * task.budget.passes
        report = model.train_on(task.retained, passes, task.seed, task.progress, self.config.learning_rate)
        parameters = sum(p.numel() for p in model.module.parameters())
        notes = {"passes": passes, "steps": report.steps}
        return Unlearned(task.recommender, parameters, notes, report.flops, report.uncounted)
