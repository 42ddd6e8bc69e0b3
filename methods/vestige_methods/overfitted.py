"""overfitted: the base trained on F alone, once more for as long as it was trained. A control row: it remembers F best.

Where single interactions or items are forgotten, on all that the affected users had, F among it.

The positive control of every attack that tells members from others: over-fitting is what such attacks live on (Yeom et
al., "Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting", CSF 2018, arXiv 1709.01604), so an
attack that does not find F here finds nothing anywhere; its AUC must be near 1.
"""

from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Trainable
from vestige_methods.configs import NoSettings


class Overfitted:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def unlearn(self, task: Task) -> Unlearned:
        """θ ← θ − η ∇ CE_F(θ), for as many passes over F as the base was trained for."""
        model = task.recommender
        if not isinstance(model, Trainable):
            raise InputError("overfitted needs a recommender that can be trained further; this one cannot.")
        report = model.train_on(task.forget_sequences, task.budget.passes, task.seed, task.progress)
        parameters = sum(p.numel() for p in model.module.parameters())
        notes = {"passes": report.passes, "steps": report.steps}
        return Unlearned(task.recommender, parameters, notes, report.flops, report.uncounted)
