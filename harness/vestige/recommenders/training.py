"""How every torch recommender is trained: AdamW on random windows of the sequences."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import torch

from vestige.data.sequences import Sequences
from vestige.errors import InputError
from vestige.progress import Progress
from vestige.recommenders.bookmark import Bookmark, Standing
from vestige.recommenders.contract import FitReport
from vestige.recommenders.flops import count_flops
from vestige.recommenders.torch_tools import autocast, deterministic, step, warm_then_linear
from vestige.recommenders.windows import Coverage, draw_pass, windows_a_pass

COUNTED = 250
"""Of so many steps one has its operations counted, a window: batches differ in size and in positions with a target."""

BatchT = TypeVar("BatchT")


@dataclass(frozen=True)
class Training:
    """AdamW's settings; `clip` bounds the norm of the gradients, `amp` is bfloat16 autocast.

    `window` and `coverage` say what a pass holds, see `vestige.recommenders.windows`.
    """

    window: int
    coverage: Coverage
    batch_size: int
    learning_rate: float
    weight_decay: float
    clip: float
    amp: bool


class Teachable(Protocol[BatchT]):
    """A torch recommender that makes batches of sequences and knows their loss."""

    device: str

    @property
    def module(self) -> torch.nn.Module:
        """The weights."""
        ...

    def batch(self, sequences: Sequences, rng: np.random.Generator) -> BatchT:
        """One random window of every sequence."""
        ...

    def batch_loss(self, batch: BatchT) -> torch.Tensor:
        """The mean cross-entropy of a batch, in nats a position."""
        ...


def descend(
    model: Teachable[BatchT],
    how: Training,
    sequences: Sequences,
    passes: float,
    seed: int,
    progress: Progress,
    bookmark: Bookmark | None = None,
) -> FitReport:
    """Trains on from the present weights for `passes` passes (a fraction of one is allowed).

    Linear warm-up over a tenth of the steps (100 at most), then linear decay to a fiftieth of the learning rate. The
    module is left in evaluation mode.

    Args:
        bookmark: Where to write how far it is, and to go on from.

    Raises:
        InputError: There are no sequences.
        FloatingPointError: The loss is not finite.
    """
    if len(sequences) == 0:
        raise InputError("there is nothing to train on: no user has a training interaction.")
    deterministic(seed)
    rng = np.random.default_rng(seed)
    drawn = (sequences.lengths, how.window, how.coverage)
    per_pass = math.ceil(float(windows_a_pass(*drawn).sum()) / how.batch_size)
    steps = max(1, math.ceil(passes * per_pass))
    parameters = [p for p in model.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=how.learning_rate, weight_decay=how.weight_decay, fused=True)
    factor = warm_then_linear(steps, min(100, steps // 10), 0.02)
    now = Standing(rng, draw_pass(*drawn, rng))
    if bookmark:
        bookmark.read(model.module, optimizer, now)
    model.module.train()
    while now.done < steps:
        if now.at >= len(now.order):  # a new order each pass
            now.order, now.at = draw_pass(*drawn, rng), 0
        rows = now.order[now.at : now.at + how.batch_size]
        batch = model.batch(sequences.take(rows), rng)
        if now.done % COUNTED == 0:
            with torch.random.fork_rng():
                counted = count_flops(partial(_forward_backward, model, batch))
            now.counts.append(counted.count / len(rows))
            now.uncounted = now.uncounted or counted.uncounted
            model.module.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = how.learning_rate * factor(now.done)
        with autocast(model.device, how.amp):
            loss = model.batch_loss(batch)
        now.losses.append(step(optimizer, loss, parameters, how.clip))
        now.at, now.done, now.windows = now.at + how.batch_size, now.done + 1, now.windows + len(rows)
        if bookmark and bookmark.due():
            bookmark.write(model.module, optimizer, now)
        if now.done % 20 == 1:
            progress(now.done / steps, f"loss {now.losses[-1]:.3f}")
    model.module.eval()
    last = float(np.mean(now.losses[-per_pass:]))
    return FitReport(passes, steps, last, now.windows * float(np.mean(now.counts)), now.uncounted, now.seconds)


def _forward_backward(model: Teachable[BatchT], batch: BatchT) -> None:
    model.batch_loss(batch).backward()
