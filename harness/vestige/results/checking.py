"""Compares fresh results with the accepted ones: every gated measurement of every row, and what else differs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from vestige.results.differences import noise_floor, shift_of
from vestige.results.gate import Comparison, Finding, Verdict, decide, shifts
from vestige.results.provenance import Apart, advice, attacks_apart, warnings
from vestige.results.records import Finished
from vestige.results.restoring import restored
from vestige.results.sections import k_of
from vestige.results.sides import Side
from vestige.results.tolerances import gated
from vestige.results.verdicts import invalid


@dataclass(frozen=True)
class Lost:
    """A cell that accepted results have and fresh ones have not, or that failed."""

    label: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Check:
    """What `vestige check` says.

    Attributes:
        board, seeds: What was compared.
        invalid: Why the fresh board says nothing, or None.
        was_invalid: Whether the accepted board said nothing either.
        findings: One for each row and gated measurement.
        lost: Cells without a result; each one is a failure.
        warnings: What was not the same on both sides and may explain a difference.
        advice: Costs outside a wide band; never a failure.
        added: Rows and measurements that the accepted results do not have yet.
    """

    board: str
    seeds: tuple[int, ...]
    invalid: str | None
    findings: tuple[Finding, ...]
    lost: tuple[Lost, ...]
    warnings: tuple[str, ...]
    advice: tuple[str, ...]
    added: tuple[str, ...]
    was_invalid: bool = False

    @property
    def ruined(self) -> bool:
        """Whether the board says nothing any more."""
        return self.invalid is not None and not self.was_invalid

    @property
    def verdict(self) -> Verdict:
        """FAIL where anything failed or the board says nothing any more, else INCONCLUSIVE where anything is."""
        said = {finding.verdict for finding in self.findings}
        if self.ruined or self.lost or Verdict.FAIL in said:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in said else Verdict.PASS

    def of(self, verdict: Verdict) -> list[Finding]:
        """The findings with a verdict."""
        return [finding for finding in self.findings if finding.verdict is verdict]


def check(fresh: Side, accepted: Side, tolerance: Mapping[str, float]) -> Check:
    """Compares two sides of one board, which have the same data, splits and seeds.

    Args:
        tolerance: The board's own.
    """
    names = gated(accepted.results, tolerance)
    attacks = attacks_apart(fresh.results, accepted.results)
    comparisons = [
        comparison
        for label in accepted.results.competing
        for name, allowed in names.items()
        if (comparison := _compare(fresh, accepted, label, name, allowed, attacks)) is not None
    ]
    return Check(
        board=str(fresh.results.about["name"]),
        seeds=tuple(fresh.results.about["seeds"]),
        invalid=_invalid(fresh),
        findings=tuple(decide(comparisons)),
        lost=tuple(_lost(fresh, accepted)),
        warnings=(*attacks.all, *warnings(fresh.results, accepted.results), *_in_vain(accepted, tolerance)),
        advice=tuple(advice(fresh.results, accepted.results)),
        added=tuple(_added(fresh, accepted, tolerance)),
        was_invalid=_invalid(accepted) is not None,
    )


def _invalid(side: Side) -> str | None:
    """Why a side says nothing, or None; accepted results keep users' values of the popularity list, no replicates."""
    name = f"hit@{k_of(side.results)}/retain"
    means = restored(side.results, {key: of for key, of in side.per_user.items() if key[1] == name})
    return invalid(replace(side.results, replicates={**side.results.replicates, **means}))


def _compare(fresh: Side, accepted: Side, label: str, name: str, tolerance: float, attacks: Apart) -> Comparison | None:
    """None where there is nothing to compare: no accepted value, no good direction, or no fresh cell at all.

    Args:
        attacks: In what the attacks of the two sides differ: what is the worst of all of them is then another thing.
    """
    wanted = accepted.seeds(label, name)
    ran = {item.record.identity.seed for item in fresh.results.row(label) if item.record.ok}
    seeds = sorted(wanted & ran)
    if not seeds:
        return None
    known = accepted.find(label, name, seeds[0])
    assert known is not None
    better = known[1].better
    anew = _trained_anew(fresh, accepted, label, seeds)
    why, chance = _incomparable(fresh, label, name, seeds, better, attacks)
    if why:
        before = _mean(accepted, label, name, seeds)
        return Comparison(label, name, better, tolerance, None, before, vanished=why, excused=anew and chance)
    if better == "none":
        return None
    gold = fresh.results.reference(label, "gold", name)
    own_row = label in (fresh.results.label_of("retrain"), accepted.results.label_of("retrain"))
    target = None if better in ("higher", "lower", "gold") else float(better)
    # Gold's own row is compared as it is: its difference to itself would hide a recommender that got worse. Where gold
    # is the target there is nothing that it could be worse than.
    if own_row and better == "gold":
        return None
    minus = gold if better == "gold" or (anew and not own_row) else None
    if minus is not None:
        both = [seed for seed in seeds if fresh.find(minus, name, seed) and accepted.find(minus, name, seed)]
        # Gold has no value of what only a method has, such as a router.
        seeds, minus = (both, minus) if both else (seeds, None)
    if better == "gold" and minus is None:
        return None
    to_gold = anew and minus is not None
    now, then, basis = shift_of(fresh, accepted, label, minus, name, seeds)
    floor = noise_floor(accepted, name, better, seeds).times(2 if to_gold else 1)
    now, then = (replace(shift, floor=floor) for shift in (now, then))
    if target is not None and minus is None:
        now, then = (replace(shift, values=shift.values - target) for shift in (now, then))
    return Comparison(
        label,
        name,
        better,
        tolerance,
        _mean(fresh, label, name, seeds),
        _mean(accepted, label, name, seeds),
        shifts(better, now, then),
        basis,
        to_gold=to_gold,
    )


