"""Withdrawn items: how many users who stay still find one of them in their list?

    withdrawn@10 = share of users of `retain` in whose list of 10 (that of `collapse`) stands an item of F

This is what a shop sees that withdraws an item. `forget` asks for the past instead: whether the item still follows
where it followed in training. A method that recognises those histories alone passes there, and goes on recommending.
"""

from collections.abc import Iterator

import numpy as np

from vestige.data.sequences import BoolArray
from vestige.measuring.contract import Context, Measurement, PerUser, Subject, measured
from vestige.measuring.statistics import Estimate, by_user
from vestige_metrics.collapse import K, recommended
from vestige_metrics.configs import NoSettings


class Withdrawn:
    """See the module's docstring; measures nothing where no items are withdrawn."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`withdrawn@10` and `withdrawn@10:vs_gold` (difference, paired by user) on `retain`."""
        if context.split.kind != "items" or not context.has("retain"):
            return
        (own, per_user), (gold, _) = (_share(context, model) for model in (context.subject, context.roles["gold"]))
        yield measured(f"withdrawn@{K}", "retain", own, "gold", per_user=per_user)
        yield measured(f"withdrawn@{K}:vs_gold", "retain", own - gold, "0")


def _share(context: Context, model: Subject) -> tuple[Estimate, PerUser]:
    lists = recommended(context, model)
    found: BoolArray = np.any(np.isin(lists.items, context.split.forget_items) & lists.chosen, axis=1)
    users, values = by_user(context.views.users("retain"), found.astype(np.float64))
    return context.bootstrap.mean(users, values), PerUser(users, values)
