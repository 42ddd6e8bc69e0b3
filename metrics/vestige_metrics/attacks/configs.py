"""The settings and the names of the built-in attacks, without importing NumPy."""

import pydantic

from vestige.configs import Config

TRUNCATE = (2, 4, 8)
"""Evasion asks with so many last items."""

DROP = (25, 50, 75)
"""Evasion drops so many per cent of the items."""

CHANGES = (
    *(f"truncate_{length}" for length in TRUNCATE),
    *(f"drop_{percent}" for percent in DROP),
    "swap",
    "popular",
    "decoys",
    "concatenate",
)
"""The changes of a history that evasion tries."""

WORST = "worst_of_k"

STEPS = (1, 5, 20)
"""Relearning is measured after so many optimiser steps."""


class NoSettings(Config):
    """There is nothing to set."""


class EvasionConfig(Config):
    """How far histories are changed.

    Attributes:
        popular_share: Share of a history's items that popular ones take the place of.
        popular_items: They are drawn from so many most popular ones.
        decoy_share: Random items put between a history's own, as a share of them.
    """

    popular_share: float = pydantic.Field(0.5, gt=0, lt=1)
    popular_items: int = pydantic.Field(100, ge=2)
    decoy_share: float = pydantic.Field(0.5, gt=0)


class RelearnConfig(Config):
    """How the attacker trains.

    Attributes:
        share: Of the forgotten users, so many are trained on; the others are asked.
        learning_rate, clip: AdamW at a constant rate without weight decay, gradient norm clipped.
        batch_size: At most so many sequences a step.
    """

    share: float = pydantic.Field(0.1, gt=0, lt=1)
    learning_rate: float = pydantic.Field(1e-3, gt=0)
    clip: float = pydantic.Field(1.0, gt=0)
    batch_size: int = pydantic.Field(32, ge=1)


class LatencyConfig(Config):
    """How time is measured.

    Attributes:
        repeats: Every query is asked so often, and the shortest time counts.
        warm_up: So many queries are asked before.
    """

    repeats: int = pydantic.Field(2, ge=1)
    warm_up: int = pydantic.Field(8, ge=0)
