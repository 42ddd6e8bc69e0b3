"""gradient_ascent: climbs the loss of the forgotten transitions, until it has risen enough.

    minimise −CE_f(θ),   stop as soon as CE_f(θ) ≥ CE_f(o) + rise

Jang et al., "Knowledge Unlearning for Mitigating Privacy Risks in Language Models", ACL 2023 (arXiv 2210.01504),
who stop where the forgotten is as unlikely as what was never seen; here that is a rise in nats. Nothing holds on to
the rest, so utility falls with it.
"""

import torch

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige_methods.baselines.configs import GradientAscentConfig
from vestige_methods.baselines.loop import ce, descend, differentiable, mean_ce


class GradientAscent:
    """See the module's docstring."""

    def __init__(self, config: GradientAscentConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Climbs on all weights."""
        model = differentiable(task, "gradient_ascent")
        limit = mean_ce(model, task) + self.config.rise
        risen: list[float] = []

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            ce_f = ce(model, forget)
            risen.append(float(ce_f.detach()))
            return -ce_f

        return descend(task, model, self.config, loss, stop=lambda: risen[-1] >= limit, notes={"CE_f to reach": limit})
