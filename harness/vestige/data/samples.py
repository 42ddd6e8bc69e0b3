"""Draws the published project's forget and retain samples from any interactions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydantic

from vestige import seeds
from vestige.configs import Config
from vestige.data.interactions import Interactions
from vestige.data.interchange import Sample
from vestige.data.request import Part
from vestige.data.sequences import IntArray
from vestige.errors import InputError

RETAIN = 565
"""So many users retain, as published."""


class SamplesConfig(Config):
    """Who is drawn, as published unless said otherwise.

    Attributes:
        forget: How many users forget.
        retain: How many retain, none of whom forgets; None for `RETAIN`, or as many as the pool has left.
        percent: Of each forgotten user's training interactions the latest so many must be forgotten, rounded down, but
            at least one.
        min_events: The pool's users have so many training interactions.
        min_rating: And rated something at least so high in the test period; None for any rating.
    """

    forget: int = pydantic.Field(500, ge=1)
    retain: int | None = pydantic.Field(None, ge=1)
    percent: float = pydantic.Field(5.0, gt=0, le=50)
    min_events: int = pydantic.Field(10, ge=2)
    min_rating: float | None = 4.0


@dataclass(frozen=True)
class Samples:
    """Users of both files, in the order in which they were drawn."""

    forget: tuple[Sample, ...]
    retain: tuple[Sample, ...]


def draw_samples(data: Interactions, part: npt.NDArray[np.int8], config: SamplesConfig, seed: int) -> Samples:
    """Draws users for both files from one pool; equal seeds give equal samples.

    Args:
        data: The interactions.
        part: int8 [events], as `vestige.data.request.hold_out` returns it; the test period is TEST and UNUSED.
        config: Who is drawn.
        seed: Of the draw.

    Raises:
        InputError: The pool is too small.
    """
    trained = part == Part.RETAINED
    late = np.isin(part, (Part.TEST, Part.UNUSED))
    if config.min_rating is not None:
        late &= data.rating >= config.min_rating
    able = np.bincount(data.user[trained], minlength=data.n_users) >= config.min_events
    able &= np.bincount(data.user[late], minlength=data.n_users) > 0
    pool = np.flatnonzero(able)
    retain = max(min(RETAIN, len(pool) - config.forget), 1) if config.retain is None else config.retain
    if len(pool) < config.forget + retain:
        rated = "an interaction" if config.min_rating is None else f"a rating of {config.min_rating:g} or more"
        raise InputError(
            f"{config.forget} forget and {retain} retain users were asked for, but only {len(pool)} users have "
            f"{config.min_events} training interactions and {rated} in the test period; ask for fewer (--forget-users, "
            "--retain-users), or less of them (--min-events, --high-rating)."
        )
    drawn = pool[seeds.generator(seed, "samples").permutation(len(pool))]
    items = {user: data.item_ids[data.item[_training(data, trained, user)]].tolist() for user in drawn.tolist()}

    def sample(user: int, forgotten: int) -> Sample:
        kept = len(items[user]) - forgotten
        return Sample(str(data.user_ids[user]), tuple(items[user][:kept]), tuple(items[user][kept:]))

    return Samples(
        tuple(
            sample(user, max(1, int(len(items[user]) * config.percent / 100)))
            for user in drawn[: config.forget].tolist()
        ),
        tuple(sample(user, 0) for user in drawn[config.forget : config.forget + retain].tolist()),
    )


def _training(data: Interactions, trained: npt.NDArray[np.bool_], user: int) -> IntArray:
    """The training interactions of a user, oldest first."""
    first, end = int(data.offsets[user]), int(data.offsets[user + 1])
    return np.arange(first, end)[trained[first:end]]
