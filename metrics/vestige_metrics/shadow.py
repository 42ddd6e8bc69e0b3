"""The shadow attack: how far a unit's score lies above what models say that were never trained on the unit.

    value = (s_m(x) − μ_out(x)) / σ

μ_out(x) is the mean s of the shadow models that were not trained on x, σ² the variance of those around their means,
pooled over all units since a handful of shadows gives each one too little. This is the offline likelihood-ratio attack
of Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022 (arXiv 2112.03570), whose one-sided
p-value rises with this value.
"""

from dataclasses import dataclass

import numpy as np

from vestige.data.sequences import BoolArray
from vestige.measuring.contract import Context, Subject
from vestige.measuring.statistics import Floats
from vestige_metrics.memory import Sides, score_sides, units

MIN_OUT = 2
"""Shadows without the unit, so that there is a spread."""


def no_shadows(context: Context) -> str:
    """Why there is no shadow attack; empty where there is one."""
    if not context.shadows:
        return "no shadow models were trained on this seed"
    fewest = min((int(out.sum(axis=0).min(initial=len(out))) for out in _without(context)), default=0)
    if fewest >= MIN_OUT:
        return ""
    return f"somebody is left out of only {fewest} of {len(context.shadows)} shadow models; {MIN_OUT} are needed"


def shadow_sides(context: Context, model: Subject) -> Sides:
    """The value of every unit; see the module's docstring."""
    expected = context.once("shadow expectations", lambda: _expectations(context))
    own = score_sides(context, model)
    return Sides(
        own.forget,
        own.unseen,
        (own.forget_values - expected.forget) / expected.deviation,
        (own.unseen_values - expected.unseen) / expected.deviation,
    )


@dataclass(frozen=True)
class _Expectations:
    """μ_out [units] of F and T, and σ."""

    forget: Floats
    unseen: Floats
    deviation: float


def _expectations(context: Context) -> _Expectations:
    found = [score_sides(context, shadow.model) for shadow in context.shadows]
    values = (np.stack([s.forget_values for s in found]), np.stack([s.unseen_values for s in found]))
    means, squares, freedom = [], 0.0, 0
    for scores, out in zip(values, _without(context), strict=True):
        counts = out.sum(axis=0)
        mean = (scores * out).sum(axis=0) / counts
        means.append(mean)
        squares += float((((scores - mean) * out) ** 2).sum())
        freedom += int((counts - 1).sum())
    # Shadows that all say the same leave nothing to divide by; σ ranks nobody.
    return _Expectations(means[0], means[1], float(np.sqrt(squares / freedom)) or 1.0)


def _without(context: Context) -> tuple[BoolArray, BoolArray]:
    """bool [shadows, units] for F and for T: whether the shadow was not trained on the unit."""
    pairs = units(context).pairs
    has_forget = np.stack([shadow.has_forget[pairs] for shadow in context.shadows])
    return ~has_forget, has_forget
