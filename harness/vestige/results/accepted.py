"""Reads the accepted results of a board, and refuses what a fresh run cannot be compared with."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vestige.errors import InputError
from vestige.measuring.contract import PerUser
from vestige.measuring.statistics import REPLICATES, Floats, interval
from vestige.results.records import Finished, Measured
from vestige.results.sides import ROUNDING, Side, is_mean, read_side

ONCE = ("retain", "unseen", "affected", "neighbours", "controls")
"""Views that ask every user once, so that the mean over users is the mean over queries."""


def read_accepted(folder: Path, board: str, seeds: Sequence[int]) -> Side:
    """The accepted results of a board.

    Args:
        folder: `accepted/`.
        board, seeds: What they must be of.

    Raises:
        InputError: There are none; they are of another schema version, another board or other seeds; or a value is not
            the mean of its users' values, as after an edit by hand; or a row, a seed or the values of users are
            missing.
    """
    if not (folder / "records").is_dir():
        raise InputError(
            f"{folder}: the board has no accepted results; run it, and make them the accepted ones: vestige accept."
        )
    side = read_side(folder)
    names = sorted({item.record.identity.board for item in side.results.finished})
    if names != [board]:
        raise InputError(f"{folder}: these are accepted results of {', '.join(names)}, not of {board}.")
    found = sorted({item.record.identity.seed for item in side.results.finished})
    if found != sorted(seeds):
        raise InputError(
            f"{folder}: the accepted results are of the seeds {found}, but the board has {sorted(seeds)}; accept anew."
        )
    if gap := incomplete(side):
        raise InputError(f"{folder}: {gap}; accept anew.")
    for item, m, of in edited(side):
        raise InputError(
            f"{folder / 'records' / (item.record.identity.cell + '.json')}: {m.name} is {m.value:.6g}, but the "
            f"values of its users have the mean {of.values.mean():.6g}; accepted results are not edited by hand."
        )
    return side


def incomplete(side: Side) -> str:
    """What is missing of results that were whole when they were accepted; empty where nothing is."""
    labels, seeds = side.results.labels, side.results.about["seeds"]
    steps = range(1, int(side.results.about.get("steps", 0)) + 1) or (None,)
    there = {(i.label, i.seed, i.step): item.record for item in side.results.every for i in [item.record.identity]}
    for label in labels:
        for seed in seeds:
            for step in steps:
                record = there.get((label, seed, step))
                where = f"{label!r}, seed {seed}" + ("" if step is None else f", step {step}")
                if record is None:
                    return f"there is no record of {where}"
                if not record.ok:
                    return f"the record of {where} is of a cell that failed ({record.outcome.status})"
    return next(
        (f"{item.record.identity.cell}: there are no values of the users of {m.name}" for item, m in unkept(side)), ""
    )


def unkept(side: Side) -> Iterator[tuple[Finished, Measured]]:
    """Measurements that are the mean of users' values, of which none are there: nothing speaks against any value."""
    for item in side.results.finished:
        for m in item.measurements:
            if m.value is not None and is_user_mean(m) and (item.record.identity.cell, m.name) not in side.per_user:
                yield item, m


def same_inputs(side: Side, inputs: Mapping[int, tuple[str, str]]) -> None:
    """Checks that the accepted results are of the data and the split that a run would use.

    Args:
        inputs: By seed, the keys of data and split.

    Raises:
        InputError: They are not, so there is nothing to pair.
    """
    for item in side.results.finished:
        identity, keys = item.record.identity, item.record.keys
        data, split = inputs[identity.seed]
        if keys.get("data") != data:
            raise InputError(f"{side.folder}: the accepted results are of other data than the board's; accept anew.")
        if keys.get("split") != split:
            raise InputError(
                f"{side.folder}: the accepted results are of another request or holdout than the board's; accept anew."
            )


MEANS = ("distance", "shift", "jensen_shannon", "router_share", "popularity@10", "withdrawn@10")
"""Metrics that are means over users on every view."""

Aggregate = tuple[Finished, Measured, PerUser]
"""A measurement with the values of its users."""


def aggregates(side: Side) -> Iterator[tuple[bool, list[Aggregate]]]:
    """All rows of a measurement and seed that have values of users; and whether they are the means of these.

    They are not where users are asked a different number of times: then a value is the mean over queries.
    """
    by_name: dict[tuple[str, int], list[Aggregate]] = {}
    for item in side.results.finished:
        for m in item.measurements:
            of = side.per_user.get((item.record.identity.cell, m.name))
            if of is not None and len(of.users) and m.value is not None:
                by_name.setdefault((m.name, item.record.identity.seed), []).append((item, m, of))
    for rows in by_name.values():
        telling = [row for row in rows if np.ptp(row[2].values) > 0]
        means = sum(is_mean(m, of) for _, m, of in telling) > len(telling) / 2
        yield is_user_mean(rows[0][1]) or means, rows


def edited(side: Side) -> Iterator[Aggregate]:
    """The measurements that are not the mean of their users' values, though they should be."""
    for means, rows in aggregates(side):
        # A mean over queries lies somewhere between the means of the users.
        fits = is_mean if means else _is_between
        yield from (row for row in rows if not fits(row[1], row[2]) and not is_mean(row[1], row[2]))


def of_other_replicates(side: Side) -> Iterator[tuple[Finished, Measured, Floats]]:
    """Measurements whose interval is not that of their replicates, where all of these are kept."""
    for item in side.results.finished:
        for m in item.measurements:
            replicates = side.results.replicates.get((item.record.identity.cell, m.name))
            if replicates is not None and len(replicates) == REPLICATES and not gives(m, replicates):
                yield item, m, replicates


def gives(m: Measured, replicates: Floats) -> bool:
    """Whether a measurement has the interval that these replicates give."""
    low, high = interval(np.asarray(replicates, dtype=np.float64))
    slack = ROUNDING * max(1.0, abs(low), abs(high))
    return m.interval is not None and abs(m.interval[0] - low) <= slack and abs(m.interval[1] - high) <= slack


def other_interval(item: Finished, m: Measured, replicates: Floats, source: str) -> str:
    """Says that it has not."""
    low, high = interval(np.asarray(replicates, dtype=np.float64))
    stated = "none" if m.interval is None else f"[{m.interval[0]:.6g}, {m.interval[1]:.6g}]"
    return (
        f"{item.record.identity.cell}: the interval of {m.name} is {stated}, but {source} give [{low:.6g}, {high:.6g}]"
    )


def is_user_mean(m: Measured) -> bool:
    """Whether a measurement of a metric of ours is the mean of the values of its users, and not over queries."""
    if m.metric in MEANS:
        return True
    return m.view in ONCE and m.metric.startswith(("hit@", "ndcg@")) and ":" not in m.metric


def _is_between(m: Measured, of: PerUser) -> bool:
    assert m.value is not None
    slack = ROUNDING * max(1.0, float(np.abs(of.values).max()))
    return float(of.values.min()) - slack <= m.value <= float(of.values.max()) + slack
