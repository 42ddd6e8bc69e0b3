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
from vestige.measuring.attacks import Recovered, Target
from vestige_metrics.attacks import changes
from vestige_metrics.attacks.configs import DROP, TRUNCATE, WORST, EvasionConfig


class Evasion:
    """See the module's docstring."""

    def __init__(self, config: EvasionConfig) -> None:
        self.config = config

    def attack(self, target: Target) -> Iterator[Recovered]:
        """Each change by its name, and `worst_of_k`: query by query the highest hit of all and of no change."""
        worst, asked = target.hits(), 1
        for name, histories in self.variants(target):
            hits = target.hits(histories)
            yield Recovered(name, hits)
            worst, asked = np.maximum(worst, hits), asked + 1
        yield Recovered(WORST, worst, asked)

    def variants(self, target: Target) -> Iterator[tuple[str, Sequences]]:
        """The changed histories of the `forget` queries, by the name of the change."""
        config, rng = self.config, partial(seeds.generator, target.seed)
        own, targets, n_items = target.forget.histories, target.forget.targets, target.data.n_items
        retained = training(target.data, target.split, [Part.RETAINED])
        counts = np.bincount(retained.items, minlength=n_items)
        popular = np.argsort(-counts, kind="stable")[: config.popular_items]
        for length in TRUNCATE:
            yield f"truncate_{length}", own.tail(length)
        for percent in DROP:
            yield f"drop_{percent}", changes.drop(own, percent / 100, rng(f"drop_{percent}"))
        yield "swap", changes.swap(own)
        yield "popular", changes.replaced(own, targets, popular, config.popular_share, rng("popular"))
        yield "decoys", changes.with_decoys(own, targets, np.arange(n_items), config.decoy_share, rng("decoys"))
        yield "concatenate", changes.concatenated(own, targets, retained, rng("concatenate"))
