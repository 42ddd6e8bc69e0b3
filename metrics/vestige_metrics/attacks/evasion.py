"""evasion: the forgotten are asked about with changed histories.

What recognises the forgotten by their histories, such as a router, may miss a changed one, and then the model answers
as if nothing had been forgotten. The attacker needs nothing but the right to ask. `worst_of_k` asks in all ways and
keeps the best answer; how often it asked is stated with it. The same changes on gold are the yardstick, since they
mask more items than the query's own.

That a model unlearned for one wording still answers to another is known of language models: Lynch et al., "Eight
Methods to Evaluate Robust Unlearning in LLMs" (arXiv 2402.16835).
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from vestige import seeds
from vestige.data.request import Part, training
from vestige.data.sequences import Sequences
from vestige.data.views import Queries
from vestige.measuring.attacks import Recovered, Target
from vestige_metrics.attacks import changes
from vestige_metrics.attacks.configs import CHANGES, WORST, EvasionConfig


class Evasion:
    """See the module's docstring."""

    def __init__(self, config: EvasionConfig) -> None:
        self.config = config

    def attack(self, target: Target) -> Iterator[Recovered]:
        """Each change by its name, and `worst_of_k`: query by query the highest hit of all and of no change."""
        found = [target.recovered(WORST)]
        for name in CHANGES:
            found.append(target.recovered(name, partial(self.changed, target, name)))
            yield found[-1]
        worst = np.max([attempt.hits for attempt in found], axis=0)
        of_t = [attempt.unseen for attempt in found if attempt.unseen is not None]
        yield Recovered(WORST, worst, len(found), np.max(of_t, axis=0) if of_t else None)

    def changed(self, target: Target, name: str, queries: Queries) -> Sequences:
        """What becomes of the histories of queries under the change of a name."""
        own, rng = queries.histories, seeds.generator(target.seed, name)
        kind, _, amount = name.partition("_")
        match kind:
            case "truncate":
                return own.tail(int(amount))
            case "drop":
                return changes.drop(own, int(amount) / 100, rng)
            case "swap":
                return changes.swap(own)
            case "decoys":
                anything = np.arange(target.data.n_items)
                return changes.with_decoys(own, queries.targets, anything, self.config.decoy_share, rng)
        retained = training(target.data, target.split, [Part.RETAINED])
        if kind == "concatenate":
            return changes.concatenated(own, queries.targets, retained, rng)
        counts = np.bincount(retained.items, minlength=target.data.n_items)
        popular = np.argsort(-counts, kind="stable")[: self.config.popular_items]
        return changes.replaced(own, queries.targets, popular, self.config.popular_share, rng)
