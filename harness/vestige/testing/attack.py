"""What an attack must keep to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vestige.configs import Config
from vestige.data.request import Kind
from vestige.data.views import build
from vestige.measuring.attacks import Recovered, Target, Told
from vestige.measuring.statistics import Floats
from vestige.pipeline.artifacts import save_attempts
from vestige.recommenders.contract import Scorer
from vestige.specs import AttackSpec
from vestige.testing import world
from vestige.testing.check import Check, Once, require

SEED = 1
Attempt = Recovered | Told


@dataclass(frozen=True)
class Attacked:
    """One run of the attack: what it brought back, and whether it changed what it must not."""

    attempts: tuple[Attempt, ...]
    touched: bool


class AttackChecks:
    """The checks of one attack, with what they share."""

    def __init__(self, spec: AttackSpec, config: Config) -> None:
        self._spec, self._config = spec, config
        self._scratch = world.scratch(self)
        self._users = Once("the base", lambda: self._place("users"))
        self._first = Once("attacking", lambda: self._attack(self._users()))

    def all(self) -> list[Check]:
        """The checks, in the order in which they are best mended."""
        return [
            Check("attacks a trained model", self._works),
            Check("brings back only what it names", self._names),
            Check("fits the queries it is about", lambda: self._fits(self._users(), self._first().attempts)),
            Check("leaves the base and the data as they were", self._touches_nothing),
            Check("the same at every run, but for what varies", self._again),
            Check("attacks where single interactions are forgotten", lambda: self._kind("interactions")),
            Check("attacks where items are withdrawn", lambda: self._kind("items")),
            Check("says nothing, or asks plainly, where the model is a closed box", self._closed_box),
        ]

    def _works(self) -> None:
        for attempt in self._first().attempts:
            require(
                isinstance(attempt, Recovered | Told),
                f"it yields a {type(attempt).__name__}",
                "yield Recovered or Told of vestige.measuring.attacks",
            )

    def _names(self) -> None:
        found = {kind: {a.name for a in self._first().attempts if isinstance(a, kind)} for kind in (Recovered, Told)}
        for named, brought, key in (
            (self._spec.recovers, found[Recovered], "recovers"),
            (self._spec.tells, found[Told], "tells"),
        ):
            strange = sorted(brought - set(named))
            require(not strange, f"it brings back {strange}", f"name it in the spec's `{key}`")
        require(
            len(self._first().attempts) == len(found[Recovered]) + len(found[Told]),
            "it brings back two attempts of one name",
            "give every attempt a name of its own",
        )

    def _touches_nothing(self) -> None:
        require(
            not self._first().touched,
            "it changed the stored base, the data, the split or the views",
            "change `target.model`, which is a private copy, and copies of arrays",
        )

    def _again(self) -> None:
        again = {a.name: a for a in self._attack(self._users()).attempts}
        for attempt in self._first().attempts:
            if isinstance(attempt, Told) and attempt.varies:
                continue
            other = again.get(attempt.name)
            require(
                other is not None and all(np.array_equal(a, b, equal_nan=True) for a, b in _pairs(attempt, other)),
                f"a second run brought back another {attempt.name!r}",
                "draw every random number from `target.seed`",
            )

    def _kind(self, kind: Kind) -> None:
        place = self._place(kind)
        self._fits(place, self._attack(place).attempts)

    def _closed_box(self) -> None:
        place = self._users()
        self._fits(place, self._attack(place, ClosedBox(place.recommender())).attempts)

    def _fits(self, place: world.Place, found: Sequence[Attempt]) -> None:
        folder = self._scratch / "attempts"
        folder.mkdir(exist_ok=True)
        save_attempts(found, self._target(place), folder)
        for attempt in found:
            if isinstance(attempt, Recovered):
                all_hits = np.concatenate([attempt.hits, _known(attempt.unseen)])
                asked = all_hits[~np.isnan(all_hits)]
                require(
                    ((asked >= 0) & (asked <= 1)).all() and attempt.asked >= 1,
                    f"the hits of {attempt.name!r} leave [0, 1]",
                    "give hit@10 of each query (target.hits), NaN where it was not asked",
                )

    def _place(self, kind: Kind) -> world.Place:
        data = world.interactions()
        folder = self._scratch / kind
        folder.mkdir(exist_ok=True)
        return world.Place(folder, data, world.request(data, kind))

    def _target(self, place: world.Place, model: Scorer | None = None) -> Target:
        views = build(place.data, place.split, seed=0)
        return Target(model or place.recommender(), place.data, place.split, views, SEED, "cpu")

    def _attack(self, place: world.Place, model: Scorer | None = None) -> Attacked:
        target = self._target(place, model)
        before = place.digest(), _digest_of(target)
        found = tuple(self._spec.load()(self._config).attack(target))
        return Attacked(found, (place.digest(), _digest_of(target)) != before)


class ClosedBox:
    """A model that can only be asked."""

    def __init__(self, inside: Scorer) -> None:
        self.score, self.save = inside.score, inside.save


def _digest_of(target: Target) -> str:
    return world.array_digest({"data": target.data, "split": target.split, "queries": dict(target.views.queries)})


def _known(values: Floats | None) -> Floats:
    return np.zeros(0) if values is None else values


def _pairs(one: Attempt, other: Attempt) -> list[tuple[Floats, Floats]]:
    if isinstance(one, Recovered) and isinstance(other, Recovered):
        return [(one.hits, other.hits), *([] if one.unseen is None else [(one.unseen, _known(other.unseen))])]
    if isinstance(one, Told) and isinstance(other, Told):
        return [(one.forget, other.forget), (one.unseen, other.unseen)]
    return [(np.zeros(1), np.ones(1))]
