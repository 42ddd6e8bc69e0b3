"""The optimizer loop of the baselines: every step sees some transitions of F and some of R."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from vestige.data.sequences import IntArray, Sequences
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Differentiable, Scorer, Transitions
from vestige.recommenders.flops import Flops, count_flops
from vestige.recommenders.torch_tools import deterministic, step
from vestige_methods.baselines.configs import DescentConfig
from vestige_methods.baselines.shares import drawn

Loss = Callable[[Transitions, Transitions], torch.Tensor]
"""A scalar to descend on, of a batch of forgotten and one of retained transitions."""


def differentiable(task: Task, method: str) -> Differentiable:
    """The task's recommender, whose losses can be written down.

    Raises:
        InputError: It has no gradients.
    """
    if not isinstance(task.recommender, Differentiable):
        raise InputError(f"{method} needs a recommender with gradients (protocol Differentiable); this one has none.")
    return task.recommender


def ce(model: Differentiable, transitions: Transitions) -> torch.Tensor:
    """CE, the mean cross-entropy of the targets, in nats."""
    return cross_entropy(model.logits(transitions), transitions.targets)


@contextmanager
def without_dropout(model: Differentiable) -> Iterator[None]:
    """In it the model drops nothing out: where its probabilities are compared with the original's, as much as dropout
    takes from them would be taken for forgotten.
    """
    was = model.module.training
    model.module.eval()
    try:
        yield
    finally:
        model.module.train(was)


def kl(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """KL(softmax(teacher) ‖ softmax(student)), the mean over rows, of logits [rows, items]."""
    teacher = torch.log_softmax(teacher, dim=-1)
    return (teacher.exp() * (teacher - torch.log_softmax(student, dim=-1))).sum(dim=-1).mean()


def empty(task: Task) -> bool:
    """Whether nothing is to be forgotten.

    Raises:
        InputError: Something is, but no transition leads to it.
    """
    if not task.forget_mask.any():
        return True
    if task.kind != "users" and len(task.forget) == 0:
        raise InputError(
            "what is to be forgotten stands first in its users' histories, so there is no transition that could be "
            "unlearned; `retrain` forgets it."
        )
    return False


class Batches:
    """Draws transitions of F and of R by a seed.

    As training draws them: a random window of each user, or of a long one more where a pass shows all of it. Of single
    interactions each forgotten one is asked for after its history (see `Task.forget`).
    """

    def __init__(self, model: Differentiable, task: Task, size: int) -> None:
        self._model, self._task, self._size = model, task, size
        self._rng = np.random.default_rng(task.seed)
        self.asked_by = np.zeros(0, dtype=np.int64)
        """int64 [transitions] of the last batch of F: the rows of `forget_sequences` whose users it asks for."""

    def forget(self) -> Transitions:
        """A batch of F."""
        if self._task.kind == "users":
            rows = self._drawn(self._task.forget_sequences)
            found = self._model.transitions(self._task.forget_sequences.take(rows), self._rng)
        else:
            queries = self._task.forget.take(self._rng.permutation(len(self._task.forget))[: self._size])
            rows = np.searchsorted(self._task.forget_sequences.users, queries.users)
            found = self._model.transitions_of(queries)
        self.asked_by = rows[found.rows.cpu().numpy()]
        return found

    def retain(self) -> Transitions:
        """A batch of R."""
        rows = self._drawn(self._task.retained)
        return self._model.transitions(self._task.retained.take(rows), self._rng)

    def _drawn(self, sequences: Sequences) -> IntArray:
        return drawn(self._model, sequences.lengths, self._rng)[: self._size]


def descend(
    task: Task,
    model: Differentiable,
    config: DescentConfig,
    loss: Loss,
    answers: Scorer | None = None,
    stop: Callable[[], bool] = lambda: False,
    notes: Mapping[str, float] | None = None,
    extra: Flops | None = None,
    batches: Batches | None = None,
) -> Unlearned:
    """Descends on `loss` with AdamW for `config.steps`, or until `stop`.

    Args:
        answers: What is handed back; the task's recommender unless given.
        stop: Asked once a batch's loss is known, before the step that would be taken on it.
        notes, extra: What the method noted (until the end) and spent before.
        batches: Where the transitions come from; drawn by the task's seed unless given.

    Returns:
        The model, with its mode set to evaluation, and what it cost. An empty request gives it back as it was.

    Raises:
        FloatingPointError: The loss is not finite.
        InputError: See `empty`.
    """
    answers = answers or task.recommender
    if empty(task):
        return Unlearned(answers, 0, notes={"steps": 0}, flops=0.0)
    deterministic(task.seed)
    batches = batches or Batches(model, task, config.batch_size)
    parameters = [p for p in model.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
    per_step = count_flops(partial(_backward, loss, batches.forget(), batches.retain()))
    model.module.zero_grad(set_to_none=True)
    deterministic(task.seed)
    value, done = math.nan, 0
    model.module.train()
    while done < config.steps:
        found = loss(batches.forget(), batches.retain())
        if stop():
            break
        value, done = step(optimizer, found, parameters, config.clip), done + 1
        if done % 10 == 0:
            task.progress(done / config.steps, f"loss {value:.3f}")
    model.module.eval()
    return Unlearned(
        answers,
        trainable_parameters=sum(p.numel() for p in parameters),
        notes={**(notes or {}), "steps": done, "loss of the last step": value},
        flops=done * per_step.count + (extra.count if extra else 0.0),
        uncounted=tuple(sorted({*per_step.uncounted, *(extra.uncounted if extra else ())})),
    )


def numbers(parameters: Iterable[torch.Tensor]) -> int:
    """How many there are in all."""
    return sum(p.numel() for p in parameters)


def _backward(loss: Loss, forget: Transitions, retain: Transitions) -> None:
    loss(forget, retain).backward()
