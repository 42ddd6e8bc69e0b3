"""Asks a recommender every query once and keeps, per query, what all metrics need."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from vestige.data.sequences import IntArray, Sequences
from vestige.data.views import Queries
from vestige.errors import ScoreError
from vestige.progress import Progress, silent
from vestige.recommenders.contract import Composite, FloatArray, RouterPart, Scorer

TOP = 100
"""So many of the highest log-probabilities are kept a query."""

FIRST = 8
"""So many queries are asked in advance."""

NORMALISED = 1e-3
"""So far from 1 may the probabilities of a row lie in sum."""

CELLS = 4_000_000
"""Scores held in memory at once: a full matrix of a large catalogue does not fit."""


@dataclass(frozen=True)
class Scores:
    """What is kept of every query's scores.

    Attributes:
        above: int32 [queries], items scored above the target (the history masked, the target never).
        equal: int32 [queries], other items scored equal to it.
        log_prob: float32 [queries], log-probability of the target, nothing masked.
        entropy: float32 [queries], of the whole distribution, in nats.
        margin: float32 [queries], log-probability of the target minus the highest other one.
        top_items: int32 [queries, TOP], nothing masked, highest first.
        top_log_probs: float32 [queries, TOP].
        router: float32 [queries], p(forget | history), or empty where the model has no router.
    """

    above: IntArray
    equal: IntArray
    log_prob: FloatArray
    entropy: FloatArray
    margin: FloatArray
    top_items: IntArray
    top_log_probs: FloatArray
    router: FloatArray

    def __len__(self) -> int:
        return len(self.above)

    def take(self, rows: IntArray) -> "Scores":
        """The given queries."""
        return Scores(**{f.name: _rows(getattr(self, f.name), rows) for f in fields(self)})


def score_queries(
    model: Scorer,
    queries: Queries,
    n_items: int,
    progress: Progress = silent,
    score: Callable[[Sequences], FloatArray] | None = None,
) -> Scores:
    """Scores all queries in batches of at most `CELLS` scores; the model is not told whose they are.

    Args:
        score: Called instead of the model's own, as by who measures how long that takes.

    Raises:
        ScoreError: A score is not finite, the shape is not [queries, items], the probabilities of a row do not sum to
            1, or a router has no threshold or gives no probabilities.
    """
    step = max(1, min(1024, CELLS // max(n_items, 1)))
    pieces = []
    router = _router(model)
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        histories = queries.histories.take(rows).anonymous()
        scores = (score or model.score)(histories)
        piece = summarise(scores, histories.items, histories.lengths, queries.targets[rows], n_items)
        if router is not None:
            piece["router"] = _routed(router.probability(histories), len(rows))
        pieces.append(piece)
        progress(rows[-1] / len(queries), "scoring")
    if not pieces:
        none = np.zeros(0, np.int64)
        pieces = [summarise(np.zeros((0, n_items), np.float32), none, none, none, n_items)]
    return Scores(**{name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]})


def ask_first(model: Scorer, queries: Queries) -> None:
    """Asks some queries and lets the answers go: what is allocated once is no part of what a query costs."""
    some = queries.histories.take(np.arange(min(FIRST, len(queries)))).anonymous()
    router = _router(model)
    if len(some):
        model.score(some)
        if router is not None:
            router.probability(some)


def _router(model: Scorer) -> RouterPart | None:
    router = model.parts().router if isinstance(model, Composite) else None
    if router is not None and not (isinstance(router.threshold, Real) and not math.isnan(router.threshold)):
        raise ScoreError(f"the router's threshold is {router.threshold!r}, not a number.")
    return router


def rank_queries(
    model: Scorer, queries: Queries, n_items: int, also_masked: Sequences | None = None
) -> tuple[IntArray, IntArray]:
    """How many items stand above each target, and how many others equal it: both int32 [queries].

    Args:
        also_masked: Items, a row a query, that are masked beside those of the history; the target never is.

    Raises:
        ScoreError: As `score_queries`.
    """
    step = max(1, min(1024, CELLS // max(n_items, 1)))
    above, equal = np.zeros(len(queries), np.int32), np.zeros(len(queries), np.int32)
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        scores = model.score(queries.histories.take(rows).anonymous())
        _check(scores, len(rows), n_items)
        masks = [queries.histories.take(rows), *([also_masked.take(rows)] if also_masked is not None else [])]
        others, target = _others(scores, queries.targets[rows])
        for mask in masks:
            others[np.repeat(np.arange(len(rows)), mask.lengths), mask.items] = -np.inf
        above[rows], equal[rows] = _count(others, target)
    return above, equal


def _check(scores: FloatArray, queries: int, n_items: int) -> None:
    if scores.shape != (queries, n_items):
        raise ScoreError(f"the recommender returned scores of shape {scores.shape}, not ({queries}, {n_items}).")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).any(axis=1).sum())
        raise ScoreError(f"the recommender returned scores that are not finite (in {bad} of {queries} queries).")


def _sum_to_one(sums: npt.NDArray[np.float64]) -> None:
    """Ranks need no more than an order, so nobody else would notice, while entropy, fidelity and most attacks on
    membership were made of what is no probability.
    """
    off = np.abs(sums - 1)
    if off.max(initial=0.0) > NORMALISED:
        raise ScoreError(
            f"the recommender returned scores whose probabilities sum to {sums[off.argmax()]:.4g}; "
            "they must be the log-softmax over the whole catalogue."
        )


def _routed(probability: object, queries: int) -> FloatArray:
    found = np.asarray(probability, dtype=np.float32)
    if found.shape != (queries,) or not ((found >= 0) & (found <= 1)).all():
        raise ScoreError("the router returned something else than one probability in [0, 1] for each history.")
    return found


def _others(scores: FloatArray, targets: IntArray) -> tuple[FloatArray, FloatArray]:
    """The scores with the targets' own taken out, and the targets' own [queries]."""
    rows = np.arange(len(targets))
    others = scores.copy()
    others[rows, targets] = -np.inf
    return others, scores[rows, targets]


def _count(others: FloatArray, target: FloatArray) -> tuple[IntArray, IntArray]:
    # −inf can equal no finite score, so masked items are neither above the target nor equal to it.
    return (
        (others > target[:, None]).sum(axis=1, dtype=np.int32),
        (others == target[:, None]).sum(axis=1, dtype=np.int32),
    )


def summarise(
    scores: FloatArray, history_items: IntArray, history_lengths: IntArray, targets: IntArray, n_items: int
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of `Scores` for one batch; `scores` is float32 [queries, items], histories are flat."""
    queries = len(targets)
    _check(scores, queries, n_items)
    rows = np.arange(queries)
    others, target = _others(scores, targets)
    margin = target - others.max(axis=1, initial=-np.inf) if n_items > 1 else np.zeros(queries, np.float32)
    others[np.repeat(rows, history_lengths), history_items] = -np.inf
    above, equal = _count(others, target)
    with np.errstate(over="ignore"):
        probabilities = np.exp(scores, dtype=np.float64)
    _sum_to_one(probabilities.sum(axis=1))
    top = _highest(scores, min(TOP, n_items))
    values = np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return {
        "above": above,
        "equal": equal,
        "log_prob": target.astype(np.float32),
        "entropy": -(probabilities * scores).sum(axis=1).astype(np.float32),
        "margin": margin.astype(np.float32),
        "top_items": np.take_along_axis(top, order, axis=1).astype(np.int32),
        "top_log_probs": np.take_along_axis(values, order, axis=1).astype(np.float32),
        "router": np.zeros(0, np.float32),
    }


def _highest(scores: FloatArray, width: int) -> IntArray:
    """int64 [queries, width], ascending: the items of the highest scores; of equal ones, the first of the catalogue."""
    least = np.partition(scores, -width, axis=1)[:, -width, None]
    above, level = scores > least, scores == least
    free = width - above.sum(axis=1, keepdims=True)
    taken = above | (level & (np.cumsum(level, axis=1) <= free))
    return np.nonzero(taken)[1].reshape(len(scores), width)


def save_scores(scores: dict[str, Scores], file: Path) -> None:
    """Writes the scores of several views as one safetensors file."""
    save_file(
        {f"{view}/{f.name}": np.ascontiguousarray(getattr(s, f.name)) for view, s in scores.items() for f in fields(s)},
        file,
    )


def load_scores(file: Path) -> dict[str, Scores]:
    """Reads what `save_scores` wrote."""
    columns: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for name, array in load_file(file).items():
        view, column = name.split("/")
        columns.setdefault(view, {})[column] = array
    return {view: Scores(**arrays) for view, arrays in columns.items()}


def _rows(array: npt.NDArray[Any], rows: IntArray) -> npt.NDArray[Any]:
    return array[rows] if len(array) else array
