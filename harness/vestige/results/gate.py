"""The gate's decision: from how far numbers moved to PASS, FAIL or INCONCLUSIVE. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from vestige.measuring.statistics import Floats
from vestige.results.verdicts import holm

ALPHA = 0.05
"""The chance that an unchanged board fails, all that is judged together."""


class Verdict(StrEnum):
    """What is said of one measurement of one row."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Floor:
    """How far retrainings that differ by their seed alone lie apart, for all users at once.

    Attributes:
        variance: Of one training, beyond what its users explain. An unbiased estimate, so it may be below 0.
        freedom: Its degrees of freedom; 0 where nothing is known.
    """

    variance: float = 0.0
    freedom: int = 0

    def times(self, trainings: int) -> "Floor":
        """The floor of a sum or difference of so many trainings."""
        return Floor(trainings * self.variance, self.freedom)


@dataclass(frozen=True)
class Shift:
    """How far something moved, seed by seed.

    Attributes:
        values: float64 [seeds].
        errors: float64 [seeds, sources]: what each source adds to a seed's error; see `vestige.results.sides`.
        sources: How many sources tell of the variance.
        floor: How far it moves by training anew alone.
    """

    values: Floats
    errors: Floats
    sources: int
    floor: Floor = Floor()

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.values.mean())

    @property
    def still(self) -> bool:
        """Whether nothing moved, for no user and no seed."""
        return not self.values.any() and not self.errors.any()

    @cached_property
    def within(self) -> float:
        """The variance of one seed that is due to its users."""
        return float((self.errors**2).sum(axis=1).mean())

    @cached_property
    def between(self) -> float:
        """The variance of one seed as seen: in how the seeds differ and in the floor, pooled by degrees of freedom."""
        own = len(self.values) - 1
        seen = own * float(self.values.var(ddof=1)) if own else 0.0
        known = own + self.floor.freedom
        return (seen + self.floor.freedom * (self.floor.variance + self.within)) / known if known else 0.0

    @property
    def beyond(self) -> float:
        """The part of it that its users do not explain: whole trainings that came out better.

        The method of moments of DerSimonian and Laird, Controlled Clinical Trials 7, 1986.
        """
        return max(0.0, self.between - self.within)

    @cached_property
    def of_users(self) -> float:
        """The variance of the mean that is due to the users, who are the same people at every seed."""
        return float((self.errors.mean(axis=0) ** 2).sum())

    @cached_property
    def error(self) -> float:
        """The standard error of the mean; 0 where nothing moved."""
        return 0.0 if self.still else math.sqrt(self.of_users + self.beyond / len(self.values))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of `error` (Satterthwaite, Biometrics Bulletin 2, 1946): those of `between`, more where
        its users explain more than was seen. One seed does not tell how uneven trainings are, and two or three
        retrainings of it would leave 1 or 2 degrees of freedom, with which nothing is ever sure: there the floor is
        taken as known, and the users' count.
        """
        known = len(self.values) - 1 + self.floor.freedom
        users = max(self.sources - 1, 1)
        if len(self.values) == 1 or self.between <= 0:
            return users
        share = self.error**2 * len(self.values) / self.between
        return max(1.0, min(known * share**2, max(users, known)))

    @property
    def p(self) -> float:
        """One-sided, of a mean of at most 0: small where it moved up."""
        if self.error == 0:
            known = self.sources > 1
            return 0.0 if self.mean > 0 and known else 1.0
        return float(stdtr(self.freedom, -self.mean / self.error))

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, two-sided, for the mean."""
        half = float(stdtrit(self.freedom, 0.975)) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half

    def seeds_needed(self, level: float) -> int | None:
        """The number of seeds at which this mean would be above 0 at a one-sided level; None where none suffices.

        With n seeds the variance of the mean is (v + τ² − c)/n + c: v of one seed by its users, τ² between seeds, c
        what two seeds have in common because they ask the same people. So n = z² (v + τ² − c)/(mean² − z² c).
        """
        z = float(ndtri(1 - level))
        own = self.within
        n = len(self.values)
        common = min(max(0.0, (self.of_users * n - own) / (n - 1)), own) if n > 1 else 0.0
        left = self.mean**2 - z**2 * common
        if left <= 0 or self.error == 0:
            return None
        return max(n + 1, math.ceil(z**2 * (own + self.beyond - common) / left))


