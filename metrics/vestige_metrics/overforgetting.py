"""Over-forgetting: hiding a forgotten item deeper than never having known it would put it (the Streisand effect).

    streisand = share of F transitions that the model ranks worse than q − 0.05,
    q         = the 95 % quantile of control's ranks of the same transitions (inverse of the distribution function)

A model that never saw F exceeds another such model's 95 % quantile 5 % of the time, so 0 is right. Above 0, items are
conspicuous by their absence: who looks for what is suppressed finds what was forgotten. Below 0 fewer than expected are
ranked that low, as a model that still remembers does; −0.05 is the least. The signed shift of log-probabilities is
`shift` of `vestige_metrics.fidelity`. Ranks are expected ranks where scores tie.
"""

from collections.abc import Iterator

import numpy as np

from vestige.data.sequences import IntArray
from vestige.measuring.contract import Context, Measurement, PerUser, measured
from vestige.measuring.ranks import mean_rank
from vestige.measuring.statistics import Bootstrap, Estimate, Floats, by_user
from vestige_metrics.configs import NoSettings

TAIL = 0.05


class OverForgetting:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`streisand` on `forget`; 0 is right, above 0 is over-forgotten. Of control's own ranks it has no interval."""
        if not context.has("forget"):
            yield measured("streisand", "forget", None, "0", note="there are no such queries of F")
            return
        own, control = (
            mean_rank(scores.above, scores.equal)
            for scores in (context.scores(model, "forget") for model in (context.subject, context.roles["control"]))
        )
        asked = context.views.users("forget")
        share, threshold = exceeding(context.bootstrap, asked, own, control)
        users, values = by_user(asked, (own > threshold) - TAIL)
        if np.array_equal(own, control):  # a step of the quantile below 0 in every replicate is no finding
            note = "these ranks are control's own, which the quantile is of"
            of = PerUser(users, values)
            yield Measurement("streisand", "forget", share.value, better="0", note=note, per_user=of)
            return
        yield measured("streisand", "forget", share, "0", per_user=PerUser(users, values))


def exceeding(bootstrap: Bootstrap, users: IntArray, own: Floats, control: Floats) -> tuple[Estimate, float]:
    """The share of `own` [queries] above the 95 % quantile of `control` [queries], minus 0.05; and that quantile.

    Each replicate takes the quantile anew, with the same weights: it was estimated from the same few users, and a model
    compared with itself is then at 0 in every replicate but for the size of a single step.
    """
    weights = np.vstack([np.ones(len(users)), bootstrap.weights[:, users]])
    order = np.argsort(control, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    totals = reached[:, -1:]
    # The first rank up to which at least 95 % of the weight lies; the slack is for rounding in the sum.
    thresholds = control[order][np.argmax(reached >= (1 - TAIL - 1e-9) * totals, axis=1)]
    shares = (weights * (own > thresholds[:, None])).sum(axis=1) / totals[:, 0] - TAIL
    return Estimate(float(shares[0]), shares[1:]), float(thresholds[0])
