"""The windows of sequences that torch recommenders are trained on; imports no torch."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from vestige.data.sequences import IntArray

Coverage = Literal["inside", "even", "whole"]
"""Where windows lie (`draw_windows`), and how many of them a pass has (`windows_a_pass`)."""

FloatArray = npt.NDArray[np.float64]


def draw_windows(
    lengths: IntArray, window: int, coverage: Coverage, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Where a random window of every sequence begins, and how many of its interactions it holds, both [sequences].

    Args:
        lengths: Of the sequences.
        window: Interactions that a window holds at most; a sequence that fits is a window.
        coverage: `inside`: each place within the sequence is as likely, which the last interaction of n is in once in
            n − window + 1 draws, and one in the middle up to `window` times as often. `even`: the window may hang over
            both ends, by n − window at most; from 2 window − 1 on every interaction is in it with probability
            window / (n + window − 1), and in a shorter sequence one at the ends at least a third as often as another.
            `whole`: as `even`.
    """
    if coverage == "inside":
        starts = rng.integers(0, np.maximum(lengths - window, 0) + 1)
        return starts, np.minimum(lengths - starts, window)
    last = np.maximum(lengths - window, 0)
    over = np.minimum(window - 1, last)
    begins = rng.integers(-over, last + over + 1)
    starts = np.maximum(begins, 0)
    return starts, np.minimum(begins + window, lengths) - starts


def mean_sizes(lengths: IntArray, window: int, coverage: Coverage) -> FloatArray:
    """float64 [sequences]: how many interactions a window of `draw_windows` holds on average."""
    inner = np.minimum(lengths, window)
    if coverage == "inside":
        return inner.astype(np.float64)
    last = np.maximum(lengths - window, 0)
    over = np.minimum(window - 1, last)
    # On each side windows hang over by 1 to `over`, and hold as many fewer.
    held = (last + 1) * inner + 2 * over * inner - over * (over + 1)
    return np.asarray(held / (last + 1 + 2 * over), dtype=np.float64)


def mean_size(lengths: IntArray, window: int, coverage: Coverage) -> float:
    """How many interactions a window of `draw_windows` holds on average, over sequences of these lengths."""
    return float(mean_sizes(lengths, window, coverage).mean())


def windows_a_pass(lengths: IntArray, window: int, coverage: Coverage) -> FloatArray:
    """float64 [sequences]: how many windows of each a pass holds on average.

    One, or with `whole` as many as show each of its interactions once, averaged over them.
    """
    if coverage != "whole":
        return np.ones(len(lengths))
    return np.maximum(lengths, 1) / np.maximum(mean_sizes(lengths, window, coverage), 1)


def draw_pass(lengths: IntArray, window: int, coverage: Coverage, rng: np.random.Generator) -> IntArray:
    """int64 [windows]: the row of the sequence that each window of a pass is of, in random order.

    Of x.y windows on average it holds x, or with probability 0.y one more.
    """
    rows = np.arange(len(lengths))
    if coverage == "whole":
        wanted = windows_a_pass(lengths, window, coverage)
        rows = np.repeat(rows, np.floor(wanted + rng.random(len(rows))).astype(np.int64))
    return rng.permutation(rows)