@dataclass(frozen=True)
class Comparison:
    """A measurement of a row, fresh against accepted.

    Attributes:
        label, name: Of the row; `metric/view`.
        better: As in `Measurement`.
        tolerance: By so much it may get worse.
        fresh, accepted: Means over the seeds that both have.
        shifts: It got worse where every one of these is above 0. One, except where a target is meant: the distance to
            a target grew if the number moved away from it, and is farther away than the mirror image of where it was.
        basis: What errors were read from.
        to_gold: Whether differences to gold are compared, because base or gold were trained anew.
        vanished: Why there is nothing to compare any more; empty where there is.
        excused: Whether that may be chance: base or gold were trained anew.
    """

    label: str
    name: str
    better: str
    tolerance: float
    fresh: float | None
    accepted: float | None
    shifts: tuple[Shift, ...] = ()
    basis: str = ""
    to_gold: bool = False
    vanished: str = ""
    excused: bool = False

    @property
    def loss(self) -> float:
        """By how much it got worse on average; below 0 where it got better."""
        return min((shift.mean for shift in self.shifts), default=0.0)

    @property
    def still(self) -> bool:
        """Whether nothing changed at all."""
        return bool(self.shifts) and self.shifts[0].still

    @property
    def weakest(self) -> Shift:
        """The shift that says least."""
        return max(self.shifts, key=lambda shift: shift.p)

    @property
    def p(self) -> float:
        """One-sided, that it did not get worse: the largest over the shifts (an intersection-union test, Berger,
        Technometrics 24, 1982).
        """
        return 1.0 if self.still else self.weakest.p


@dataclass(frozen=True)
class Finding:
    """What is said about a comparison.

    Attributes:
        p: Adjusted for everything that was judged.
        seeds_needed: For INCONCLUSIVE: how many would decide it; None where no number would.
    """

    comparison: Comparison
    verdict: Verdict
    p: float
    message: str
    seeds_needed: int | None = None


def shifts(better: str, fresh: Shift, accepted: Shift) -> tuple[Shift, ...]:
    """How far a number moved to the bad side.

    Args:
        better: `higher`, `lower`, or anything else for a target.
        fresh, accepted: The number itself, or, for a target, how far it is from it.
    """
    if better == "higher":
        return (_combined(accepted, fresh, -1.0),)
    if better == "lower":
        return (_combined(fresh, accepted, -1.0),)
    side = -1.0 if fresh.mean < 0 else 1.0
    return tuple(_combined(fresh, accepted, sign, side) for sign in (-1.0, 1.0))


def _combined(one: Shift, other: Shift, sign: float, factor: float = 1.0) -> Shift:
    return Shift(
        factor * (one.values + sign * other.values),
        factor * (one.errors + sign * other.errors),
        min(one.sources, other.sources),
        Floor(one.floor.variance + other.floor.variance, one.floor.freedom),
    )


def floor_of(retrainings: Sequence[Shift]) -> Floor:
    """The floor, from several retrainings on the same seeds: their variance within a seed, averaged over seeds, minus
    what is due to their users.
    """
    count = len(retrainings)
    if count < 2:
        return Floor()
    values = np.stack([r.values for r in retrainings])  # [retrainings, seeds]
    errors = np.stack([r.errors for r in retrainings])  # [retrainings, seeds, sources]
    by_users = ((errors - errors.mean(axis=0)) ** 2).sum(axis=(0, 2)) / (count - 1)
    beyond = values.var(axis=0, ddof=1) - by_users
    return Floor(float(beyond.mean()), (count - 1) * values.shape[1])


def decide(comparisons: Sequence[Comparison]) -> list[Finding]:
    """A finding for every comparison, in the order given.

    FAIL needs both: a one-sided p below `ALPHA` after Holm's adjustment (Scandinavian Journal of Statistics 6, 1979),
    and a mean that is worse by more than the tolerance. INCONCLUSIVE is worse by more than that, but not surely. What
    did not change at all cannot be significant, so it is not counted (Tarone, Biometrics 46, 1990).
    """
    family = [c for c in comparisons if c.shifts and not c.still]
    adjusted = dict(zip(map(id, family), holm([c.p for c in family]), strict=True))
    return [_finding(c, adjusted.get(id(c), 1.0), len(family)) for c in comparisons]


def _finding(c: Comparison, p: float, judged: int) -> Finding:
    if c.vanished:
        verdict = Verdict.INCONCLUSIVE if c.excused else Verdict.FAIL
        return Finding(c, verdict, p, c.vanished)
    if c.still:
        return Finding(c, Verdict.PASS, p, "unchanged")
    # Numbers that differ by rounding alone are not beyond a tolerance.
    if c.loss <= c.tolerance + 1e-12:
        return Finding(c, Verdict.PASS, p, "within the tolerance" if c.loss > 0 else "not worse")
    by = f"worse by {c.loss:.4f}, more than the tolerance of {c.tolerance:g}"
    if p < ALPHA:
        return Finding(c, Verdict.FAIL, p, f"{by} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})")
    needed = c.weakest.seeds_needed(ALPHA / judged)
    if needed is not None:
        advice = f"about {needed} seeds would decide it, if it stays as it is"
    elif c.weakest.error == 0:
        advice = "nothing is known about its error"
    else:
        advice = "no number of seeds would decide it with these users"
    return Finding(c, Verdict.INCONCLUSIVE, p, f"{by}, but that may be chance (p = {p:.3f}); {advice}", needed)
