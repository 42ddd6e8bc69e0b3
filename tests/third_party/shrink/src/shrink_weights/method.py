"""shrink: θ = (1 − strength) θ_base."""

import torch

from shrink_weights.config import ShrinkConfig
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Trainable


class Shrink:
    def __init__(self, config: ShrinkConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        model = task.recommender
        if not isinstance(model, Trainable):
            raise InputError("shrink needs a recommender with torch weights; this one has none.")
        weights = list(model.module.parameters())
        with torch.no_grad():
            for weight in weights:
                weight.mul_(1 - self.config.strength)
        return Unlearned(task.recommender, sum(weight.numel() for weight in weights))
