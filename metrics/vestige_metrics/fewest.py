"""On how many users (or withdrawn items) a difference rests: one of very few cannot be told from chance by resampling.

The bootstrap gives every user a weight above 0. So where gold is at 0, as on withdrawn items, a single hit puts the
whole interval above 0, and the ratio of two numbers that rest on one item does not vary at all.
"""

from vestige.data.sequences import IntArray
from vestige.measuring.statistics import Floats, by_user

FEWEST = 5
"""Of so many, at least, one must stand above the other: a one-sided sign test of fewer is never below 5 %."""


def rests_on_few(users: IntArray, higher: Floats, lower: Floats) -> str:
    """Says so where `higher` is above `lower` for 1 to `FEWEST` − 1 users (or items), by their means; else empty.

    Args:
        users: int [queries], whose each is.
        higher, lower: [queries].
    """
    _, difference = by_user(users, higher - lower)
    above = int((difference > 0).sum())
    if not 0 < above < FEWEST:
        return ""
    return f"rests on {above} of the {len(difference)} that were asked about"
