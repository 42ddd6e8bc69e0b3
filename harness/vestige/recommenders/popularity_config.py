"""The settings of the popularity list, without importing NumPy."""

from vestige.configs import Config


class PopularityConfig(Config):
    """No settings: popularity is counted."""
