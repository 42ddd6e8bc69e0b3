"""ssd: selective synaptic dampening. Weakens the weights that matter more to F than to everything; no training.

    where I_F > α I_all:   θ ← min(λ I_all / I_F, 1) θ

I is the diagonal of the Fisher information of each set. Foster, Schoepf and Brintrup, "Fast Machine Unlearning
Without Retraining Through Selective Synaptic Dampening", AAAI 2024 (arXiv 2308.07707).
"""

from collections.abc import Iterator
from functools import partial

import torch

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Differentiable, Transitions
from vestige.recommenders.gradients import fisher
from vestige.recommenders.torch_tools import deterministic
from vestige_methods.baselines.configs import SSDConfig
from vestige_methods.baselines.counting import CountsSome
from vestige_methods.baselines.loop import Batches, differentiable, empty
from vestige_methods.baselines.shares import forgotten_by_retained

AT_ONCE = 32
"""Transitions whose gradients are taken at once, each by itself through all of its batch."""


class SSD:
    """See the module's docstring."""

    def __init__(self, config: SSDConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Dampens in one step."""
        model = differentiable(task, "ssd")
        if empty(task):
            return Unlearned(task.recommender, 0, notes={"dampened": 0.0}, flops=0.0)
        deterministic(task.seed)
        model.module.eval()
        counts = CountsSome()
        of_forget, of_all = (self._fisher(model, task, of, counts) for of in ("forget", "all"))
        dampened = 0
        with torch.no_grad():
            for name, weight in model.module.named_parameters():
                if name in of_forget:
                    chosen = of_forget[name] > self.config.alpha * of_all[name]
                    ratio = self.config.dampening * of_all[name] / of_forget[name].clamp_min(1e-30)
                    weight[chosen] *= ratio.clamp_max(1.0)[chosen]
                    dampened += int((chosen & (ratio < 1.0)).sum())
        numbers = sum(p.numel() for p in model.module.parameters())
        return Unlearned(
            task.recommender,
            numbers,
            {"share of weights dampened": dampened / numbers},
            counts.total.count,
            counts.total.uncounted,
        )

    def _fisher(self, model: Differentiable, task: Task, of: str, counts: CountsSome) -> dict[str, torch.Tensor]:
        total: dict[str, torch.Tensor] = {}
        seen = 0
        for batch in self._batches(model, task, of):
            found = counts.run(partial(fisher, model, [batch], AT_ONCE), len(batch))
            total = {name: total.get(name, 0) + len(batch) * each for name, each in found.items()}
            seen += len(batch)
        return {name: each / max(seen, 1) for name, each in total.items()}

    def _batches(self, model: Differentiable, task: Task, of: str) -> Iterator[Transitions]:
        """Sequences of F, or of R and F so that transitions are mixed as in training, until there are enough."""
        batches = Batches(model, task, 1)
        by_retained = forgotten_by_retained(model, task)
        share = 1.0 if of == "forget" else by_retained / (1 + by_retained)
        seen = forgotten = 0
        while seen < self.config.transitions:
            wanted = forgotten < share * (seen + 1)
            batch = batches.forget() if wanted else batches.retain()
            seen += max(len(batch), 1)
            forgotten += len(batch) if wanted else 0
            yield batch
            task.progress(min(seen / self.config.transitions, 1.0), f"Fisher information of {of}")
