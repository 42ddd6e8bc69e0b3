"""What an attacker sees who is given recommendation lists and the target's rank only: no score of any kind."""

import numpy as np

from vestige.data.request import Part
from vestige.data.sequences import IntArray, Sequences
from vestige.measuring.contract import Context, Subject
from vestige.measuring.ranks import hit_at, mean_rank
from vestige.measuring.statistics import Floats
from vestige_metrics.memory import ASKED, Sides, sides

SHORT, LONG = 10, 100


def blackbox_sides(context: Context, model: Subject) -> Sides:
    """Unit means of `blackbox_features`, [pairs, 6]."""
    return sides(context, {view: blackbox_features(context, model, view) for view in ASKED})


def blackbox_features(context: Context, model: Subject, view: str) -> Floats:
    """float64 [queries, 6]: log-rank, hit@1, hit@10, whether the target is in the top-100 list, and the shares of the
    top-10 and the top-100 list that are items of the user's own: those that some training may look at. Where items are
    withdrawn a unit is no user, and these are the items of the history that is asked after.

    The lists mask nothing, so a list that repeats the user's past shows in the last two.
    """
    scores = context.scores(model, view)
    parent, rows = context.views.rows[view]
    queries = context.views.queries[parent]
    listed = scores.top_items
    own = (
        _had(context, queries.histories.take(rows), listed)
        if context.split.kind == "items"
        else _own(context, queries.users[rows], listed)
    )
    columns = [
        np.log(mean_rank(scores.above, scores.equal)),
        hit_at(scores.above, scores.equal, 1),
        hit_at(scores.above, scores.equal, SHORT),
        (listed[:, :LONG] == queries.targets[rows][:, None]).any(axis=1).astype(np.float64),
        own[:, :SHORT].mean(axis=1),
        own[:, :LONG].mean(axis=1),
    ]
    return np.stack(columns, axis=1)


def _had(context: Context, histories: Sequences, items: IntArray) -> Floats:
    """float64 0/1 [queries, width]: whether each item [queries, width] is in the query's history."""
    queries = np.arange(len(items), dtype=np.int64)
    keys = np.repeat(queries, histories.lengths) * context.data.n_items + histories.items
    return np.isin(queries[:, None] * context.data.n_items + items, keys).astype(np.float64)


def _own(context: Context, users: IntArray, items: IntArray) -> Floats:
    """float64 0/1 [queries, width]: whether each item [queries, width] is one of the query's user's own."""
    data = context.data
    trained = (context.split.part <= Part.UNSEEN) & np.isin(data.user, users)
    keys = data.user[trained].astype(np.int64) * data.n_items + data.item[trained]
    listed = users.astype(np.int64)[:, None] * data.n_items + items
    return np.isin(listed, keys).astype(np.float64)
