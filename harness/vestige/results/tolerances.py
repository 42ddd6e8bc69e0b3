"""Which measurements the gate judges unless a board says otherwise, by how much each may get worse, and why."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vestige.results.pooling import Results
from vestige.results.sections import has, headline_auc, k_of


@dataclass(frozen=True)
class Gated:
    """A measurement that the gate judges.

    Attributes:
        name: `metric/view`; `{k}` stands for the board's list length, `{auc}` for its headline membership attack.
        tolerance: By so much it may get worse, in its own unit.
        reason: Why it is judged, and why this tolerance.
    """

    name: str
    tolerance: float
    reason: str


DEFAULTS = (
    Gated(
        "hit@{k}/retain",
        0.01,
        "What everybody who stays notices. Two retrainings that differ by their seed alone differ by about 0.01.",
    ),
    Gated("ndcg@{k}/retain", 0.005, "The same with the place in the list; its values are about half as large."),
    Gated(
        "hit@{k}/unseen",
        0.02,
        "Users nobody trained on. Only they are asked, 100 a seed on ml-100k, so one answer weighs more.",
    ),
    Gated("hit@{k}/affected", 0.02, "The same place where interactions are forgotten."),
    Gated(
        "hit@{k}/forget",
        0.02,
        "What is still remembered; gold's value is the target. On ml-100k base is 0.15 above gold: a seventh.",
    ),
    Gated(
        "distance/forget",
        0.05,
        "How far from gold, in nats. On ml-100k base is 0.6 away and another retraining 0.2.",
    ),
    Gated("streisand/forget", 0.02, "What was hidden so well that it stands out, beyond what chance puts there."),
    Gated("collateral/neighbours", 0.02, "Damage to the users most like the forgotten: as `hit@{k}/unseen`."),
    Gated("{auc}", 0.03, "Whether somebody can tell who was forgotten; one attack stands for all, as in the table."),
    Gated("router_auc/forget", 0.03, "What the router alone gives away: as the membership attack."),
    Gated("recovery_api/forget", 0.1, "The worst an attacker who can only ask brings back: a tenth of the memory."),
    Gated("recovery_weights/forget", 0.1, "The worst an attacker with the files brings back: a tenth of the memory."),
)
"""Few, since every further one makes all others harder to fail (Holm). Not among them: other list lengths and views,
which repeat these; fidelity, which is made of `distance`; privacy and utility, which are made of the attack and of
ndcg; the score, which is made of all these."""


def gated(results: Results, own: Mapping[str, float]) -> dict[str, float]:
    """The tolerance of every measurement that is judged, by `metric/view`.

    Args:
        results: The accepted ones; what no row of them has a value of is left out.
        own: A board's `[tolerance]`, which overrides and adds; a metric without a view stands for all its views, and
            an infinite tolerance means that a measurement is not judged.
    """
    k, auc = k_of(results), headline_auc(results)
    names = {entry.name.format(k=k, auc=auc): entry.tolerance for entry in DEFAULTS}
    measured = {m.name: m.metric for item in results.finished for m in item.measurements}
    for key, tolerance in own.items():
        names |= {name: tolerance for name, metric in measured.items() if key in (name, metric)}
    names |= {name: tolerance for name, tolerance in own.items() if name in measured}
    return {name: tolerance for name, tolerance in names.items() if tolerance < math.inf and has(results, name)}
