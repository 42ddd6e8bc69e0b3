"""What is left of the oldest request of a stream: does a method that goes on forgetting forget to forget?

`hit@k` on `forget` is over all that was asked for so far; here it is over what was asked for at the first step alone. A
method that is trained on after each step may bring back what an earlier step removed.
"""

from collections.abc import Iterator

import numpy as np

from vestige.data.sequences import IntArray
from vestige.measuring.contract import Context, Measurement, PerUser, Subject, measured
from vestige.measuring.statistics import Estimate, by_user
from vestige_metrics.configs import RankingConfig
from vestige_metrics.ranking import MEASURES


class FirstRequest:
    """See the module's docstring; measures nothing where there is no stream."""

    def __init__(self, config: RankingConfig) -> None:
        self.k = config.k

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`first_hit@k` and `first_hit@k:vs_gold` (difference, paired by user) on `forget`."""
        split = context.split
        if not len(split.steps) or not context.has("forget"):
            return
        asked = context.views.users("forget")
        rows = np.flatnonzero(np.isin(asked, split.forget_users[split.steps == 1]))
        for k in self.k:
            name = f"first_hit@{k}"
            if not len(rows):
                yield measured(name, "forget", None, "gold", note="nothing of the first request can be asked about")
                continue
            (own, per_user), (gold, _) = (
                _hits(context, model, rows, k) for model in (context.subject, context.roles["gold"])
            )
            yield measured(name, "forget", own, "gold", per_user=per_user)
            yield measured(f"{name}:vs_gold", "forget", own - gold, "0")


def _hits(context: Context, model: Subject, rows: IntArray, k: int) -> tuple[Estimate, PerUser]:
    asked = context.views.users("forget")[rows]
    users, values = by_user(asked, MEASURES["hit"](context.scores(model, "forget").take(rows), k))
    return context.bootstrap.mean(users, values, np.unique(asked, return_counts=True)[1]), PerUser(users, values)
