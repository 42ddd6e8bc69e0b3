"""Collateral damage: whether the neighbours of the forgotten are served worse than by gold, beyond what others are.

    (q_unlearned − q_gold) on `neighbours` − (q_unlearned − q_gold) on `controls`,  q = hit@10

Below 0 is damage. A difference of differences, so that a general loss (which `retain` shows) is not counted again here.
"""

from collections.abc import Iterator

from vestige.measuring.contract import Context, Measurement, measured
from vestige_metrics.configs import NoSettings
from vestige_metrics.ranking import quality


class Collateral:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`collateral` on `neighbours`; 0 is right, below 0 is damage."""
        if not (context.has("neighbours") and context.has("controls")):
            note = "every retained user is a neighbour of the forgotten, so there is nobody to compare with"
            yield measured("collateral", "neighbours", None, "0", note=note)
            return
        gold = context.roles["gold"]
        near, far = (
            quality(context, context.subject, "hit@10", view)[0] - quality(context, gold, "hit@10", view)[0]
            for view in ("neighbours", "controls")
        )
        yield measured("collateral", "neighbours", near - far, "0")
