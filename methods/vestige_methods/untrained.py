"""untrained: a recommender of the same configuration that was never trained. A control row: it forgets everything.

It has no trace of F, and none of anything else. A measure that looks at traces only would praise it; its score must be
nothing.
"""

from vestige.methods import Task, Unlearned
from vestige_methods.configs import NoSettings


class Untrained:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def unlearn(self, task: Task) -> Unlearned:
        """θ = θ_0, the initial weights."""
        return Unlearned(task.fresh(), 0, flops=0.0)
