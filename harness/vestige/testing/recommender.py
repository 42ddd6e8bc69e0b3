"""What a recommender must keep to."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vestige.configs import Config
from vestige.data.request import Part, training
from vestige.data.sequences import Sequences, sequences
from vestige.progress import silent
from vestige.recommenders.contract import FitReport, FloatArray
from vestige.specs import RecommenderSpec
from vestige.testing import world
from vestige.testing.answers import SAME, answers, on_cpu, same_scores, written_files
from vestige.testing.check import Check, Once, require

SEED, OTHER_SEED = 1, 2


@dataclass(frozen=True)
class Fitted:
    """A trained model, what it said of its training, and its answers."""

    model: Any
    report: FitReport
    scores: FloatArray


class RecommenderChecks:
    """The checks of one recommender, with what they share."""

    def __init__(self, spec: RecommenderSpec, config: Config) -> None:
        world.one_thread()
        self._spec, self._config = spec, config
        self._scratch = world.scratch(self)
        self._data = world.interactions()
        split = world.request(self._data, "users")
        self._rows = training(self._data, split, [Part.RETAINED, Part.FORGET])
        self._fewer = training(self._data, split, [Part.RETAINED])
        self._asked = world.histories(self._data, split)
        self._first = Once("training", lambda: self._fit(self._new()))

    def all(self) -> list[Check]:
        """The checks, in the order in which they are best mended."""
        return [
            Check("trains, and scores the whole catalogue", self._works),
            Check("answers before it is trained", lambda: self._answers(self._new())),
            Check("answers short and long histories, and items nobody trained on", self._histories),
            Check("equal arguments, equal scores", self._equal),
            Check("trains from scratch", self._from_scratch),
            Check("takes any seed", lambda: self._answers(self._fit(self._new(), seed=OTHER_SEED).model)),
            Check("leaves the sequences as they were", self._touches_nothing),
            Check("saves and loads to the same scores", self._saves),
            Check("stays on its device", lambda: on_cpu(self._first().model)),
            Check("says how far training reaches, and what it took", self._says),
        ]

    def _works(self) -> None:
        answers(self._first().model, self._asked, self._data.n_items)

    def _answers(self, model: Any) -> None:
        answers(model, self._asked, self._data.n_items)

    def _histories(self) -> None:
        items = self._data.n_items
        unseen = list(range(world.ITEMS, items))
        rows: Sequences = sequences([[0], unseen, [item % items for item in range(5 * items)]])
        answers(self._first().model, rows, items)
        answers(self._first().model, rows.take(np.zeros(0, np.int64)), items)

    def _equal(self) -> None:
        same_scores(
            self._first().scores,
            self._fit(self._new()).scores,
            "training again with equal arguments",
            "draw every random number from `seed`",
        )

    def _from_scratch(self) -> None:
        model = self._new()
        model.fit(self._fewer, OTHER_SEED, silent)
        same_scores(
            self._first().scores, self._fit(model).scores, "an earlier `fit`", "begin every `fit` with new weights"
        )

    def _touches_nothing(self) -> None:
        before = world.array_digest(self._rows), world.array_digest(self._asked)
        self._fit(self._new())
        after = world.array_digest(self._rows), world.array_digest(self._asked)
        require(before == after, "it changed the sequences it was given", "work on copies of arrays")

    def _saves(self) -> None:
        first = self._first()
        folder = self._scratch / "saved"
        folder.mkdir(exist_ok=True)
        first.model.save(folder)
        written_files(folder)
        loaded = self._spec.load().load(folder, self._config, world.catalogue(self._data), "cpu")
        scores = answers(loaded, self._asked, self._data.n_items)
        same_scores(first.scores, scores, "saving and loading", "save everything that an answer depends on", SAME)

    def _says(self) -> None:
        reach, report = self._first().model.reach, self._first().report
        require(
            reach is None or (isinstance(reach, int) and reach > 0),
            f"its `reach` is {reach!r}",
            "say how many of a sequence's last transitions training can touch, or None for all",
        )
        require(isinstance(report, FitReport), f"`fit` returned {report!r}", "return a FitReport")
        numbers = [report.passes, report.steps, report.loss, report.flops or 0.0]
        require(
            all(math.isfinite(number) for number in numbers) and report.passes > 0,
            f"`fit` returned {report!r}",
            "state finite numbers, and how many passes it made",
        )

    def _new(self) -> Any:
        return self._spec.load()(self._config, world.catalogue(self._data), "cpu")

    def _fit(self, model: Any, seed: int = SEED) -> Fitted:
        report = model.fit(self._rows, seed, silent)
        return Fitted(model, report, model.score(self._asked.anonymous()))
