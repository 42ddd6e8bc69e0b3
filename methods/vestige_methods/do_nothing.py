"""do_nothing: the request is ignored. What it keeps, it keeps; it forgets nothing and costs nothing."""

from vestige.methods import Task, Unlearned
from vestige_methods.configs import NoSettings


class DoNothing:
    """Hands the base back."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def unlearn(self, task: Task) -> Unlearned:
        """θ = θ_base."""
        return Unlearned(task.recommender, 0, flops=0.0)
