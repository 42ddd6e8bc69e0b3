"""retrain: a new model from scratch on what is retained; perfect forgetting by definition, at full price."""

from vestige.methods import Task, Unlearned
from vestige_methods.configs import NoSettings


class Retrain:
    """Where the board's gold serves, the pipeline does not run this: with gold's seed it would be gold to the byte."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def unlearn(self, task: Task) -> Unlearned:
        """θ = fit(R)."""
        model = task.fresh()
        report = model.fit(task.retained, task.seed, task.progress)
        module = getattr(model, "module", None)
        parameters = sum(p.numel() for p in module.parameters()) if module is not None else 0
        notes = {"passes": report.passes, "steps": report.steps}
        return Unlearned(model, parameters, notes, report.flops, report.uncounted)
