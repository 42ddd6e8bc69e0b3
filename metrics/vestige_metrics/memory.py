"""What a model remembers of each user: the mean log-probability of the user's asked training transitions.

Averaging within the user first matters: over single transitions the noise of the seed drowns the signal.
"""

from dataclasses import dataclass

import numpy as np

from vestige.data.sequences import IntArray
from vestige.measuring.contract import Context, Subject
from vestige.measuring.statistics import Floats, by_user
from vestige.recommenders.scoring import Scores


@dataclass(frozen=True)
class Sides:
    """Paired users of F and T, with one value each.

    Attributes:
        forget, unseen: [n] user positions; pair i stands at the same place in both.
        forget_values, unseen_values: [n] or [n, features].
        fold: [n], where values of different folds must not be compared, since different attacks gave them; or None.
    """

    forget: IntArray
    unseen: IntArray
    forget_values: Floats
    unseen_values: Floats
    fold: IntArray | None = None

    def minus(self, other: "Sides") -> "Sides":
        """The same users, the other values subtracted."""
        return Sides(
            self.forget,
            self.unseen,
            self.forget_values - other.forget_values,
            self.unseen_values - other.unseen_values,
        )


def mean_log_prob(context: Context, model: Subject, view: str = "forget") -> tuple[IntArray, Floats]:
    """s_m: users of the view, ascending, and the mean log-probability of each one's queries."""
    return by_user(context.views.users(view), context.scores(model, view).log_prob.astype(np.float64))


def sides(context: Context, per_query: dict[str, Floats]) -> Sides:
    """User means of F and T, pair by pair; pairs of whom one asks nothing are left out.

    Args:
        context: Who is paired with whom.
        per_query: Values [queries] or [queries, features] of the views `forget` and `unseen_train`.
    """
    means = {}
    for view, values in per_query.items():
        users = context.views.users(view)
        columns = values if values.ndim == 2 else values[:, None]
        found = np.unique(users)
        table = np.full((context.data.n_users, columns.shape[1]), np.nan)
        for column in range(columns.shape[1]):
            table[found, column] = by_user(users, columns[:, column])[1]
        means[view] = table
    forget, unseen = context.split.forget_users, context.split.unseen_users
    f, t = means["forget"][forget], means["unseen_train"][unseen]
    both = ~(np.isnan(f[:, 0]) | np.isnan(t[:, 0]))
    f, t = f[both], t[both]
    flat = per_query["forget"].ndim == 1
    return Sides(forget[both], unseen[both], f[:, 0] if flat else f, t[:, 0] if flat else t)


def score_sides(context: Context, model: Subject) -> Sides:
    """s_m of F and T, pair by pair."""
    return sides(
        context,
        {view: context.scores(model, view).log_prob.astype(np.float64) for view in ("forget", "unseen_train")},
    )


def features(scores: Scores) -> Floats:
    """float64 [queries, 5]: margin, loss, log-rank, entropy and whether the target is among the top 10."""
    rank = 1.0 + scores.above + scores.equal / 2.0
    columns = [scores.margin, -scores.log_prob, np.log(rank), scores.entropy, rank <= 10]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
