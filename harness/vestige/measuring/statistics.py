"""Intervals by a Bayesian bootstrap over users.

Every user has, in each of `REPLICATES` replicates, a weight drawn from Exp(1) (Rubin, "The Bayesian Bootstrap", Annals
of Statistics 9, 1981). A user's weights depend on nothing but the user's position in the dataset. So the same user
weighs the same for every model, view, row and seed: differences of replicates are paired differences, and the mean of
replicates over seeds is the replicate of the pooled value, whose interval rightly does not shrink because the same
people are asked again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from vestige import seeds
from vestige.data.sequences import BoolArray, IntArray

REPLICATES = 1000
CONFIDENCE = 0.95
TINY = 1e-12

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Estimate:
    """A value with its replicates.

    Attributes:
        value: The statistic itself.
        replicates: float64 [REPLICATES].
    """

    value: float
    replicates: Floats

    @property
    def interval(self) -> tuple[float, float]:
        """The central 95 % of the replicates; [x, x] where nothing varies."""
        return interval(self.replicates)

    def __sub__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.value - other.value, self.replicates - other.replicates)

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.value + other.value, self.replicates + other.replicates)

    def scaled(self, factor: float) -> "Estimate":
        """The estimate times a constant."""
        return Estimate(self.value * factor, self.replicates * factor)

    def plus(self, constant: float) -> "Estimate":
        """The estimate moved by a constant."""
        return Estimate(self.value + constant, self.replicates + constant)

    def over(self, other: "Estimate") -> "Estimate | None":
        """The ratio of two estimates; None where the denominator's lower bound is not above 0.

        A few of its replicates may be below 0 all the same; there the ratio is very large, with the sign of the
        numerator: divided by them, a loss would be a gain, and the largest of many ratios would find them all.
        """
        if other.interval[0] <= 0:
            return None
        return Estimate(self.value / other.value, self.replicates / np.maximum(other.replicates, TINY))

    def magnitude(self) -> "Estimate":
        """The absolute value, replicate by replicate."""
        return Estimate(abs(self.value), np.abs(self.replicates))

    def clipped(self, low: float, high: float) -> "Estimate":
        """The estimate cut to [low, high]."""
        return Estimate(min(max(self.value, low), high), np.clip(self.replicates, low, high))


def largest(estimates: Iterable[Estimate]) -> Estimate:
    """The largest of several estimates, replicate by replicate; its interval allows for which one that is."""
    found = list(estimates)
    return Estimate(max(e.value for e in found), np.max([e.replicates for e in found], axis=0))


def smallest(estimates: Iterable[Estimate]) -> Estimate:
    """The smallest of several estimates, replicate by replicate."""
    found = list(estimates)
    return Estimate(min(e.value for e in found), np.min([e.replicates for e in found], axis=0))


def harmonic_mean(estimates: Iterable[Estimate]) -> Estimate:
    """The harmonic mean of several estimates in [0, 1]; 0 where one of them is 0."""
    found = list(estimates)
    values = np.asarray([[e.value, *e.replicates] for e in found])
    with np.errstate(over="ignore"):  # next to nothing counts as nothing
        inverse = np.divide(1.0, values, out=np.full_like(values, np.inf), where=values > 0).sum(axis=0)
    means = len(found) / inverse
    return Estimate(float(means[0]), means[1:])


def interval(replicates: Floats) -> tuple[float, float]:
    """The central 95 % of replicates."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Bootstrap:
    """The weights of `n_users` users."""

    n_users: int

    @cached_property
    def weights(self) -> npt.NDArray[np.float32]:
        """float32 [REPLICATES, users], Exp(1)."""
        # One stream for each user's column, so that a user's weights do not depend on how many users there are.
        rng = seeds.generator(0, "bootstrap")
        return np.ascontiguousarray(rng.standard_exponential((self.n_users, REPLICATES), dtype=np.float32).T)

    def mean(self, users: IntArray, values: Floats, sizes: IntArray | None = None) -> Estimate:
        """The mean of one value a user: `users` [n] positions, `values` [n].

        Args:
            users, values: Who, and each one's own mean.
            sizes: [n], how many queries each value is the mean of, where the mean over all queries is meant.
        """
        counted = np.ones(len(users)) if sizes is None else sizes.astype(np.float64)
        weights = self.weights[:, users].astype(np.float64) * counted
        return Estimate(float((values * counted).sum() / counted.sum()), weights @ values / weights.sum(axis=1))

    def auc(
        self,
        positives: IntArray,
        positive_values: Floats,
        negatives: IntArray,
        negative_values: Floats,
        comparable: BoolArray | None = None,
        paired: bool = False,
    ) -> Estimate:
        """The chance that a positive user's value exceeds a negative one's, ties counting half.

        Args:
            positives, negatives: [p] and [n] user positions; a user may stand in several places.
            positive_values, negative_values: [p] and [n].
            comparable: bool [p, n], the pairs that count; None for all.
            paired: The i-th of both sides were drawn together, as one of a kind, so they share one weight. Weighed
                apart, the interval of people who are alike in pairs is too wide.
        """
        counted: Floats = np.ones((len(positives), len(negatives)))
        if comparable is not None:
            counted = comparable.astype(np.float64)
        won: Floats = kernel(positive_values, negative_values) * counted
        value = float(won.sum() / counted.sum())
        up_users, up = np.unique(positives, return_inverse=True)
        down_users, down = np.unique(positives if paired else negatives, return_inverse=True)
        # A user who stands on both sides would count twice in a replicate: E[w²] = 2, but E[w w'] = 1 for two users.
        once = np.where(up_users[:, None] == down_users[None, :], 0.5, 1.0)
        won, counted = _by_groups(won, up, down) * once, _by_groups(counted, up, down) * once
        rows, columns = (self.weights[:, users].astype(np.float64) for users in (up_users, down_users))
        return Estimate(value, ((rows @ won) * columns).sum(axis=1) / ((rows @ counted) * columns).sum(axis=1))


def _by_groups(table: Floats, rows: IntArray, columns: IntArray) -> Floats:
    """Sums of a table [r, c] over groups of its rows and columns, numbered from 0 by `rows` [r] and `columns` [c]."""
    left, right = (csr_array((np.ones(len(of)), (of, np.arange(len(of))))) for of in (rows, columns))
    return np.asarray(left @ np.asarray(right @ table.T).T)


def kernel(positive: Floats, negative: Floats) -> Floats:
    """float64 [positives, negatives]: 1 where the positive is higher, ½ where equal, else 0."""
    wins: Floats = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
    return wins


def by_user(users: IntArray, values: Floats) -> tuple[IntArray, Floats]:
    """The mean of `values` [queries] within each user: positions ascending, and one mean each."""
    found, index = np.unique(users, return_inverse=True)
    if not len(found):
        return found, np.zeros(0)
    sums = np.bincount(index, weights=values)
    return found, sums / np.bincount(index)
