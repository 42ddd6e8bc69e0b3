"""How well one value a unit tells F from T: AUC, true positives at few false ones, and where F stands among T."""

import numpy as np

from vestige.data.sequences import IntArray
from vestige.measuring.contract import Better, Context, Measurement, measured
from vestige.measuring.statistics import Estimate, Floats, kernel
from vestige_metrics.memory import Sides, units

MIN_PAIRS = 5
"""With fewer users on a side an order that chance often gives would have an interval without width."""

POWER_PAIRS = 12
"""With fewer, intervals are too narrow to speak of power: of 5 pairs that nothing tells apart they leave out ½ in 14 of
100 cases (of 12 in 9), and a learned attack on them seems to have power in 7 (of 12 in none).
"""

RECIPROCAL = np.sqrt(2.0)
"""How much more a cross-fitted AUC varies than its replicates show; see `auc`."""

FPR_PERCENT = (1, 5)

QUANTILES = (5, 25, 50, 75, 95)
"""In per cent."""


def incomparable(context: Context) -> str:
    """Why F and T cannot be told apart in one world; empty where they can."""
    if not context.split.exchangeable:
        return "F was given, not drawn, so T is not exchangeable with it; only swap measures are reported"
    return too_few(context)


def told_by_history(context: Context) -> str:
    """Why what sees nothing but the history cannot tell F from T; empty where it could."""
    if context.split.asked_alike:
        return "both of a pair are asked after the same history, so what sees the history alone cannot tell them apart"
    return incomparable(context)


def too_few(context: Context) -> str:
    """Why there are too few users for an interval; empty where there are enough."""
    n = units(context).users
    if n >= MIN_PAIRS:
        return ""
    what = "pairs of users" if context.split.kind == "users" else "affected users"
    return f"{n} {what} are too few; {MIN_PAIRS} are needed"


def too_few_for_power(context: Context) -> str:
    """Why there are too few users to say that an attack works; empty where there are enough."""
    n = units(context).users
    return f"on {n} users a side, {POWER_PAIRS} are needed to tell" if n < POWER_PAIRS else ""


def auc(context: Context, values: Sides, paired: bool = True) -> Estimate:
    """How often a unit of F has a higher value than a unit of T; of different folds none are compared.

    F and T were drawn in pairs of nearly equal length, so a pair is what a bootstrap draws (`paired`); but a user who
    is in F in one world and in T in the other is no pair of its own.

    Folds judge each other: what fold 1 taught the attack on fold 2 is what fold 2 taught the attack on fold 1. Where
    there is nothing to learn, that doubles the variance of the AUC, which reweighting users with the attacks held fixed
    does not show (Bates, Hastie and Tibshirani, "Cross-Validation: What Does It Estimate and How Well Does It Do It?",
    JASA 2024, arXiv 2104.00673). So the replicates of a cross-fitted attack are spread by √2; where there is much to
    learn, its interval is then too wide rather than too narrow.
    """
    sides = (values.forget, values.forget_values, values.unseen, values.unseen_values)
    if values.fold is None:
        return context.bootstrap.auc(*sides, paired=paired)
    found = context.bootstrap.auc(*sides, values.fold[:, None] == values.fold[None, :], paired)
    spread = found.value + RECIPROCAL * (found.replicates - found.value)
    return Estimate(found.value, np.clip(spread, 0.0, 1.0))


def true_positive_rate(
    context: Context, values: Sides, percent: int, name: str, note: str = "", better: Better = "gold"
) -> Measurement:
    """The share of F above the threshold that `percent` % of T exceed; refused where T is too small for that.

    At least five users (or withdrawn items) of T must be allowed above the threshold, percent · n_T ≥ 500: the
    interactions of one user rise and fall together.
    """
    needed = -(-500 // percent)
    n = len(np.unique(values.unseen))
    if n < needed:
        what = "items" if context.split.kind == "items" else "users"
        why = f"{n} never-trained {what} are too few for {percent} % FPR; {needed} are needed"
        return measured(name, "forget", None, better, note=why)
    rows = np.concatenate([values.forget, values.unseen])
    scores = np.concatenate([values.forget_values, values.unseen_values])
    positive = np.arange(len(rows)) < len(values.forget)
    order = np.argsort(-scores, kind="stable")
    # A threshold cannot separate equal scores, so only the last of each run of ties is one.
    ends = np.append(np.diff(scores[order]) != 0, True)
    weights = _weights(context, rows[order])
    true = np.cumsum(weights * positive[order], axis=1)
    false = np.cumsum(weights * ~positive[order], axis=1)
    allowed = (false <= percent / 100 * false[:, -1:] + 1e-9) & ends
    rates = np.where(allowed, true, 0.0).max(axis=1) / true[:, -1]
    return measured(name, "forget", Estimate(float(rates[0]), rates[1:]), better, note=note)


def standing(context: Context, values: Sides) -> dict[int, Estimate]:
    """Quantiles over F of the share of T that has a lower value (ties half), by quantile in per cent.

    Where F and T are exchangeable, the q % quantile is q % in expectation: quantiles are taken at k/(n + 1) for the
    k-th of n (Weibull's kind, the 6th of Hyndman and Fan, "Sample Quantiles in Statistical Packages", American
    Statistician 50, 1996). In a replicate the place of a unit is (weight before it + half its own + half the mean
    weight) / (total + mean weight), which is that where all weights are equal. A quantile outside of all places, as
    that of 5 % with fewer than 19 units, is left out: the lowest unit stands higher.
    """
    order = np.argsort(values.forget_values, kind="stable")
    lower = kernel(values.forget_values[order], values.unseen_values)
    up, down = _weights(context, values.forget[order]), _weights(context, values.unseen)
    # F's order is the same in every replicate, so the shares ascend in each row.
    shares = down @ lower.T / down.sum(axis=1, keepdims=True)
    mean = up.mean(axis=1, keepdims=True)
    places = (np.cumsum(up, axis=1) - up / 2 + mean / 2) / (up.sum(axis=1, keepdims=True) + mean)
    found = {q: _interpolated(places, shares, q / 100) for q in QUANTILES if len(order) >= units_for(q)}
    return {q: Estimate(float(rows[0]), rows[1:]) for q, rows in found.items()}


def units_for(q: int) -> int:
    """How many units have a quantile of q per cent: the lowest of n stands at 1/(n + 1), the highest at n/(n + 1)."""
    return -(-100 // min(q, 100 - q)) - 1


def _weights(context: Context, users: IntArray) -> Floats:
    """float64 [1 + replicates, users]: ones for the value itself, then the bootstrap's."""
    return np.vstack([np.ones(len(users)), context.bootstrap.weights[:, users]]).astype(np.float64)


def _interpolated(places: Floats, values: Floats, at: float) -> Floats:
    """[rows]: row by row the value at a place between ascending places [rows, n]; the first or last one outside."""
    after = (places < at).sum(axis=1, keepdims=True)
    last = places.shape[1] - 1
    low, high = np.clip(after - 1, 0, last), np.clip(after, 0, last)
    ends = [np.take_along_axis(table, index, axis=1)[:, 0] for table in (places, values) for index in (low, high)]
    place_low, place_high, value_low, value_high = ends
    gap = place_high - place_low
    part = np.divide(at - place_low, gap, out=np.zeros_like(gap), where=gap > 0)
    out: Floats = value_low + part * (value_high - value_low)
    return out
