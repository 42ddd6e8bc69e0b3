"""noise_repair: damages the weights, and repairs them on what is retained.

    noise:   θ ← θ + σ·std(W)·ε in every matrix W, ε ~ N(0, 1)
    reset:   the share of weights with the smallest |∂CE_r/∂θ| begins again from θ_0
    then     minimise CE_r

After the entries SEIF (noise) and Kookmin (reset) of the NeurIPS 2023 competition, as told by Triantafillou et al.,
"Are We Making Progress in Unlearning?", arXiv 2406.09073; which weights are reset hangs on R alone here. Neither
variant looks at F: what is not rehearsed is to be forgotten. θ_0 are the first weights, those of the checkpoint where
the recommender starts from one, the same on every seed.
"""

from functools import partial

import torch

from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Differentiable, Transitions
from vestige.recommenders.flops import Flops, count_flops
from vestige.recommenders.torch_tools import deterministic
from vestige_methods.baselines.configs import NoiseRepairConfig
from vestige_methods.baselines.loop import Batches, ce, descend, differentiable, empty

LOOKS = 10
"""Batches of R whose gradients say which weights matter."""


class NoiseRepair:
    """See the module's docstring."""

    def __init__(self, config: NoiseRepairConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Damages and repairs all weights."""
        model, c = differentiable(task, "noise_repair"), self.config
        if empty(task):
            return Unlearned(task.recommender, 0, notes={"steps": 0}, flops=0.0)
        deterministic(task.seed)
        looked = None
        if c.variant == "noise":
            self._add_noise(model, task)
        else:
            looked = self._reset(model, task)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            return ce(model, retain)

        return descend(task, model, c, loss, extra=looked)

    @torch.no_grad()
    def _add_noise(self, model: Differentiable, task: Task) -> None:
        generator = torch.Generator().manual_seed(task.seed)
        for weight in model.module.parameters():
            if weight.dim() > 1:
                drawn = torch.randn(weight.shape, generator=generator).to(weight.device)
                weight.add_(drawn, alpha=self.config.noise * float(weight.std()))

    def _reset(self, model: Differentiable, task: Task) -> Flops:
        """Draws weights anew; what it took to see which matter."""
        fresh = task.fresh()
        if not isinstance(fresh, Differentiable):
            raise InputError("noise_repair needs a recommender with gradients.")
        batches = Batches(model, task, self.config.batch_size)
        model.module.eval()
        model.module.zero_grad(set_to_none=True)
        looked = count_flops(partial(_look, model, batches))
        for _ in range(LOOKS - 1):
            _look(model, batches)
        with torch.no_grad():
            for weight, new in zip(model.module.parameters(), fresh.module.parameters(), strict=True):
                if weight.dim() > 1 and weight.grad is not None:
                    order = weight.grad.abs().flatten().argsort(stable=True)
                    least = order[: int(self.config.share * weight.numel())]
                    weight.view(-1)[least] = new.reshape(-1)[least]
        model.module.zero_grad(set_to_none=True)
        return Flops(LOOKS * looked.count, looked.uncounted)


def _look(model: Differentiable, batches: Batches) -> None:
    """Adds the gradient of CE_r of one batch to those that the weights hold."""
    ce(model, batches.retain()).backward()
