"""Recommenders whose scores are constructed, so that the right value of a measurement is known without training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vestige.data.interactions import Interactions, from_columns
from vestige.data.request import HoldoutConfig, Part, RequestConfig, Split, draw, shadow_coins
from vestige.data.sequences import Sequences
from vestige.data.views import Queries, Views, build
from vestige.measuring.attacks import Told, Track
from vestige.measuring.contract import Context, CostOf, Measurement, Shadow, Subject
from vestige.measuring.statistics import Bootstrap
from vestige.recommenders.contract import FloatArray
from vestige.recommenders.scoring import Scores, score_queries

COST = CostOf(seconds=1.0, flops=1.0, trainable_parameters=1, peak_bytes=1, stored_bytes=1, latency=1.0)


def world(users: int = 60, items: int = 40, events: int = 14, seed: int = 0) -> Interactions:
    """Random interactions, every user with `events` to `events + 5` different items."""
    rng = np.random.default_rng(seed)
    rows = [(u, i) for u in range(users) for i in rng.permutation(items)[: events + rng.integers(0, 6)]]
    table = np.asarray(rows)
    return from_columns(table[:, 0], table[:, 1], None, None, "planted")


@dataclass(frozen=True)
class Planted:
    """Scores queries by a function (user unknown, history known, target known to the test only)."""

    logits: Callable[[Queries], FloatArray]

    def scores(self, views: Views, n_items: int) -> dict[str, Scores]:
        out = {}
        for view, queries in views.queries.items():
            z = self.logits(queries).astype(np.float64)
            log_p = (
                z
                - np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
                - z.max(axis=1, keepdims=True)
            )
            out[view] = score_queries(_Fixed(log_p.astype(np.float32)), queries, n_items)
        return out


class _Fixed:
    """Answers a list of queries in order from a prepared matrix."""

    def __init__(self, matrix: FloatArray) -> None:
        self.matrix, self.at = matrix, 0

    def score(self, histories: Sequences) -> FloatArray:
        rows = self.matrix[self.at : self.at + len(histories)]
        self.at += len(histories)
        return rows

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


def noise(seed: int, n_items: int, scale: float = 1.0) -> Callable[[Queries], FloatArray]:
    """Scores that know nothing: a new random row for every query."""

    def logits(queries: Queries) -> FloatArray:
        rng = np.random.default_rng(seed + len(queries))
        return (scale * rng.standard_normal((len(queries), n_items))).astype(np.float32)

    return logits


def remembers(
    users: np.ndarray, boost: float, seed: int, n_items: int, train_only: bool = True
) -> Callable[[Queries], FloatArray]:
    """Noise, with the target of the given users' queries lifted by `boost`."""
    background = noise(seed, n_items)

    def logits(queries: Queries) -> FloatArray:
        z = background(queries)
        rows = np.flatnonzero(np.isin(queries.users, users))
        z[rows, queries.targets[rows]] += boost
        return z

    return logits


def remembers_events(
    data: Interactions, events: np.ndarray, boost: float, seed: int
) -> Callable[[Queries], FloatArray]:
    """Noise, with the target lifted by `boost` where the user's having it is one of the given interactions."""
    background = noise(seed, data.n_items)
    known = data.user[events].astype(np.int64) * data.n_items + data.item[events]

    def logits(queries: Queries) -> FloatArray:
        z = background(queries)
        rows = np.flatnonzero(np.isin(queries.users.astype(np.int64) * data.n_items + queries.targets, known))
        z[rows, queries.targets[rows]] += boost
        return z

    return logits


def shadows(
    data: Interactions, split: Split, views: Views, count: int = 6, boost: float = 3.0, seed: int = 100
) -> tuple[Shadow, ...]:
    """Shadow models that remember, with `boost`, what they were trained on."""
    made = []
    for index in range(count):
        has_forget = shadow_coins(split, index, seed)
        if split.kind == "users":
            events = np.flatnonzero(np.isin(data.user, np.where(has_forget, split.forget_users, split.unseen_users)))
        else:
            events = np.where(has_forget, split.events(Part.FORGET), split.events(Part.UNSEEN))
        model = Planted(remembers_events(data, events, boost, seed + 1000 * (index + 1)))
        made.append(Shadow(subject(f"shadow {index}", model, views, data.n_items), has_forget))
    return tuple(made)


def with_told(model: Subject, told: Told, track: Track = "weights") -> Subject:
    """The model with one more attempt to tell F from T."""
    had = model.attempts
    attempts = replace(had, told={**had.told, told.name: told}, track={**had.track, told.name: track})
    return replace(model, attempts=attempts)


def setting(
    data: Interactions | None = None, kind: str = "users", count: int = 12, seed: int = 0
) -> tuple[Interactions, Split, Views]:
    data = data or world()
    split = draw(data, RequestConfig(kind=kind, count=count), HoldoutConfig(), seed)  # type: ignore[arg-type]
    return data, split, build(data, split, seed)


def subject(name: str, model: Planted, views: Views, n_items: int, threshold: float | None = None) -> Subject:
    def load() -> Planted:
        raise AssertionError("planted models are not loaded")

    return Subject(name, model.scores(views, n_items), COST, threshold, load)  # type: ignore[arg-type]


def context(
    data: Interactions,
    split: Split,
    views: Views,
    models: dict[str, Planted],
    row: str = "method",
    swapped: str | None = None,
) -> Context:
    """A context whose roles and subject (`unlearned`) are planted."""
    made = {name: subject(name, model, views, data.n_items) for name, model in models.items()}
    return Context(
        data=data,
        split=split,
        views=views,
        row=row,
        subject=made["unlearned"],
        swapped=made[swapped] if swapped else None,
        roles={name: s for name, s in made.items() if name != "unlearned"},
        bootstrap=Bootstrap(data.n_users),
        seed=0,
    )


def by_name(measurements: object) -> dict[str, Measurement]:
    return {f"{m.metric}/{m.view}" if m.view else m.metric: m for m in measurements}  # type: ignore[attr-defined]
