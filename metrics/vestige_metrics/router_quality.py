"""How good a router is at its task: telling forgotten histories from retained ones, with probabilities that are true.

Asked are the queries of `forget` (which it should send to the side memory) and of `retain` (which it should not), each
user weighing the same, so that both stand at their natural prevalence. Where items are withdrawn there is none: an item
is no user, and the same histories are both kept and asked after. A router that is good at this is a leak all the same;
see `vestige_metrics.router`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vestige.data.sequences import BoolArray, IntArray
from vestige.measuring.contract import Context, Measurement, measured
from vestige.measuring.statistics import Bootstrap, Estimate, Floats

BINS = 10
"""Of equal width, for the calibration error."""


@dataclass(frozen=True)
class Asked:
    """The router's answers.

    Attributes:
        users: [queries] positions; no user is both forgotten and retained.
        probability: float64 [queries], p(forget | history).
        forget: bool [queries], the label.
        threshold: p at or above it goes to the side memory.
    """

    users: IntArray
    probability: Floats
    forget: BoolArray
    threshold: float


def quality(context: Context, outputs: Mapping[str, Floats], threshold: float) -> Iterator[Measurement]:
    """`router_brier`, `router_ece`, `router_precision`, and the confusion: `router_tp`, `_fn`, `_fp` and `_tn`."""
    if not {"forget", "retain"} <= outputs.keys() or context.split.kind == "items":
        return
    asked = Asked(
        users=np.concatenate([context.views.users(view) for view in ("forget", "retain")]),
        probability=np.concatenate([outputs["forget"], outputs["retain"]]),
        forget=np.arange(len(outputs["forget"]) + len(outputs["retain"])) < len(outputs["forget"]),
        threshold=threshold,
    )
    yield measured("router_brier", "", brier(asked, context.bootstrap), "lower")
    yield Measurement("router_ece", "", calibration_error(asked), better="lower")
    cells = confusion(asked, context.bootstrap)
    for name, share in cells.items():
        yield measured(f"router_{name}", "", share, "none")
    caught, right = cells["tp"] + cells["fp"], cells["tp"]
    # A user's weight is never nothing, so where anything is routed it is in every replicate.
    precision = Estimate(right.value / caught.value, right.replicates / caught.replicates) if caught.value else None
    yield measured("router_precision", "", precision, "none", note="" if precision else "nothing is routed")


def brier(asked: Asked, bootstrap: Bootstrap) -> Estimate:
    """The mean of (p − label)², by user: 0 is perfect, the variance of the label is what knowing nothing gives."""
    users, own = _by_user(asked, ((asked.probability - asked.forget) ** 2)[:, None])
    return bootstrap.mean(users, own[:, 0])


def calibration_error(asked: Asked) -> float:
    """The expected calibration error (Naeini et al., AAAI 2015): summed over bins of p, abs of the mean of label − p.

    It is never negative, so chance alone makes it more than 0. It has no interval: resampling adds noise to every bin,
    so that nearly all replicates of a small error lie above it.
    """
    place = np.minimum((asked.probability * BINS).astype(np.int64), BINS - 1)
    gaps = np.zeros((len(place), BINS))
    gaps[np.arange(len(place)), place] = asked.forget - asked.probability
    return float(np.abs(_by_user(asked, gaps)[1].mean(axis=0)).sum())


def confusion(asked: Asked, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Shares, 1 in sum: forgotten and routed (tp) or missed (fn), retained and routed (fp) or left alone (tn)."""
    routed = asked.probability >= asked.threshold
    cells = {
        "tp": asked.forget & routed,
        "fn": asked.forget & ~routed,
        "fp": ~asked.forget & routed,
        "tn": ~asked.forget & ~routed,
    }
    users, own = _by_user(asked, np.stack(list(cells.values()), axis=1).astype(np.float64))
    return {name: bootstrap.mean(users, own[:, column]) for column, name in enumerate(cells)}


def _by_user(asked: Asked, values: Floats) -> tuple[IntArray, Floats]:
    """Users, ascending, and the mean of `values` [queries, columns] within each."""
    users, index = np.unique(asked.users, return_inverse=True)
    sums = np.stack([np.bincount(index, weights=column) for column in values.T], axis=1)
    return users, sums / np.bincount(index)[:, None]
