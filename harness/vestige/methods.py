"""The contract of an unlearning method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from vestige.data.request import Kind
from vestige.data.sequences import BoolArray, IntArray, Sequences
from vestige.data.views import Queries
from vestige.progress import Progress
from vestige.recommenders.contract import Catalogue, Recommender, Scorer


@dataclass(frozen=True)
class Budget:
    """What training the base cost, as a measure for what a method may spend.

    Attributes:
        passes: Passes over the data that the base was trained for.
        seconds: How long that took.
    """

    passes: float
    seconds: float


@dataclass(frozen=True)
class Task:
    """All that a method is given. Test and validation interactions, T and gold are not among it.

    Attributes:
        kind: `users`, `interactions`, or `items`, which come as `interactions` do: all with the withdrawn items.
        recommender: A private copy of the trained recommender; it may be changed at will. Of a method that trains its
            own base, that base.
        retained: The training sequences of R, or of those of its users who may be seen.
        forget: The transitions of F as queries, each after all the items that stood before it when the base was
            trained; where interactions were drawn in pairs by a coin, and where items are withdrawn, after the user's
            retained items among those.
        forget_sequences: For `users` the training sequences of F, else the full training sequences (retained and
            forgotten items in order) of the affected users.
        forget_mask: bool [items of forget_sequences], True at what must be forgotten.
        catalogue: All items.
        seed: The method's own.
        device: `cpu` or `cuda`.
        budget: What the base cost.
        progress: To be called now and then.
        fresh: Makes an untrained recommender of the same configuration (and of the same method, where that trains its
            own base); its first weights are the same each time, or those of the checkpoint it starts from.
        retained_lengths: int64 [sequences of R]: of all of R, where `retained` is a part of it; None where it is the
            whole. What weighs F against R must weigh it against all of R: see `lengths_of_r`.
    """

    kind: Kind
    recommender: Recommender
    retained: Sequences
    forget: Queries
    forget_sequences: Sequences
    forget_mask: BoolArray
    catalogue: Catalogue
    seed: int
    device: str
    budget: Budget
    progress: Progress
    fresh: Callable[[], Recommender]
    retained_lengths: IntArray | None = None

    @property
    def lengths_of_r(self) -> IntArray:
        """int64 [sequences of R]: of all of them, seen or not."""
        return self.retained.lengths if self.retained_lengths is None else self.retained_lengths


@dataclass(frozen=True)
class Unlearned:
    """What a method hands back.

    Attributes:
        model: Answers queries from now on.
        trainable_parameters: How many numbers were free to change, where it says so.
        notes: What the method measured of itself, for the record.
        flops: Floating-point operations it took, where it counted them.
        uncounted: The operators it met that the counter of FLOPs has no formula for.
        setup_seconds: The part of its time that further requests would not pay again, such as models of shards.
    """

    model: Scorer
    trainable_parameters: int | None = None
    notes: Mapping[str, float] = field(default_factory=dict)
    flops: float | None = None
    uncounted: tuple[str, ...] = ()
    setup_seconds: float = 0.0


class Method(Protocol):
    """Made by its plugin's factory from a config."""

    def unlearn(self, task: Task) -> Unlearned:
        """Forgets what the task says."""
        ...


@runtime_checkable
class Loads(Protocol):
    """A method whose result is more than the recommender's own checkpoint, and who therefore loads it itself."""

    def load(self, folder: Path, recommender: Recommender) -> Scorer:
        """What `Unlearned.model.save(folder)` wrote, ready to `score`; `recommender` is a private copy of the base."""
        ...


@dataclass(frozen=True)
class Maker:
    """Makes the board's recommender, for a method that builds another one of it.

    Attributes:
        catalogue: All items.
        device: `cpu` or `cuda`.
        fresh: An untrained recommender of the board's configuration.
        load: What such a recommender has saved in a folder.
    """

    catalogue: Catalogue
    device: str
    fresh: Callable[[], Recommender]
    load: Callable[[Path], Recommender]


@runtime_checkable
class TrainsBase(Protocol):
    """A method that forgets what it has trained itself, such as models of shards; its spec says `own_base=True`.

    It brings a recommender of its own, to which the pipeline does what it does to the board's: it is trained on R ∪ F
    (own base), R (own gold, own control) and R ∪ T (own swap), stored and scored. `Task.recommender` is then the own
    base. Whether the method forgets is measured against these, how useful it is against the board's gold.
    """

    def recommender(self, maker: Maker) -> Recommender:
        """An untrained recommender; its `fit` is what the method does before anybody asks to be forgotten."""
        ...

    def load_recommender(self, folder: Path, maker: Maker) -> Recommender:
        """What such a recommender has saved; and, unless the method `Loads`, what `Unlearned.model` has."""
        ...
