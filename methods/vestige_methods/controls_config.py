"""The settings of the control rows, without importing torch."""

import pydantic

from vestige.configs import Config


class DestroyedConfig(Config):
    """How the base is ruined.

    Attributes:
        steps: Of gradient ascent.
        learning_rate, clip: Adam at a constant rate, gradient norm clipped.
        batch_size: At most so many forgotten sequences a step.
    """

    steps: int = pydantic.Field(60, ge=1)
    learning_rate: float = pydantic.Field(1e-2, gt=0)
    clip: float = pydantic.Field(1.0, gt=0)
    batch_size: int = pydantic.Field(32, ge=1)
