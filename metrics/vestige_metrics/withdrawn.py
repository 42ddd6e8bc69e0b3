"""Withdrawn items: how many users who stay still find one of them in their list?

    withdrawn@10 = share of users of `retain` in whose list of 10 (that of `collapse`) stands an item of F

Users whose history holds so many of the 100 highest items, by the model or by gold, that fewer than 10 are left to list
are not asked, since nobody knows what stands below; how many is said.

This is what a shop sees that withdraws an item. `forget` asks for the past instead: whether the item still follows
where it followed in training. A method that recognises those histories alone passes there, and goes on recommending.
"""

from collections.abc import Iterator

import numpy as np

from vestige.data.sequences import BoolArray
from vestige.measuring.contract import Context, Measurement, PerUser, measured
from vestige.measuring.statistics import Estimate, by_user
from vestige_metrics.collapse import K, Lists, recommended
from vestige_metrics.configs import NoSettings


class Withdrawn:
    """See the module's docstring; measures nothing where no items are withdrawn."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`withdrawn@10` and `withdrawn@10:vs_gold` (difference, paired by user) on `retain`."""
        if context.split.kind != "items" or not context.has("retain"):
            return
        both = [recommended(context, model) for model in (context.subject, context.roles["gold"])]
        known = np.logical_and.reduce([_whole(lists, context.data.n_items) for lists in both])
        if not known.any():
            yield measured(f"withdrawn@{K}", "retain", None, "gold", note=f"nobody has a list of {K}")
            return
        left_out = int((~known).sum())
        note = f"without {left_out} users whose list is shorter than {K}" if left_out else ""
        (own, per_user), (gold, _) = (_share(context, lists, known) for lists in both)
        yield measured(f"withdrawn@{K}", "retain", own, "gold", note=note, per_user=per_user)
        yield measured(f"withdrawn@{K}:vs_gold", "retain", own - gold, "0", note=note)


def _whole(lists: Lists, n_items: int) -> BoolArray:
    """bool [users]: whether a list holds all that it can."""
    whole: BoolArray = (lists.chosen.sum(axis=1) == K) | (lists.items.shape[1] == n_items)
    return whole


def _share(context: Context, lists: Lists, known: BoolArray) -> tuple[Estimate, PerUser]:
    found: BoolArray = np.any(np.isin(lists.items, context.split.forget_items) & lists.chosen, axis=1)
    users, values = by_user(context.views.users("retain")[known], found[known].astype(np.float64))
    return context.bootstrap.mean(users, values), PerUser(users, values)
