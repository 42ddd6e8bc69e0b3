"""The settings of the built-in metrics, without importing NumPy."""

import pydantic

from vestige.configs import Config


class NoSettings(Config):
    """There is nothing to set."""


class RankingConfig(Config):
    """`k`: the list lengths."""

    k: tuple[pydantic.PositiveInt, ...] = pydantic.Field((5, 10, 20), min_length=1)
