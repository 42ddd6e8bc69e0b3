"""How training on windows draws: which sequences, how often each interaction, and so how much of the loss is F's."""

import numpy as np
import numpy.typing as npt

from vestige.data.sequences import IntArray
from vestige.methods import Task
from vestige.recommenders.contract import Differentiable
from vestige.recommenders.windows import Coverage, draw_pass, windows_a_pass

Floats = npt.NDArray[np.float64]


def drawn(model: Differentiable, lengths: IntArray, rng: np.random.Generator) -> IntArray:
    """int64 [windows]: the row of the sequence that each window of a pass is of, in random order; see `draw_pass`.

    One of each where the recommender has no windows.
    """
    window, coverage = _windows(model)
    return rng.permutation(len(lengths)) if window is None else draw_pass(lengths, window, coverage, rng)


def trained_on(model: Differentiable, lengths: IntArray) -> Floats:
    """float64 [interactions]: how often a pass trains on each of the sequences, one after another, on average.

    By the settings `window` and `coverage` of the recommender; once where it has no such settings.
    """
    window, coverage = _windows(model)
    starts = np.cumsum(lengths) - lengths
    place = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    if window is None:
        return np.ones(len(place))
    # A window begins anywhere between −over and last + over, and holds a place where it begins up to `window` before.
    last = np.maximum(lengths - window, 0)
    over = np.zeros_like(last) if coverage == "inside" else np.minimum(window - 1, last)
    begins = windows_a_pass(lengths, window, coverage) / (last + 1 + 2 * over)
    first, end, each = (np.repeat(of, lengths) for of in (-over, last + over, begins))
    often: Floats = (np.minimum(place, end) - np.maximum(place - window + 1, first) + 1) * each
    return often


def forgotten_by_retained(model: Differentiable, task: Task) -> float:
    """The weight of F in the training loss, divided by that of R."""
    forgotten = trained_on(model, task.forget_sequences.lengths)[task.forget_mask].sum()
    return float(forgotten / trained_on(model, task.lengths_of_r).sum())


def of_queries(model: Differentiable, task: Task) -> Floats:
    """float64 [forget queries]: how much each weighs in the training loss; 1 in sum."""
    weights = trained_on(model, task.forget_sequences.lengths)[asked(task)]
    shares: Floats = weights / weights.sum()
    return shares


def asked(task: Task) -> IntArray:
    """int64 [forget queries]: where the target of each stands in `forget_sequences`.

    Queries are in that order, and of what is forgotten only the first ones of a sequence may not be asked for.
    """
    rows = task.forget_sequences
    row_of = np.repeat(np.arange(len(rows)), rows.lengths)
    events = np.flatnonzero(task.forget_mask)
    masked = np.bincount(row_of[events], minlength=len(rows))
    queries = np.bincount(np.searchsorted(rows.users, task.forget.users), minlength=len(rows))
    number = np.arange(len(events)) - np.repeat(np.cumsum(masked) - masked, masked)
    left_out = np.repeat(masked - queries, masked)
    found: IntArray = events[number >= left_out]
    return found


def _windows(model: Differentiable) -> tuple[int | None, Coverage]:
    config = getattr(model, "config", None)
    return getattr(config, "window", None), getattr(config, "coverage", "inside")
