"""Dataset `synthetic`: users with tastes, drift and surprise habits, of any size, from a seed.

Items are divided into tastes. After an item a few others of its taste are likely, the same for everybody, so there is
something to generalise from. A share of every user's interactions is drawn at random from the whole catalogue, so there
is something that can only be remembered.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vestige.data.interactions import Interactions, from_columns
from vestige.data.sequences import IntArray, offsets_of
from vestige.progress import Progress
from vestige_datasets.configs import SyntheticConfig

SUCCESSORS = 3
"""So many items are likely after each item of a taste."""


class Synthetic:
    """Generated when it is loaded; there is nothing to fetch."""

    def __init__(self, config: SyntheticConfig, cache: Path) -> None:
        self.config = config

    def fingerprint(self) -> Mapping[str, str]:
        """The configuration says it all."""
        return {}

    def is_local(self) -> bool:
        """Always."""
        return True

    def fetch(self, progress: Progress) -> None:
        """Nothing to do."""

    def load(self) -> Interactions:
        """The generated interactions; one step of all users at a time, no loop over users."""
        c = self.config
        rng = np.random.default_rng(c.seed)
        lengths = np.maximum(5, np.round(c.events * rng.uniform(2 / 3, 4 / 3, c.users))).astype(np.int64)
        taste_of = np.sort(rng.integers(0, c.tastes, c.items))
        members = [np.flatnonzero(taste_of == taste) for taste in range(c.tastes)]
        members = [m if len(m) else np.asarray([taste % c.items]) for taste, m in enumerate(members)]
        following = np.stack([rng.choice(members[taste_of[item]], SUCCESSORS) for item in range(c.items)])
        taste = rng.integers(0, c.tastes, c.users)
        item = _any_of(members, taste, rng)
        steps = [item]
        for _ in range(int(lengths.max()) - 1):
            drifted = rng.random(c.users) < c.drift
            taste = np.where(drifted, rng.integers(0, c.tastes, c.users), taste)
            shared = following[item, rng.choice(SUCCESSORS, c.users, p=[0.6, 0.3, 0.1])]
            shared = np.where(drifted, _any_of(members, taste, rng), shared)
            surprise = rng.integers(0, c.items, c.users)
            item = np.where(rng.random(c.users) < c.chance, surprise, shared)
            steps.append(item)
        table = np.stack(steps, axis=1)
        inside = np.arange(table.shape[1]) < lengths[:, None]
        users = np.repeat(np.arange(c.users), lengths)
        order_in_time = np.arange(len(users)) - np.repeat(offsets_of(lengths)[:-1], lengths)
        return from_columns(users, table[inside], None, order_in_time, f"synthetic, seed {c.seed}")


def _any_of(members: Sequence[IntArray], taste: IntArray, rng: np.random.Generator) -> IntArray:
    """A random item of each user's taste."""
    sizes = np.asarray([len(m) for m in members])
    flat, starts = np.concatenate(members), offsets_of(sizes)[:-1]
    chosen: IntArray = flat[starts[taste] + rng.integers(0, sizes[taste])]
    return chosen