def _incomparable(
    fresh: Side, label: str, name: str, seeds: list[int], better: str, attacks: Apart
) -> tuple[str, bool]:
    """Why what was accepted has nothing to be compared with, empty where it has; and whether another training alone may
    have done that.
    """
    others = (*attacks.attacks, *(attacks.models if name.startswith(("privacy_", "score_")) else ()))
    if others and name.startswith(OF_ATTACKS):
        return f"other attacks were made on the accepted results ({others[0]}); accept anew", False
    ways = {m.better for item in fresh.results.row(label) if (m := item.find(name)) is not None}
    if ways - {better}:
        return f"{better!r} was better of it, and {' and '.join(map(repr, sorted(ways)))} is now; accept anew", False
    missing = next((seed for seed in seeds if fresh.find(label, name, seed) is None), None)
    if missing is None or better == "none":
        return "", False
    why = _why_not(fresh, label, name, missing)
    return f"the accepted results have a value, the fresh ones none: {why}", why != GONE


GONE = "it is not measured any more"

OF_ATTACKS = ("recovery", "privacy_", "score_")
"""What is the worst, or the least, over the attacks that were made."""


def _why_not(fresh: Side, label: str, name: str, seed: int) -> str:
    for item in fresh.results.row(label):
        if item.record.identity.seed == seed and (m := item.find(name)) is not None:
            return m.note or "no reason is given"
    return GONE


def _trained_anew(fresh: Side, accepted: Side, label: str, seeds: list[int]) -> bool:
    """Whether base or gold of any of the seeds were trained anew."""
    keys = []
    for side in (fresh, accepted):
        rows = {item.record.identity.seed: item.record.keys for item in side.results.row(label)}
        roles = [rows[seed].get(kind, {}) for seed in seeds for kind in ("roles", "board_roles")]
        keys.append([(found.get("base"), found.get("gold")) for found in roles])
    return keys[0] != keys[1]


def _mean(side: Side, label: str, name: str, seeds: list[int]) -> float:
    return float(
        np.mean([m.value for s in seeds if (f := side.find(label, name, s)) and (m := f[1]).value is not None])
    )


def _lost(fresh: Side, accepted: Side) -> Iterator[Lost]:
    """Every failed cell, and every accepted one that was not run."""
    have = {_place(item): item.record for item in fresh.results.every}
    for (label, seed, step), record in have.items():
        if not record.ok:
            where = f"step {step}: " if step is not None else ""
            yield Lost(label, seed, f"{where}{record.outcome.status}: {record.outcome.message}")
    for item in accepted.results.every:
        label, seed, step = _place(item)
        if (label, seed, step) not in have:
            where = "" if step is None else f", after step {step}"
            yield Lost(label, seed, f"the board does not have this row any more{where}")


def _place(item: Finished) -> tuple[str, int, int | None]:
    identity = item.record.identity
    return identity.label, identity.seed, identity.step


def _in_vain(accepted: Side, tolerance: Mapping[str, float]) -> Iterator[str]:
    """Tolerances of the board that nothing is judged by."""
    judged = {m.name: m.better for item in accepted.results.finished for m in item.measurements}
    for key in (key for key, allowed in tolerance.items() if allowed < math.inf):
        ways = {better for name, better in judged.items() if key in (name, name.partition("/")[0])}
        if not ways:
            yield f"the tolerance of {key} is for nothing that is measured here"
        elif ways == {"none"}:
            yield f"the tolerance of {key} says nothing: neither way of it is the better one"


def _added(fresh: Side, accepted: Side, tolerance: Mapping[str, float]) -> Iterator[str]:
    old = set(accepted.results.labels)
    for label in fresh.results.labels:
        if label not in old:
            yield f"the row {label}"
    before, now = (gated(side.results, tolerance) for side in (accepted, fresh))
    for name in now:
        if name not in before:
            yield f"the measurement {name}"
