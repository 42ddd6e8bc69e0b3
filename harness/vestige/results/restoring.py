"""Reads accepted results with the replicates that can be restored: few are kept, but users' values are.

A user's weights in the bootstrap depend on nothing but the user's position, so the replicates of a mean over users
follow from the users' values.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vestige.measuring.contract import PerUser
from vestige.measuring.statistics import Bootstrap, Floats, interval
from vestige.results.pooling import Results
from vestige.results.sides import read_side

SAME = 1e-4
"""Values of users are kept as float32, so a restored bound may differ by this from the one in the record."""


def read_restored(folder: Path) -> Results:
    """The results in `accepted/`, with replicates of all means over users.

    Raises:
        InputError: There are none, or they cannot be read.
    """
    side = read_side(folder)
    kept = restored(side.results, side.per_user)
    few = {key: r for key, r in side.results.replicates.items() if key not in kept}
    # Rows are paired replicate by replicate, so all must be as many: where few are kept, they stand for themselves.
    return replace(side.results, replicates={**kept, **few})


def restored(results: Results, per_user: Mapping[tuple[str, str], PerUser]) -> dict[tuple[str, str], Floats]:
    """Replicates by (cell, `metric/view`) of every mean over users, which shows in the interval of its record."""
    asked = {key: of for key, of in per_user.items() if len(of.users)}
    if not asked:
        return {}
    bootstrap = Bootstrap(1 + max(int(of.users.max()) for of in asked.values()))
    out = {}
    for item in results.finished:
        cell = item.record.identity.cell
        for m in item.measurements:
            of = asked.get((cell, m.name))
            if of is None or m.value is None or m.interval is None:
                continue
            estimate = bootstrap.mean(of.users, of.values)
            found = (estimate.value, *interval(estimate.replicates))
            if np.allclose(found, (m.value, *m.interval), rtol=SAME, atol=SAME):
                out[cell, m.name] = estimate.replicates
    return out
