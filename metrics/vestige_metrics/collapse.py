"""Collapse: does the model still recommend the breadth of the catalogue, or the same few popular items to everybody?

Over the lists of `retain`, each the 10 highest items that are not in the history (of whoever has had so many of the 100
highest that fewer than 10 are left, the model is asked again):

    coverage@10   = share of the catalogue that stands in some list
    gini@10       = Σ_i (2i − n − 1) x_i / (n Σ_i x_i), x_1 ≤ … ≤ x_n how often each of the n items is recommended
    popularity@10 = mean over users of the mean of log(1 + count) in the user's list, counted over R's training (over
                    R ∪ F where items are withdrawn: they were popular, however little R has left of them)

Gini is 0 where all items are recommended equally often and 1 − 10/n where everybody has the same list (Fleder and
Hosanagar, "Blockbuster Culture's Next Rise or Fall", Management Science 55, 2009). A damaged model often keeps its
hit@10 by falling back on the most popular items, which these see. Equal scores are listed in the catalogue's order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vestige.data.request import Part
from vestige.data.sequences import BoolArray, IntArray, Sequences
from vestige.measuring.contract import Context, Measurement, PerUser, Subject, measured
from vestige.measuring.statistics import Estimate, Floats, by_user
from vestige_metrics.configs import NoSettings

K = 10

CELLS = 4_000_000
"""Scores held in memory at once."""


class Collapse:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`coverage@10`, `gini@10`, `popularity@10` on `retain`, each also `:vs_gold`.

        Coverage and Gini belong to the whole set of lists: they are no means over users, so there are no values per
        user. Nor are there intervals: a resample of users holds fewer different users, hence fewer different lists, so
        that its coverage is always lower (and its Gini higher) than that of the users it was drawn from.
        """
        if not context.has("retain"):
            return
        own, gold = (recommended(context, model) for model in (context.subject, context.roles["gold"]))
        short = int((own.chosen.sum(axis=1) < min(K, context.data.n_items)).sum())
        note = f"{short} lists are shorter than {K}: the history holds nearly all items" if short else ""
        counts = [np.bincount(lists.items[lists.chosen], minlength=context.data.n_items) for lists in (own, gold)]
        for name, statistic in ((f"coverage@{K}", coverage), (f"gini@{K}", gini)):
            mine, its = (statistic(count) for count in counts)
            yield Measurement(name, "retain", mine, better="gold", note=note)
            yield Measurement(f"{name}:vs_gold", "retain", mine - its, better="0", note=note)
        popularity, per_user = _popularity(context, own)
        name = f"popularity@{K}"
        yield measured(name, "retain", popularity, "gold", note=note, per_user=per_user)
        yield measured(f"{name}:vs_gold", "retain", popularity - _popularity(context, gold)[0], "0", note=note)


@dataclass(frozen=True)
class Lists:
    """What a model recommends.

    Attributes:
        items: int32 [queries, highest], highest first; of no meaning where not chosen.
        chosen: bool [queries, highest]: the `K` highest of all that are not in the history, or all of these.
    """

    items: IntArray
    chosen: BoolArray


def lists(top_items: IntArray, histories: Sequences, n_items: int) -> Lists:
    """The first `K` of `top_items` [queries, highest] that are not in the query's history."""
    queries = np.arange(len(top_items), dtype=np.int64)
    listed = queries[:, None] * n_items + top_items
    known = np.repeat(queries, histories.lengths) * n_items + histories.items
    fresh = ~np.isin(listed, known)
    return Lists(top_items, fresh & (np.cumsum(fresh, axis=1) <= K))


def coverage(counts: IntArray) -> float:
    """The share of items [items] that are recommended at all."""
    return float(np.mean(counts > 0))


def gini(counts: IntArray) -> float:
    """How unequally recommendations fall on items [items]: 0 all alike, 1 − 1/n all on one; 0 without any."""
    n, total = len(counts), int(counts.sum())
    if not total:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * np.sort(counts)).sum() / (n * total))


def recommended(context: Context, model: Subject) -> Lists:
    """What a model recommends to the users of `retain`, a row each, in the order of the view."""
    # The row that shows a method's own gold is called as the role is, and the role answers otherwise on `retain`.
    own = model is context.subject
    return context.once(("recommended", model.name, own), lambda: _recommended(context, model))


def _recommended(context: Context, model: Subject) -> Lists:
    parent, rows = context.views.rows["retain"]
    histories, n_items = context.views.queries[parent].histories.take(rows), context.data.n_items
    found = lists(context.scores(model, "retain").top_items, histories, n_items)
    short = np.flatnonzero(found.chosen.sum(axis=1) < K)
    if not len(short) or found.items.shape[1] == n_items:
        return found
    # What stands below the highest items was not kept.
    items, chosen, scorer = found.items.copy(), found.chosen.copy(), model.scorer("retain")
    step = max(1, CELLS // n_items)
    for start in range(0, len(short), step):
        some = short[start : start + step]
        asked = histories.take(some)
        scores = np.array(scorer.score(asked.anonymous()))
        scores[np.repeat(np.arange(len(some)), asked.lengths), asked.items] = -np.inf
        top = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        items[some, :K] = top
        chosen[some] = False
        chosen[some, :K] = np.isfinite(np.take_along_axis(scores, top, axis=1))
    return Lists(items, chosen)


def _popularity(context: Context, of: Lists) -> tuple[Estimate, PerUser]:
    """Users whose list is empty are left out."""
    counted = (Part.RETAINED, Part.FORGET) if context.split.kind == "items" else (Part.RETAINED,)
    items = context.data.item[np.isin(context.split.part, counted)]
    popularity: Floats = np.log1p(np.bincount(items, minlength=context.data.n_items))
    lengths = of.chosen.sum(axis=1)
    some = lengths > 0
    means = (popularity[of.items] * of.chosen).sum(axis=1)[some] / lengths[some]
    users, values = by_user(context.views.users("retain")[some], means)
    return context.bootstrap.mean(users, values), PerUser(users, values)
