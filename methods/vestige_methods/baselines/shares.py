"""How much of the training loss is F's: what trains on windows does not weigh every interaction alike."""

import numpy as np
import numpy.typing as npt

from vestige.data.sequences import IntArray
from vestige.methods import Task
from vestige.recommenders.contract import Differentiable
from vestige.recommenders.windows import Coverage, mean_sizes, windows_a_pass

Floats = npt.NDArray[np.float64]


def trained_on(model: Differentiable, lengths: IntArray) -> Floats:
    """float64 [sequences]: how many interactions of each a pass trains on, on average.

    By the settings `window` and `coverage` of the recommender; all of them where it has no such settings.
    """
    config = getattr(model, "config", None)
    window: int | None = getattr(config, "window", None)
    coverage: Coverage = getattr(config, "coverage", "inside")
    if window is None:
        return lengths.astype(np.float64)
    windows: Floats = windows_a_pass(lengths, window, coverage)
    return windows * mean_sizes(lengths, window, coverage)


def forgotten_by_retained(model: Differentiable, task: Task) -> float:
    """The weight of F in the training loss, divided by that of R."""
    row_of = np.repeat(np.arange(len(task.forget_sequences)), task.forget_sequences.lengths)
    forgotten = _each(model, task)[row_of[task.forget_mask]].sum()
    return float(forgotten / trained_on(model, task.retained.lengths).sum())


def of_queries(model: Differentiable, task: Task) -> Floats:
    """float64 [forget queries]: how much each weighs in the training loss; 1 in sum."""
    weights = _each(model, task)[np.searchsorted(task.forget_sequences.users, task.forget.users)]
    shares: Floats = weights / weights.sum()
    return shares


def _each(model: Differentiable, task: Task) -> Floats:
    """float64 [forget_sequences]: how often a pass trains on an interaction of each."""
    lengths = task.forget_sequences.lengths
    each: Floats = trained_on(model, lengths) / np.maximum(lengths, 1)
    return each
