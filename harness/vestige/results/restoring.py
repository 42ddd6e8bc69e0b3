"""Reads accepted results with the intervals of the run: few replicates are kept, but users' values and the table are.

A user's weights in the bootstrap depend on nothing but the user's position, so the replicates of a mean over users
follow from the users' values. What is no mean over users, such as an AUC, has the interval in `leaderboard.csv`.
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vestige.errors import InputError
from vestige.measuring.contract import PerUser
from vestige.measuring.statistics import Bootstrap, Floats, interval
from vestige.results.pooling import Results
from vestige.results.sides import read_side

SAME = 1e-4
"""Values of users are kept as float32, so a restored bound may differ by this from the one in the record."""


def read_restored(folder: Path) -> Results:
    """The results in `accepted/`, with replicates of all means over users, and the intervals of the table beside it.

    Raises:
        InputError: There are none, or they cannot be read.
    """
    side = read_side(folder)
    few = side.results.replicates
    names = {name for _, name in few}
    # Rows are paired replicate by replicate, so all must be as many: where few are kept, they stand for themselves.
    kept = {key: r for key, r in restored(side.results, side.per_user).items() if key[1] not in names}
    results = replace(side.results, replicates={**kept, **few})
    return replace(results, stated=stated(results, folder.parent / "leaderboard.csv"))


def stated(results: Results, file: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """The intervals by (label, `metric/view`) in a board's `leaderboard.csv`; none where there is no such file.

    A line whose value is not the one of the records belongs to other results and says nothing.

    Raises:
        InputError: It is no such table.
    """
    if not file.exists():
        return {}
    out = {}
    try:
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            for name, low in row.items():
                of, _, bound = name.rpartition(":")
                if bound != "low" or not low:
                    continue
                pooled = results.pooled(row["label"], of)
                if pooled is not None and pooled.value is not None and np.isclose(pooled.value, float(row[of])):
                    out[row["label"], of] = (float(low), float(row[f"{of}:high"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(f"{file}: this is no table of a board ({type(error).__name__}: {error}).") from None
    return out


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
