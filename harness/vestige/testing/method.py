"""What an unlearning method must keep to."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vestige.configs import Config
from vestige.data.request import Kind, Split
from vestige.errors import VestigeError
from vestige.methods import Budget, Loads, TrainsBase, Unlearned
from vestige.progress import silent
from vestige.recommenders.contract import FloatArray, Scorer
from vestige.specs import MethodSpec
from vestige.testing import world
from vestige.testing.answers import SAME, answers, on_cpu, right_scores, same_scores, written_files
from vestige.testing.check import Check, Fault, Once, require, said

SEED, OTHER_SEED = 1, 2


@dataclass(frozen=True)
class Forgotten:
    """One run of the method.

    Attributes:
        scores: Of every user's training sequence.
        seconds: How long `unlearn` took.
        shares: What it told its progress.
        touched: What of the things it was given was changed.
    """

    result: Unlearned
    scores: FloatArray
    seconds: float
    shares: tuple[float, ...]
    touched: tuple[str, ...]


class MethodChecks:
    """The checks of one method, with what they share."""

    def __init__(self, spec: MethodSpec, config: Config) -> None:
        self._spec, self._config = spec, config
        self._scratch = world.scratch(self)
        self._users = Once("the base", lambda: self._place("users"))
        self._first = Once("forgetting whole users", lambda: self._forget(self._users()))

    def all(self) -> list[Check]:
        """The checks, in the order in which they are best mended."""
        return [
            *(self._own_base() if self._spec.own_base else []),
            *([Check("is retraining, as its spec says", self._retrains)] if self._spec.same_as == "gold" else []),
            Check("forgets whole users", self._works),
            Check("forgets single interactions, or refuses them in a sentence", self._interactions),
            Check("forgets withdrawn items, or refuses them in a sentence", self._items),
            Check("answers an empty request, or refuses it in a sentence", lambda: self._request_of(0)),
            Check("answers a request of one user", lambda: self._request_of(1)),
            Check("leaves the base and the task as they were", self._touches_nothing),
            Check("same seed, same scores", self._same_seed),
            Check("takes any seed", lambda: self._answers(self._users(), seed=OTHER_SEED)),
            Check("scores the whole catalogue, log-softmax normalised", self._scores),
            Check("saves and loads to the same scores", self._saves),
            Check("stays on its device, whatever the budget", self._device),
            Check("accounts for its cost", self._accounts),
            Check("never sees test data", self._canary),
        ]

    def _own_base(self) -> list[Check]:
        """Of a method that trains its own base."""
        return [
            Check("brings a recommender of its own", self._brings),
            Check("trains its own base, same seed, same scores", self._trains),
            Check("saves and loads its own base to the same scores", self._keeps),
        ]

    # -- the checks -------------------------------------------------------------------------------------------

    def _brings(self) -> None:
        require(
            isinstance(self._method(), TrainsBase),
            "its spec says own_base, and it has no `recommender(maker)` or no `load_recommender(folder, maker)`",
            "follow vestige.methods.TrainsBase, or leave own_base out of the spec",
        )

    def _trains(self) -> None:
        place = self._users()
        asked, sequences = world.histories(place.data, place.split), place.trained_on()
        first, again = place.fresh(), place.fresh()
        for model in (first, again):
            model.fit(sequences, SEED, silent)
        same_scores(
            answers(first, asked, place.data.n_items),
            answers(again, asked, place.data.n_items),
            "a second training with the same seed",
            "draw every random number from the seed that `fit` is given",
        )

    def _keeps(self) -> None:
        place = self._users()
        asked, model, folder = world.histories(place.data, place.split), place.fresh(), self._folder("own")
        model.fit(place.trained_on(), SEED, silent)
        model.save(folder)
        written_files(folder)
        same_scores(
            answers(model, asked, place.data.n_items),
            answers(place.read(folder), asked, place.data.n_items),
            "saving and loading",
            "save everything that an answer depends on, and read it in `load_recommender`",
            SAME,
        )

    def _retrains(self) -> None:
        """A board takes it at its word: gold's results stand in its row, and it is never run there."""
        place, found = self._users(), self._first()
        gold = place.fresh()
        gold.fit(place.task(SEED).retained, SEED, silent)
        same_scores(
            answers(gold, world.histories(place.data, place.split), place.data.n_items),
            found.scores,
            "forgetting by it instead of training on what is retained, which same_as = 'gold' calls the same,",
            "leave same_as out of the spec, so that boards run the method",
        )

    def _works(self) -> None:
        try:
            self._first()
        except VestigeError as error:
            raise Fault(
                f"it refused the task: {error}", "a method must forget whole users from the recommender 't5'"
            ) from error

    def _interactions(self) -> None:
        self._or_refuses("single interactions", lambda: self._answers(self._place("interactions")))

    def _items(self) -> None:
        self._or_refuses("withdrawn items", lambda: self._answers(self._place("items")))

    def _request_of(self, users: int) -> None:
        place = self._users()
        split = world.narrowed(place.data, place.split, place.split.forget_users[:users])
        run = partial(self._answers, place, split=split)
        if users:
            run()
        else:
            self._or_refuses("an empty request", run)

    def _or_refuses(self, what: str, run: Callable[[], object]) -> None:
        try:
            run()
        except Fault:
            raise
        except VestigeError as error:
            require(
                str(error).strip() and "\n" not in str(error), "its refusal is not one sentence", "say what is missing"
            )
        except Exception as error:
            raise Fault(
                f"{what} made it raise {said(error)}",
                "answer (the base as it is will do), or raise vestige.errors.InputError with one sentence",
            ) from error

    def _touches_nothing(self) -> None:
        touched = self._first().touched
        require(
            not touched,
            f"it changed {', '.join(touched)}",
            "change `task.recommender`, which is a private copy, and copies of arrays",
        )

    def _same_seed(self) -> None:
        again = self._forget(self._users())
        same_scores(
            self._first().scores,
            again.scores,
            "a second run with the same seed",
            "draw every random number from `task.seed` (torch: vestige.recommenders.torch_tools.deterministic)",
        )

    def _scores(self) -> None:
        scores = self._first().scores
        right_scores(scores, len(scores), self._users().data.n_items)

    def _saves(self) -> None:
        place, first = self._users(), self._first()
        folder = self._folder("saved")
        first.result.model.save(folder)
        written_files(folder)
        method = self._method()
        loaded: Scorer
        if isinstance(method, Loads):
            loaded = method.load(folder, place.recommender())
        else:
            try:
                loaded = place.read(folder)
            except Exception as error:
                raise Fault(
                    f"what it saved is no checkpoint of the recommender ({said(error)})",
                    "give the method a `load(folder, recommender)` that reads what its model saves",
                ) from error
        scores = answers(loaded, world.histories(place.data, place.split), place.data.n_items)
        same_scores(first.scores, scores, "saving and loading", "save everything that an answer depends on", SAME)

    def _device(self) -> None:
        place = self._users()
        threads = _threads()
        for budget in (Budget(passes=1, seconds=0.0), Budget(passes=5, seconds=1e6)):
            run = self._answers(place, budget=budget)
            on_cpu(run.result.model)
        require(_threads() == threads, "it changed the number of torch's threads", "leave that to the board")
        strange = [share for share in run.shares if not 0 <= share <= 1]
        require(
            not strange, f"it told its progress {strange[:1]}", "tell `task.progress` the share that is done, in [0, 1]"
        )

    def _accounts(self) -> None:
        first = self._first()
        found = first.result
        require(
            found.trainable_parameters is None or found.trainable_parameters >= 0,
            f"trainable_parameters is {found.trainable_parameters}",
            "count the numbers that were free to change",
        )
        require(
            found.flops is None or (math.isfinite(found.flops) and found.flops >= 0),
            f"flops is {found.flops}",
            "count them (vestige.recommenders.flops.count_flops), or leave them None",
        )
        require(
            0 <= found.setup_seconds <= first.seconds,
            f"setup_seconds is {found.setup_seconds:g} of {first.seconds:g} seconds in all",
            "state the part of its time that further requests would not pay again",
        )
        bad = [name for name, value in found.notes.items() if not _number(value)]
        require(not bad, f"the note {bad[:1]} is no finite number", "notes are numbers by name, for the record")

    def _canary(self) -> None:
        first, place = self._first(), self._users()
        moved = world.elsewhere(place.data, place.split)
        other = world.Place(self._folder("elsewhere"), moved, place.split, base=place, own=self._own())
        found = self._forget(other, asked=place)
        with np.errstate(invalid="ignore"):  # scores that are not finite have a check of their own
            off = np.abs(first.scores - found.scores)
        canary = float(off[:, world.ITEMS :].max())
        require(
            float(off.max()) == 0,
            "other test, validation and never-trained interactions changed its scores "
            f"(by up to {off.max():.3g}, those of items that nobody trains on by {canary:.3g})",
            "use nothing but the task: neither the store, nor the dataset, nor anything outside",
        )

    # -- what they share --------------------------------------------------------------------------------------

    def _place(self, kind: Kind) -> world.Place:
        data = world.interactions()
        return world.Place(self._folder(kind), data, world.request(data, kind), own=self._own())

    def _folder(self, name: str) -> Path:
        folder = self._scratch / name
        folder.mkdir(exist_ok=True)
        return folder

    def _method(self) -> Any:
        return self._spec.load()(self._config)

    def _own(self) -> TrainsBase | None:
        made = self._method() if self._spec.own_base else None
        return made if isinstance(made, TrainsBase) else None

    def _forget(
        self,
        place: world.Place,
        seed: int = SEED,
        split: Split | None = None,
        budget: Budget | None = None,
        asked: world.Place | None = None,
    ) -> Forgotten:
        """Runs the method once; asks the histories of `asked`, of the same world unless given."""
        shares: list[float] = []
        task = place.task(seed, split, budget, lambda share, text="": shares.append(float(share)))
        given = replace(task, recommender=None)  # type: ignore[arg-type]
        before = {f.name: world.array_digest(getattr(given, f.name)) for f in fields(given)}
        base = place.digest()
        histories = world.histories((asked or place).data, (asked or place).split)
        with place.as_cache():
            start = time.perf_counter()
            result = self._method().unlearn(task)
            seconds = time.perf_counter() - start
            require(
                isinstance(result, Unlearned),
                f"`unlearn` returned a {type(result).__name__}",
                "return a vestige.methods.Unlearned",
            )
            scores = result.model.score(histories.anonymous())
        touched = [
            f"task.{name}" for name, digest in before.items() if world.array_digest(getattr(given, name)) != digest
        ]
        touched += ["the stored base"] if place.digest() != base else []
        return Forgotten(result, scores, seconds, tuple(shares), tuple(touched))

    def _answers(self, place: world.Place, **how: Any) -> Forgotten:
        """Runs the method once, and checks its scores."""
        found = self._forget(place, **how)
        right_scores(found.scores, len(world.histories(place.data, place.split)), place.data.n_items)
        return found


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(float(value))


def _threads() -> int:
    import torch

    return torch.get_num_threads()
