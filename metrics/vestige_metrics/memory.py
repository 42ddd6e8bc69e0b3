"""What a model remembers of each unit of F and T: the mean log-probability of the unit's asked training transitions.

A unit is a user where whole users were forgotten, and one asked interaction where interactions were. Averaging within
the user first matters: over single transitions the noise of the seed drowns the signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from vestige.data.request import Part
from vestige.data.sequences import IntArray
from vestige.measuring.contract import Context, Subject
from vestige.measuring.ranks import hit_at, mean_rank
from vestige.measuring.statistics import Floats, by_user
from vestige.recommenders.scoring import Scores

ASKED = ("forget", "unseen_train")
"""The views whose queries the units are made of: F's and T's."""


@dataclass(frozen=True)
class Sides:
    """Units of F and T with one value, or one row of features, each.

    Attributes:
        forget, unseen: [n] user positions; pair i stands at the same place in both. Where F was given and not drawn,
            interactions have no pairs, and the two may differ in length.
        forget_values, unseen_values: [n] or [n, features].
        fold: [n], where values of different folds must not be compared, since different attacks gave them; or None.
    """

    forget: IntArray
    unseen: IntArray
    forget_values: Floats
    unseen_values: Floats
    fold: IntArray | None = None

    def minus(self, other: "Sides") -> "Sides":
        """The same units, the other values subtracted."""
        return Sides(
            self.forget,
            self.unseen,
            self.forget_values - other.forget_values,
            self.unseen_values - other.unseen_values,
        )


@dataclass(frozen=True)
class Units:
    """What is told apart.

    Attributes:
        forget, unseen: As in `Sides`.
        pairs: [n], the pair's number in the split: of `forget_users`, or of the interactions of F, ascending. Pairs of
            which one asks nothing are left out.
        queries: For each view of `ASKED`, 0/1 [units, queries of the view]: which queries are the unit's.
    """

    forget: IntArray
    unseen: IntArray
    pairs: IntArray
    queries: Mapping[str, csr_array]

    @property
    def users(self) -> int:
        """How many users stand on the smaller side."""
        return min(len(np.unique(self.forget)), len(np.unique(self.unseen)))

    def means(self, view: str, values: Floats) -> Floats:
        """[units] or [units, features]: the mean of [queries] or [queries, features] within each unit."""
        members = self.queries[view]
        # Sums, then one division: equal values stay exactly equal, however many queries a unit has.
        counts = np.diff(members.indptr)
        sums: Floats = members @ values
        return sums / (counts if values.ndim == 1 else counts[:, None])


def units(context: Context) -> Units:
    """The units of a cell, made once."""
    return context.once("units", lambda: _units(context))


def _units(context: Context) -> Units:
    split = context.split
    asked = {view: context.views.users(view) for view in ASKED}
    if split.kind == "interactions":
        pairs = np.searchsorted(split.events(Part.FORGET), context.views.events["forget"])
        own = {view: _members(np.arange(len(users)), len(users)) for view, users in asked.items()}
        return Units(asked["forget"], asked["unseen_train"], pairs, own)
    both = np.isin(split.forget_users, asked["forget"]) & np.isin(split.unseen_users, asked["unseen_train"])
    pairs = np.flatnonzero(both)
    forget, unseen = split.forget_users[pairs], split.unseen_users[pairs]
    queries = {}
    for view, users in zip(ASKED, (forget, unseen), strict=True):
        unit_of = np.full(context.data.n_users, -1)
        unit_of[users] = np.arange(len(users))
        queries[view] = _members(unit_of[asked[view]], len(users))
    return Units(forget, unseen, pairs, queries)


def _members(unit: IntArray, n: int) -> csr_array:
    """0/1 [n, queries] from each query's unit; −1 for none."""
    rows = np.flatnonzero(unit >= 0)
    return csr_array((np.ones(len(rows)), (unit[rows], rows)), shape=(n, len(unit)))


def sides(context: Context, per_query: Mapping[str, Floats]) -> Sides:
    """Unit means of F and T, pair by pair.

    Args:
        context: Who is paired with whom.
        per_query: Values [queries] or [queries, features] of the views `forget` and `unseen_train`.
    """
    found = units(context)
    forget, unseen = (found.means(view, np.asarray(per_query[view], dtype=np.float64)) for view in ASKED)
    return Sides(found.forget, found.unseen, forget, unseen)


def score_sides(context: Context, model: Subject) -> Sides:
    """s_m of F and T, pair by pair."""
    return sides(context, {view: context.scores(model, view).log_prob for view in ASKED})


def mean_log_prob(context: Context, model: Subject, view: str = "forget") -> tuple[IntArray, Floats]:
    """s_m by user: users of the view, ascending, and the mean log-probability of each one's queries."""
    return by_user(context.views.users(view), context.scores(model, view).log_prob.astype(np.float64))


def features(scores: Scores) -> Floats:
    """float64 [queries, 5]: margin, loss, log-rank, entropy and whether the target is among the top 10."""
    rank = mean_rank(scores.above, scores.equal)
    columns = [scores.margin, -scores.log_prob, np.log(rank), scores.entropy, hit_at(scores.above, scores.equal, 10)]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
