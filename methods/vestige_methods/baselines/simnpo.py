"""simnpo: NPO without a reference: the length-normalised log-probability itself must be low.

    minimise mean_F −(2/β) log σ(−(β/|y|) log p_θ − γ) + α CE_r

Fan et al., "Simplicity Prevails: Rethinking Negative Preference Optimization for LLM Unlearning", NeurIPS 2025 (arXiv
2410.07163). |y| is the number of tokens of an answer; here p is of a whole item in a catalogue, so |y| = 1, however
many tokens spell it.
"""

import torch
from torch.nn.functional import logsigmoid

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import log_probs
from vestige_methods.baselines.configs import SimNPOConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


def simnpo_loss(now: torch.Tensor, beta: float, margin: float, length: int = 1) -> torch.Tensor:
    """The first term, a scalar, of log-probabilities [transitions]."""
    return -(2 / beta) * logsigmoid(-(beta / length) * now - margin).mean()


class SimNPO:
    """See the module's docstring."""

    def __init__(self, config: SimNPOConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights."""
        model, c = differentiable(task, "simnpo"), self.config

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            away = simnpo_loss(log_probs(model, forget), c.beta, c.margin)
            return away + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss)
