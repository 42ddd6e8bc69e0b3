"""npo: negative preference optimisation. Climbs ever more gently, the less likely a forgotten transition has become.

    minimise mean_F −(2/β) log σ(−β (log p_θ − log p_o)) + α CE_r

Zhang et al., "Negative Preference Optimization: From Catastrophic Collapse to Effective Unlearning", COLM 2024 (arXiv
2404.05868). With β → 0 it is gradient ascent. In the first term nothing is dropped out, so that θ_o is
where the ratio is 1.
"""

import torch
from torch.nn.functional import logsigmoid

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen, log_probs
from vestige_methods.baselines.configs import NPOConfig
from vestige_methods.baselines.loop import ce, descend, differentiable, without_dropout


def npo_loss(now: torch.Tensor, original: torch.Tensor, beta: float) -> torch.Tensor:
    """The first term, a scalar, of log-probabilities [transitions] of the model and of the original."""
    return -(2 / beta) * logsigmoid(-beta * (now - original)).mean()


class NPO:
    """See the module's docstring."""

    def __init__(self, config: NPOConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights against a frozen copy of the original."""
        model, c = differentiable(task, "npo"), self.config
        original = frozen(model)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            with torch.no_grad():
                before = log_probs(original, forget)
            with without_dropout(model):
                now = log_probs(model, forget)
            return npo_loss(now, before, c.beta) + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss)
