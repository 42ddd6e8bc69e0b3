"""Settings that need no file of their own, without importing torch."""

import pydantic

from vestige.configs import Config


class NoSettings(Config):
    """There is nothing to set."""


class FinetuneConfig(Config):
    """`share` of the base's passes, at `learning_rate` (None: the recommender's own)."""

    share: float = pydantic.Field(0.1, gt=0, le=1)
    learning_rate: float | None = pydantic.Field(None, gt=0)
