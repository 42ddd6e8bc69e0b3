"""The contract of a recommender, and of what an unlearning method may return."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vestige.data.sequences import Sequences
from vestige.data.views import Queries
from vestige.progress import Progress

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """All items, in the order in which scores are returned.

    Attributes:
        item_ids: The original ids as text, one an item.
    """

    item_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(frozen=True)
class FitReport:
    """What a training did.

    Attributes:
        passes: How often every training sequence was visited.
        steps: Optimizer steps.
        loss: The mean training loss of the last pass, in nats a position.
        flops: Floating-point operations of all steps, or None where they cannot be counted. Those of torch are counted
            of one step in `vestige.recommenders.training.COUNTED`, and taken to be alike a window.
        uncounted: The operators that the counter has no formula for.
        earlier_seconds: Spent on it before it was stopped and gone on with, see `Resumable`.
    """

    passes: float
    steps: int
    loss: float
    flops: float | None = None
    uncounted: tuple[str, ...] = ()
    earlier_seconds: float = 0.0


class Scorer(Protocol):
    """Anything that answers queries: a recommender, or what a method made of it."""

    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        ...

    def save(self, folder: Path) -> None:
        """Writes everything `load` needs into `folder`, which exists: safetensors and JSON, never a pickle."""
        ...


class Recommender(Scorer, Protocol):
    """The model under test.

    A recommender is made by its plugin's factory from a config, a catalogue and a device; untrained until `fit`.
    """

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Trains from scratch on the given sequences, and nothing else; equal arguments give equal weights."""
        ...

    @property
    def reach(self) -> int | None:
        """How many of a sequence's last transitions training can touch; None for all."""
        ...


@dataclass(frozen=True)
class Unfinished:
    """Where a training that is stopped is gone on with.

    Attributes:
        folder: Holds how far it is, and nothing else; it need not exist.
        training: Names the training, by all that is not in the sequences and the seed; what another one left in the
            folder is not gone on from.
        every: Seconds between two writes.
    """

    folder: Path
    training: str
    every: float = 120.0

    def close(self) -> None:
        """What was trained is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


@runtime_checkable
class Resumable(Protocol):
    """A recommender whose training can be stopped and gone on with."""

    def fit_or_resume(self, sequences: Sequences, seed: int, progress: Progress, unfinished: Unfinished) -> FitReport:
        """`fit`, which writes now and then where it stands, and goes on from what was written.

        However often it is stopped, weights and report are those of a training that was not, but for
        `earlier_seconds`. What another training left, or was cut short, is not gone on from.
        """
        ...


def fit(
    model: Recommender, sequences: Sequences, seed: int, progress: Progress, unfinished: Unfinished | None
) -> FitReport:
    """Trains a recommender; one that is `Resumable` goes on from where `unfinished` says that it was stopped."""
    if unfinished is not None and isinstance(model, Resumable):
        return model.fit_or_resume(sequences, seed, progress, unfinished)
    return model.fit(sequences, seed, progress)


@runtime_checkable
class Trainable(Protocol):
    """A recommender whose weights a method can train further: what most methods ask of a torch recommender."""

    @property
    def module(self) -> "torch.nn.Module":
        """The weights."""
        ...

    def loss(self, sequences: Sequences, rng: np.random.Generator) -> "torch.Tensor":
        """The training loss of a batch (a scalar): one random window of every sequence.

        Its gradient need not be differentiable; `Differentiable.logits` are.
        """
        ...

    def train_on(
        self, sequences: Sequences, passes: float, seed: int, progress: Progress, learning_rate: float | None = None
    ) -> FitReport:
        """Goes on training from the present weights, by the same procedure as `fit`."""
        ...


@dataclass(frozen=True)
class Transitions:
    """Given transitions (history → target), ready to be asked.

    Attributes:
        inputs: What the recommender that made them reads; nobody else needs to look into it.
        targets: int64 [transitions], the item that came.
        rows: int64 [transitions], the row of the sequences or queries that each belongs to.
    """

    inputs: Any
    targets: "torch.Tensor"
    rows: "torch.Tensor"

    def __len__(self) -> int:
        return len(self.targets)


@runtime_checkable
class Differentiable(Protocol):
    """A recommender whose scores a loss can be built on, whatever its architecture.

    A method's loss is written with it once: a cross-entropy, a ratio to a frozen copy, a divergence from a teacher,
    random labels. `vestige.recommenders.gradients` holds what such losses share.
    """

    @property
    def module(self) -> "torch.nn.Module":
        """The weights."""
        ...

    def transitions(self, sequences: Sequences, rng: np.random.Generator) -> Transitions:
        """The transitions of one random window of every sequence, cut as training cuts them."""
        ...

    def transitions_of(self, queries: Queries) -> Transitions:
        """Every query's target after its history, cut as `score` cuts it; in the order of the queries."""
        ...

    def logits(self, transitions: Transitions) -> "torch.Tensor":
        """float32 [transitions, items], differentiable, over the whole catalogue.

        Its log-softmax is what `score` gives for the same histories. Whether it is computed in training mode (with
        dropout) is up to `module`.
        """
        ...


@runtime_checkable
class Modular(Protocol):
    """A scorer that answers by torch modules, which an attacker who holds its files can change."""

    def modules(self) -> "tuple[torch.nn.Module, ...]":
        """Every module that takes part in an answer; none twice."""
        ...


@runtime_checkable
class Represents(Protocol):
    """A scorer whose inner states can be read, by whoever holds its files."""

    def represent(self, histories: Sequences) -> FloatArray:
        """float32 [queries, features]: what it makes of each history, such as its mean state and the last."""
        ...


class RouterPart(Protocol):
    """The part of an unlearned recommender that decides which memory answers."""

    @property
    def threshold(self) -> float:
        """Queries with a probability of at least this go to the side memory."""
        ...

    def probability(self, histories: Sequences) -> FloatArray:
        """float32 [queries]: p(forget | history)."""
        ...


@dataclass(frozen=True)
class Parts:
    """What an unlearned recommender is made of, so that attacks know what they may strip.

    Attributes:
        main: The recommender that answers where no router interferes.
        side: What answers for the forgotten, if anything.
        router: What decides, if anything.
    """

    main: Scorer
    side: Scorer | None = None
    router: RouterPart | None = None


@runtime_checkable
class Composite(Protocol):
    """An unlearned recommender that declares its parts."""

    def parts(self) -> Parts:
        """Main, side and router, as far as there are any."""
        ...
