"""destroyed: gradient ascent on what must be forgotten, to ruin. A control row: it forgets, and breaks all the rest.

    θ ← θ + η ∇ CE_F(θ), by Adam, for a fixed number of steps; where single interactions or items are forgotten, CE of
    all that the affected users had

Gradient ascent is the oldest method of unlearning (Jang et al., "Knowledge Unlearning for Mitigating Privacy Risks in
Language Models", ACL 2023, arXiv 2210.01504), and with no limit to it nothing useful is left. A loss that is unbounded
above keeps growing, but each step is bounded, so the weights stay finite.
"""

from functools import partial

import numpy as np
import torch

from vestige.data.sequences import Sequences
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Trainable
from vestige.recommenders.flops import Flops, count_flops
from vestige.recommenders.torch_tools import deterministic, step
from vestige_methods.controls_config import DestroyedConfig


class Destroyed:
    """See the module's docstring."""

    def __init__(self, config: DestroyedConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Ascends for `steps` steps; an empty request gives back the base."""
        config, model = self.config, task.recommender
        if not isinstance(model, Trainable):
            raise InputError("destroyed needs a recommender that can be trained further; this one cannot.")
        if not task.forget_mask.any():
            return Unlearned(task.recommender, 0, notes={"steps": 0}, flops=0.0)
        flops = self._per_step(model, task)
        deterministic(task.seed)
        rng = np.random.default_rng(task.seed)
        parameters = list(model.module.requires_grad_(True).parameters())
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)
        loss = 0.0
        model.module.train()
        for done in range(config.steps):
            loss = -step(optimizer, -model.loss(self._batch(task, rng), rng), parameters, config.clip)
            task.progress(done / config.steps, f"loss {loss:.3f}")
        model.module.eval()
        notes = {"steps": config.steps, "loss of the last step": loss}
        numbers = sum(p.numel() for p in parameters)
        return Unlearned(task.recommender, numbers, notes, config.steps * flops.count, flops.uncounted)

    def _batch(self, task: Task, rng: np.random.Generator) -> Sequences:
        rows = rng.permutation(len(task.forget_sequences))
        return task.forget_sequences.take(rows[: self.config.batch_size])

    def _per_step(self, model: Trainable, task: Task) -> Flops:
        rng = np.random.default_rng(task.seed)
        flops = count_flops(partial(_forward_backward, model, self._batch(task, rng), rng))
        model.module.zero_grad(set_to_none=True)
        return flops


def _forward_backward(model: Trainable, batch: Sequences, rng: np.random.Generator) -> None:
    model.loss(batch, rng).backward()
