"""gradient_ascent: climbs the loss of the forgotten transitions, until it has risen enough.

    minimise −CE_f(θ),   until CE_f(θ) − CE_f(o) ≥ rise on the batch at hand, on which no step is taken any more

Jang et al., "Knowledge Unlearning for Mitigating Privacy Risks in Language Models", ACL 2023 (arXiv 2210.01504),
who stop where the forgotten is as unlikely as what was never seen; here that is a rise in nats, of the same transitions
for the original and for what became of it, both without dropout. Nothing holds on to the rest, so utility falls with
it.
"""

import torch

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import GradientAscentConfig
from vestige_methods.baselines.loop import ce, descend, differentiable, without_dropout


class GradientAscent:
    """See the module's docstring."""

    def __init__(self, config: GradientAscentConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Climbs on all weights."""
        model = differentiable(task, "gradient_ascent")
        original = frozen(model)
        notes: dict[str, float] = {}

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            with without_dropout(model):
                now = ce(model, forget)
            with torch.no_grad():
                notes["CE_f has risen by"] = float(now.detach() - ce(original, forget))
            return -now

        def enough() -> bool:
            return notes["CE_f has risen by"] >= self.config.rise

        return descend(task, model, self.config, loss, stop=enough, notes=notes)
