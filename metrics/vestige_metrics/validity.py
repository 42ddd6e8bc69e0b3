"""Validity: has the recommender learned anything that could be unlearned?

A board whose gold does not beat the list of the most popular items on `retain`, by interval and for at least five
users, says nothing: INVALID.
"""

from collections.abc import Iterator

from vestige.measuring.contract import Context, Measurement, measured
from vestige_metrics.configs import NoSettings
from vestige_metrics.fewest import rests_on_few
from vestige_metrics.ranking import each, quality

INVALID = "INVALID"


class Validity:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`gold_vs_popularity` on `retain`, in hit@10; it is the same in all rows of a seed."""
        if "popularity" not in context.roles or not context.has("retain"):
            return
        gold, popularity = (
            quality(context, context.roles[role], "hit@10", "retain")[0] for role in ("gold", "popularity")
        )
        better = gold - popularity
        sides = (each(context, context.roles[role], "hit@10", "retain") for role in ("gold", "popularity"))
        note = rests_on_few(context.views.users("retain"), *sides)
        if better.interval[0] <= 0:
            note = f"{INVALID}: gold does not surely beat the popularity list" + (f"; that {note}" if note else "")
        elif note:
            note = f"{INVALID}: that gold beats the popularity list {note}"
        yield measured("gold_vs_popularity", "retain", better, "higher", note=note)
