"""hit@k and ndcg@k: exact, over the whole catalogue, averaged over all queries; see `vestige.measuring.ranks`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vestige.measuring.contract import Better, Context, Measurement, PerUser, Subject, measured
from vestige.measuring.ranks import hit_at, ndcg_at
from vestige.measuring.statistics import Estimate, Floats, by_user
from vestige.recommenders.scoring import Scores
from vestige_metrics.configs import RankingConfig
from vestige_metrics.fewest import rests_on_few

BETTER: dict[str, Better] = {"forget": "gold", "unseen_train": "gold"}


class Ranking:
    """Both measures at every k, on every view; change against base in per cent, and difference to gold."""

    def __init__(self, config: RankingConfig) -> None:
        self.k = config.k

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`hit@k`, `ndcg@k`, and each with `:vs_base` (per cent) and `:vs_gold` (difference, paired by user)."""
        for view in context.views.rows:
            if not context.has(view):
                continue
            for k in self.k:
                for name in (f"hit@{k}", f"ndcg@{k}"):
                    yield from _measure(context, name, view)


def _measure(context: Context, name: str, view: str) -> Iterator[Measurement]:
    better = BETTER.get(view, "higher")
    own, per_user = quality(context, context.subject, name, view)
    base, _ = quality(context, context.roles["base"], name, view)
    gold, _ = quality(context, context.roles["gold"], name, view)
    yield measured(name, view, own, better, per_user=per_user)
    change = (own - base).over(base)
    note = "" if change else "UNDEFINED: base's own value is not above 0"
    yield measured(f"{name}:vs_base", view, change and change.scaled(100), "none", "%", note)
    difference = own - gold
    few = ""
    if view == "forget" and difference.value > 0:
        sides = (each(context, model, name, view) for model in (context.subject, context.roles["gold"]))
        few = rests_on_few(context.views.users(view), *sides)
    yield measured(f"{name}:vs_gold", view, difference, "0" if better == "gold" else better, note=few)


def quality(context: Context, model: Subject, name: str, view: str) -> tuple[Estimate, PerUser]:
    """`hit@k` or `ndcg@k` of a model over all queries of a view, and each user's own mean."""
    asked = context.views.users(view)
    users, values = by_user(asked, each(context, model, name, view))
    return context.bootstrap.mean(users, values, np.unique(asked, return_counts=True)[1]), PerUser(users, values)


def each(context: Context, model: Subject, name: str, view: str) -> Floats:
    """`hit@k` or `ndcg@k` of each query of a view, [queries]."""
    measure, _, k = name.partition("@")
    return MEASURES[measure](context.scores(model, view), int(k))


def _hit(scores: Scores, k: int) -> npt.NDArray[np.floating[Any]]:
    return hit_at(scores.above, scores.equal, k)


def _ndcg(scores: Scores, k: int) -> npt.NDArray[np.floating[Any]]:
    return ndcg_at(scores.above, scores.equal, k)


MEASURES = {"hit": _hit, "ndcg": _ndcg}
