"""Compares submitted results with a run of one of their seeds that was made here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from vestige.results.checking import Check, check
from vestige.results.gate import Verdict
from vestige.results.pooling import Results
from vestige.results.provenance import machine_differences
from vestige.results.records import Finished
from vestige.results.sides import Side
from vestige.results.verify import Status, Step

NAME = "re-run"


def compare(fresh: Side, submitted: Side, seed: int, tolerance: Mapping[str, float]) -> Step:
    """Whether the cells of a seed came out as submitted.

    To the last bit, where both were made on the same kind of machine with the same versions; elsewhere neither side may
    be worse than the other, as the gate judges it.

    Args:
        fresh: The run made here.
        tolerance: The board's own.
    """
    fresh, submitted = _of_seed(fresh, seed), _of_seed(submitted, seed)
    pairs = [(here, there) for here in fresh.results.every if (there := _same_cell(submitted.results, here))]
    differ = dict.fromkeys(
        text for here, there in pairs for text in machine_differences(here.run.provenance, there.run.provenance)
    )
    if not differ:
        faults = [fault for here, there in pairs for fault in _unequal(fresh, submitted, here, there)]
        if not faults:
            return Step(NAME, Status.OK, f"seed {seed} was run again: {len(pairs)} cells are equal to the last bit")
    else:
        faults = list(_worse(fresh, submitted, tolerance))
        if not faults:
            where = "; ".join(differ)
            return Step(
                NAME,
                Status.OK,
                f"seed {seed} was run again, but not on the same ({where}): of {len(pairs)} cells none is surely "
                "better or worse",
            )
    more = f" ({len(faults) - 1} more of the kind)" if len(faults) > 1 else ""
    return Step(NAME, Status.FAIL, f"seed {seed} was run again: {faults[0]}{more}.")


def _of_seed(side: Side, seed: int) -> Side:
    about = {**side.results.about, "seeds": [seed]}
    last, earlier = (
        tuple(item for item in items if item.record.identity.seed == seed)
        for items in (side.results.finished, side.results.earlier)
    )
    return replace(side, results=Results(about, last, side.results.replicates, earlier))


def _same_cell(results: Results, wanted: Finished) -> Finished | None:
    cell = wanted.record.identity.cell
    return next((item for item in results.every if item.record.identity.cell == cell), None)


def _unequal(fresh: Side, submitted: Side, here: Finished, there: Finished) -> Iterator[str]:
    cell = here.record.identity.cell
    ours, its = ({m.name: m for m in item.record.outcome.measurements} for item in (here, there))
    for name in [*its, *(name for name in ours if name not in its)]:
        stated, right = its.get(name), ours.get(name)
        if stated is None or right is None:
            yield f"{cell}: {name} is {'missing' if stated is None else 'not measured here'}"
        elif stated != right:
            what = "is" if stated.value != right.value else "has the same value, but another interval or note:"
            yield f"{cell}: {name} {what} {_shown(stated.value)}, and came out as {_shown(right.value)}"
    for key in [key for key in fresh.per_user if key[0] == cell]:
        one, other = fresh.per_user[key], submitted.per_user.get(key)
        same = other is not None and np.array_equal(one.users, other.users) and np.array_equal(one.values, other.values)
        if not same:
            yield f"{cell}: the values of the users of {key[1]} are not those that came out"
    timed = [{m.name for m in item.run.cost} for item in (here, there)]
    if timed[0] != timed[1]:
        yield f"{cell}: {min(timed[0] ^ timed[1])} stands among the costs of one run only"
    for key, own in fresh.results.replicates.items():
        theirs = submitted.results.replicates.get(key)
        if key[0] == cell and theirs is not None and not np.array_equal(own[: len(theirs)], theirs):
            yield f"{cell}: the replicates of {key[1]} are not those that came out"
    if here.record.outcome.notes != there.record.outcome.notes:
        yield f"{cell}: the notes are not those that came out"


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _worse(fresh: Side, submitted: Side, tolerance: Mapping[str, float]) -> Iterator[str]:
    here, there = "here", "as submitted"
    for judged, reference, worse, than in ((fresh, submitted, here, there), (submitted, fresh, there, here)):
        found: Check = check(judged, reference, tolerance)
        yield from (f"{lost.label}: {lost.reason}" for lost in found.lost)
        for finding in found.of(Verdict.FAIL):
            c = finding.comparison
            numbers = f"{_shown(c.fresh)} {worse}, {_shown(c.accepted)} {than}"
            yield f"{c.label}: {c.name} is {numbers}: {finding.message}"
