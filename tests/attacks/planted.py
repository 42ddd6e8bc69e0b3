"""Models whose memory and whose way of hiding are known, as targets of attacks."""

from collections import Counter
from pathlib import Path

import numpy as np

from tests.planted import setting, world
from vestige.data.interactions import Interactions
from vestige.data.request import Part, training
from vestige.data.sequences import Sequences
from vestige.measuring.attacks import Target
from vestige.recommenders.contract import FloatArray, Parts, Scorer


def target_for(model: Scorer, kind: str = "users", seed: int = 7, data: Interactions | None = None) -> Target:
    """The planted world of 60 users, 12 of whom are forgotten, with a model under attack."""
    data, split, views = setting(data or world(), kind)
    return Target(model, data, split, views, seed, "cpu")


def remembering(target: Target) -> "Remembers":
    """A model that knows the training data of R and F by heart."""
    known = training(target.data, target.split, [Part.RETAINED, Part.FORGET])
    return Remembers(known, target.data.n_items)


class Remembers:
    """Ranks whatever the user had in training above all else: a perfect memory, however the question is worded.

    It knows the user by the last item of the history and by most others, as a trained model does.
    """

    def __init__(self, known: Sequences, n_items: int) -> None:
        self.sets = np.zeros((len(known), n_items), dtype=np.float32)
        self.sets[np.repeat(np.arange(len(known)), known.lengths), known.items] = 1.0
        self.n_items = n_items

    def score(self, histories: Sequences) -> FloatArray:
        asked = np.zeros((len(histories), self.n_items), dtype=np.float32)
        asked[np.repeat(np.arange(len(histories)), histories.lengths), histories.items] = 1.0
        nearest = (asked @ self.sets.T).argmax(axis=1)
        z = 10.0 * self.sets[nearest].astype(np.float64) - 1e-3 * np.arange(self.n_items)
        return (z - np.log(np.exp(z).sum(axis=1, keepdims=True))).astype(np.float32)

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


class Routed:
    """Sends exactly the given histories to a side that says nothing, and all others to main."""

    threshold = 0.5

    def __init__(self, main: Remembers, hidden: Sequences) -> None:
        self.main = main
        self.side = Shrugs(main.n_items)
        self.hidden = {tuple(hidden.row(i).tolist()) for i in range(len(hidden))}

    def parts(self) -> Parts:
        return Parts(self.main, self.side, self)

    def probability(self, histories: Sequences) -> FloatArray:
        rows = [tuple(histories.row(i).tolist()) in self.hidden for i in range(len(histories))]
        return np.asarray(rows, dtype=np.float32)

    def score(self, histories: Sequences) -> FloatArray:
        routed = self.probability(histories) >= self.threshold
        return np.where(routed[:, None], self.side.score(histories), self.main.score(histories))

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


class Shrugs:
    """Every item is as likely as any other."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    def score(self, histories: Sequences) -> FloatArray:
        return np.full((len(histories), self.n_items), -np.log(self.n_items), dtype=np.float32)

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


class Hesitates(Shrugs):
    """Each history takes a time of its own on `now`, one of `known` `seconds` longer; a first answer takes longest."""

    def __init__(self, n_items: int, known: Sequences, seconds: float) -> None:
        super().__init__(n_items)
        self.known, self.seconds = {tuple(known.row(row)) for row in range(len(known))}, seconds
        self.batches: list[int] = []
        self.asked: Counter[tuple[int, ...]] = Counter()
        self.own: dict[tuple[int, ...], float] = {}
        self.now = 0.0

    def score(self, histories: Sequences) -> FloatArray:
        self.batches.append(len(histories))
        assert (histories.users == -1).all(), "a model is not told who asks"
        for row in range(len(histories)):
            history = tuple(histories.row(row))
            self.asked[history] += 1
            self.now += self.takes(history) + 1.0 / self.asked[history]
        return super().score(histories)

    def takes(self, history: tuple[int, ...]) -> float:
        """Seconds that an answer takes, whatever comes on top."""
        own = self.own.setdefault(history, 0.001 * len(self.own))
        return own + self.seconds * (history in self.known)
