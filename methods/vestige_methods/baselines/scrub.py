"""scrub: drives the model away from the original on F, and back to it on R, by turns.

    max step: minimise −KL(p_o ‖ p_θ) on F;    min step: minimise distil·KL(p_o ‖ p_θ) + α CE on R

Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023 (arXiv 2302.09880). Max steps come first and
by turns; min steps alone end it, to repair, for half of all steps at least.
"""

import torch
from torch.nn.functional import cross_entropy

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import ScrubConfig
from vestige_methods.baselines.loop import descend, differentiable, kl


class Scrub:
    """See the module's docstring."""

    def __init__(self, config: ScrubConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights against a frozen copy of the original."""
        model, c = differentiable(task, "scrub"), self.config
        original = frozen(model)
        counting = 0  # the first call is the one that counts what a step takes, so that step 1 is a max step
        notes = {"max steps": 0.0}

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            nonlocal counting
            turn, counting = counting, counting + 1
            if turn % 2 and turn < 2 * c.max_steps and turn <= c.steps / 2:
                notes["max steps"] += 1
                with torch.no_grad():
                    wanted = original.logits(forget)
                return -kl(wanted, model.logits(forget))
            with torch.no_grad():
                wanted = original.logits(retain)
            now = model.logits(retain)
            return c.distil * kl(wanted, now) + c.retain_weight * cross_entropy(now, retain.targets)

        return descend(task, model, c, loss, notes=notes)
