"""Whether a recommender's first answers are what the contract asks for, before all queries are put to it."""

import math
from collections.abc import Iterable
from numbers import Real

import numpy as np

from vestige.data.views import Queries
from vestige.errors import ScoreError
from vestige.recommenders.contract import Composite, Scorer

FIRST = 8
"""So many queries of a view are asked."""

NORMALISED = 1e-3
"""So far from 1 may the probabilities of a row lie in sum."""


def try_out(model: Scorer, views: Iterable[Queries], n_items: int) -> None:
    """Asks the first queries of each view, as all are asked: the model is not told whose they are.

    Ranks need no more than an order, so scores that are no log-probabilities would be noticed by nobody, while entropy,
    fidelity and most attacks on membership were made of them. The first answer also pays for what is allocated once.
    What has the wrong shape or is not finite is left to `score_queries`, which tells it of all queries.

    Raises:
        ScoreError: The probabilities of a row do not sum to 1, or a router has no threshold or gives no probabilities.
    """
    router = model.parts().router if isinstance(model, Composite) else None
    if router is not None and not (isinstance(router.threshold, Real) and not math.isnan(router.threshold)):
        raise ScoreError(f"the router's threshold is {router.threshold!r}, not a number.")
    for queries in views:
        rows = np.arange(min(FIRST, len(queries)))
        if not len(rows):
            continue
        histories = queries.histories.take(rows).anonymous()
        scores = np.asarray(model.score(histories))
        if scores.shape == (len(rows), n_items) and np.isfinite(scores).all():
            with np.errstate(over="ignore"):
                sums = np.exp(scores.astype(np.float64)).sum(axis=1)
            off = np.abs(sums - 1)
            if off.max() > NORMALISED:
                raise ScoreError(
                    f"the recommender returned scores whose probabilities sum to {sums[off.argmax()]:.4g}; "
                    "they must be the log-softmax over the whole catalogue."
                )
        if router is not None:
            told = np.asarray(router.probability(histories))
            if told.shape != (len(rows),) or not ((told >= 0) & (told <= 1)).all():
                raise ScoreError("the router returned something else than one probability in [0, 1] for each history.")
