"""probe: the attacker reads the states that the weights make of each history.

On these states the membership metric trains a linear classifier, cross-fitted by user: Alain and Bengio,
"Understanding intermediate layers using linear classifier probes", 2016 (arXiv 1610.01644). What the output no longer
shows, the states may still tell.
"""

from collections.abc import Iterator

import numpy as np

from vestige.measuring.attacks import Target, Told
from vestige.recommenders.contract import Represents
from vestige_metrics.attacks.configs import NoSettings


class Probe:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def attack(self, target: Target) -> Iterator[Told]:
        """`probe`, [queries, features], of models whose states can be read; nothing of others, nor where both of a pair
        have the same history.
        """
        if isinstance(target.model, Represents) and not target.split.asked_alike:
            represent = target.model.represent
            forget, unseen = (
                represent(target.queries(view).histories.anonymous()).astype(np.float64)
                for view in ("forget", "unseen_train")
            )
            yield Told("probe", forget, unseen)
