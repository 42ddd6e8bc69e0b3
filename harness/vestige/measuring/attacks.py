"""The contract of attacks: what an attacker is given, and what they bring back.

An attack runs once for each model of a board (base, gold, control and every row), each time on a private copy, with the
same seed. What it brings back of base and gold is the yardstick for what it brings back of an unlearned model.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from vestige.data.interactions import Interactions
from vestige.data.request import Split
from vestige.data.sequences import IntArray, Sequences
from vestige.data.views import Queries, Views
from vestige.measuring.ranks import hit_at
from vestige.measuring.statistics import Floats
from vestige.recommenders.contract import Scorer
from vestige.recommenders.scoring import rank_queries

Track = Literal["api", "weights"]

K = 10
"""Attacks are judged by hit@10, as collateral damage is."""


@dataclass(frozen=True)
class Recovered:
    """An attempt to make the model recommend what it was to forget.

    Attributes:
        name: One of the spec's `recovers`.
        hits: float64 [queries of `forget`], hit@10 under the attack; NaN where a query was not asked.
        asked: How often a target was asked for.
        unseen: float64 [queries of `unseen_train`], the same of those whom nobody was trained on; NaN where one was not
            asked, None where none was. What an attack does to everybody is then told from what it brings back.
    """

    name: str
    hits: Floats
    asked: int = 1
    unseen: Floats | None = None


@dataclass(frozen=True)
class Told:
    """An attempt to tell F from T.

    Attributes:
        name: One of the spec's `tells`.
        forget, unseen: float64 [queries] of the views `forget` and `unseen_train`, higher for F; or [queries,
            features], on which a cross-fitted classifier is then trained.
        varies: Whether it measures time, so that it differs from run to run.
    """

    name: str
    forget: Floats
    unseen: Floats
    varies: bool = False


@dataclass(frozen=True)
class Target:
    """What an attack is given.

    Attributes:
        model: A private copy of the model; it may be changed at will.
        data, split, views: What is known of the data; the strongest attacker knows whom to look for.
        seed: The same for every model.
        device: Where the model is.
    """

    model: Scorer
    data: Interactions
    split: Split
    views: Views
    seed: int
    device: str

    @property
    def forget(self) -> Queries:
        """The queries of the view `forget`."""
        return self.queries("forget")

    def queries(self, view: str) -> Queries:
        """The queries of a view."""
        parent, rows = self.views.rows[view]
        asked = self.views.queries[parent]
        return Queries(asked.histories.take(rows), asked.targets[rows], asked.users[rows])

    def has(self, view: str) -> bool:
        """Whether a view asks anything."""
        return view in self.views.rows and len(self.views.rows[view][1]) > 0

    def hits(self, histories: Sequences | None = None, rows: IntArray | None = None, view: str = "forget") -> Floats:
        """float64 [queries of the view]: hit@10 of the targets; NaN outside `rows`.

        Args:
            histories: Asked instead of the queries' own, one a row. The items of both are masked, the target never.
            rows: Only these queries are asked; all of them unless given.
            view: `forget`, or `unseen_train` for `Recovered.unseen`.
        """
        asked = self.queries(view)
        rows = np.arange(len(asked)) if rows is None else rows
        own = asked.histories.take(rows)
        given = own if histories is None else histories
        above, equal = rank_queries(
            self.model, Queries(given, asked.targets[rows], asked.users[rows]), self.data.n_items, own
        )
        out = np.full(len(asked), np.nan)
        out[rows] = hit_at(above, equal, K)
        return out

    def recovered(self, name: str, change: Callable[[Queries], Sequences] | None = None) -> Recovered:
        """The attempt of asking F, and T where there is anybody, in the same way.

        Args:
            name: One of the spec's `recovers`.
            change: From queries to the histories that are asked instead of their own, one a query; plainly without.
        """

        def asked(view: str) -> Floats:
            return self.hits(change(self.queries(view)) if change else None, view=view)

        return Recovered(name, asked("forget"), unseen=asked("unseen_train") if self.has("unseen_train") else None)


class Attack(Protocol):
    """Made by its plugin's factory from a config."""

    def attack(self, target: Target) -> Iterable[Recovered | Told]:
        """All attempts on this model; none where the attack does not apply to what the model is made of."""
        ...


@dataclass(frozen=True)
class Attempts:
    """What all attacks brought back of one model.

    Attributes:
        recovered, told: By name.
        track: Of every attempt, by name.
        failed: The sentence with which an attack failed, by its plugin's name.
        of: The plugin of every attempt, by name; also of those that a failed one did not come to make.
    """

    recovered: Mapping[str, Recovered] = field(default_factory=dict)
    told: Mapping[str, Told] = field(default_factory=dict)
    track: Mapping[str, Track] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    of: Mapping[str, str] = field(default_factory=dict)

    def failure(self, attempt: str) -> str:
        """The sentence with which the attack that makes this attempt failed; empty where it did not."""
        return self.failed.get(self.of.get(attempt, attempt), "")
