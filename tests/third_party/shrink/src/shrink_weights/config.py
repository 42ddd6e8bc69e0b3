"""The settings."""

import pydantic

import vestige


class ShrinkConfig(vestige.Config):
    """`strength`: what is taken off every weight, as a share of it."""

    strength: float = pydantic.Field(0.01, ge=0, lt=1)
