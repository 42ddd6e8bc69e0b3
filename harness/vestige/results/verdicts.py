"""What a board says as a whole: whether it says anything, which rows differ from gold, whether the attacks work."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from vestige.measuring.statistics import Estimate
from vestige.results.pooling import Results
from vestige.results.sections import attack_columns, k_of

POWER = 0.6
"""An attack counts only if the lower bound of its AUC on base is above this."""

ALPHA = 0.05
"""Level of the comparisons with gold, all rows of a table together."""

RETRAININGS = ("control", "recheck")
"""The rows that are gold with another seed."""

CALIBRATED = re.compile(r"(auc|tpr@\d+%|standing_q\d\d)_calibrated(:vs_gold)?/")
"""Of these recheck has what control has, with the sign turned: it is what all others are calibrated with."""

SWAPPED = re.compile(r"auc_swap(:vs_gold)?/")
"""Without recheck, control has what gold has, with the sign turned: each is the other's model of the second world."""

RESTS_ON = re.compile(r"rests on (\d+) of the (\d+) that were asked about")
"""The note of a difference that very few users (or withdrawn items) make."""

FEWEST = 5
"""So many, over all seeds, are no longer very few: a one-sided sign test of fewer is never below 5 %."""

DETECTED = 0.8
"""The smallest difference is named that would be found so often."""


def invalid(results: Results) -> str | None:
    """Why the whole board says nothing: gold does not beat the popularity list, or for very few users; None where it
    does.
    """
    better = beats_popularity(results)
    if better is None:
        return None
    few = _few(results, results.label_of("retrain") or "", "gold_vs_popularity/retain")
    if better.interval[0] > 0 and not few:
        return None
    low, high = better.interval
    sure, why = ("surely ", f", which {few}") if low > 0 else ("", "")
    return (
        f"INVALID: gold does not {sure}beat the popularity list on `retain` (hit@{k_of(results)} "
        f"{better.value:+.4f} [{low:+.4f}, {high:+.4f}]{why}); the recommender has learned nothing that could be "
        "unlearned."
    )


def beats_popularity(results: Results) -> Estimate | None:
    """Gold's hit@k on `retain` minus the popularity list's; None where either is missing."""
    gold = results.label_of("retrain")
    if gold is None or "popularity" not in results.labels:
        return None
    return results.difference(gold, "popularity", f"hit@{k_of(results)}/retain")


def no_power(results: Results, name: str, label: str = "") -> bool:
    """Whether an AUC has no power on base, seeds pooled; on a row's own base, where it has one (or is that itself).

    Of too few users it has none however high it is.
    """
    base = results.reference(results.owner(label), "base", name)
    pooled = results.pooled(base, name) if base else None
    if pooled is None or pooled.interval is None or pooled.interval[0] <= POWER:
        return True
    return any(note.startswith("NO POWER:") for note in pooled.notes)


def powerless(results: Results, name: str, label: str = "") -> bool:
    """Whether a measurement is an attack's that has no power: then it says nothing of the row, nor how rows differ."""
    pooled = results.pooled(label or results.label_of("do_nothing") or "", name)
    told = pooled is not None and any(note.startswith("NO POWER") for note in pooled.notes)
    return told and no_power(results, name, label)


def rests_on_few(results: Results, base: str) -> str:
    """Says of how few users (or withdrawn items) a base recommends more than gold on `forget`; empty of enough."""
    return _few(results, base, f"hit@{k_of(results)}:vs_gold/forget")


def _few(results: Results, label: str, name: str) -> str:
    """Of how few a row's difference is one, all seeds together, by its notes; empty of enough."""
    found = [item.find(name) for item in results.row(label)]
    counts = [RESTS_ON.search(m.note) for m in found if m is not None and m.value is not None and m.value > 0]
    few, asked = (sum(int(count[part]) for count in counts if count) for part in (1, 2))
    if not counts or None in counts or few >= FEWEST:
        return ""
    return f"rests on {few} of the {asked} that were asked about"


def warnings(results: Results) -> list[str]:
    """What a reader must know before any number: an INVALID board, attacks without power, scores that are UNDEFINED."""
    out = [fault] if (fault := invalid(results)) else []
    if few := few_forgotten(results):
        out.append(few)
    weak = [heading for name, heading in attack_columns(results).items() if no_power(results, name)]
    if weak:
        out.append(f"NO POWER on base, so they say nothing of any row: {', '.join(weak)}.")
    for name in ("score_api", "score_weights"):
        for label in results.competing:
            pooled = results.pooled(label, name)
            if pooled is not None and pooled.value is None and pooled.notes:
                out.append(f"{name} of {label} is {pooled.notes[0]}.")
    return out


UNITS = ("forgotten users", "affected users", "withdrawn items")
"""Notes of a request that say how many units (users or items) it is about."""


EVERYBODY = ("retain", "neighbours", "controls")
"""Views of users who are not what a request is about."""


def about_few(results: Results, name: str) -> bool:
    """Whether a measurement asks about so few (`few_forgotten`) that no difference of it has a p-value: one user's does
    not vary from replicate to replicate, and would be found sure.
    """
    return name.partition("/")[2] not in EVERYBODY and bool(few_forgotten(results))


def few_forgotten(results: Results) -> str:
    """Says that very few users (or items) are forgotten, all seeds together; empty where there are enough."""
    notes = {item.record.identity.seed: item.record.outcome.notes.get("request", {}) for item in results.finished}
    found = {unit: sum(of[unit] for of in notes.values() if unit in of) for unit in UNITS}
    said = [f"{n} {unit}" for unit, n in found.items() if 0 < n < FEWEST]
    return f"Only {said[0]}: no interval or p-value of what is asked about them can be trusted." if said else ""


def closed(results: Results, label: str) -> float | None:
    """The share of the gap between base and gold on `forget` that a row closes; above 1 it overshoots.

    Of a method that trains its own base, between its own base and its own gold. None where there may be no gap: a
    share of what may be nothing is any number.
    """
    name = f"hit@{k_of(results)}/forget"
    base, gold = (results.reference(label, role, name) for role in ("base", "gold"))
    if base is None or gold is None:
        return None
    seeds = results.shared_seeds(name, base, gold, label)
    values = [results.pooled(row, name, seeds) for row in (base, gold, label)]
    b, g, u = (pooled.value if pooled else None for pooled in values)
    gap = results.difference(base, gold, name)
    if b is None or g is None or u is None or gap is None or gap.interval[0] <= 0 or rests_on_few(results, base):
        return None
    return (b - u) / (b - g)


@dataclass(frozen=True)
class Compared:
    """A row against gold on one measurement.

    Attributes:
        label: The row.
        difference: Row minus gold (or control), paired by user.
        p: Two-sided, adjusted over the rows by Holm's method.
    """

    label: str
    difference: Estimate
    p: float


def against_gold(results: Results, name: str) -> list[Compared]:
    """Every competing row against gold on `metric/view` (its own, where it has one), p-values adjusted for their number
    (Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979).
    """
    gold = results.label_of("retrain")
    if gold is None:
        return []
    pairs = {label: results.reference(label, "gold", name) for label in results.competing if label != gold}
    return _compared(results, name, {label: target for label, target in pairs.items() if target is not None})


def retrainings_apart(results: Results, name: str) -> list[Compared]:
    """Which of control and recheck differ from gold on `metric/view`, p < `ALPHA` after Holm's adjustment.

    They are gold with other seeds. Intervals are over users, the models given: where another retraining differs, rows
    may differ from gold for no other reason.
    """
    gold = results.label_of("retrain")
    if gold is None:
        return []
    labels = [label for label in RETRAININGS if label in results.labels]
    if CALIBRATED.match(name):
        labels = labels[:1]
    elif SWAPPED.match(name) and "recheck" not in labels:
        labels = []
    pairs = dict.fromkeys(labels, gold)
    return [compared for compared in _compared(results, name, pairs) if compared.p < ALPHA]


def against_control(results: Results, name: str) -> list[Compared]:
    """Every competing row but gold against control, as `against_gold`; rows whose gold is their own stand aside."""
    gold = results.label_of("retrain")
    labels = [row for row in results.competing if row != gold and results.reference(row, "gold", name) == gold]
    return _compared(results, name, dict.fromkeys(labels, "control") if "control" in results.labels else {})


def _compared(results: Results, name: str, pairs: Mapping[str, str]) -> list[Compared]:
    """Rows minus those that they are compared with, p-values adjusted over all of them; none by an attack that has no
    power on a row's base, or about very few.
    """
    differences = {
        label: difference
        for label, target in pairs.items()
        if not about_few(results, name)
        and not powerless(results, name, label)
        and (difference := results.difference(label, target, name)) is not None
    }
    adjusted = holm([two_sided(d) for d in differences.values()])
    return [Compared(label, d, p) for (label, d), p in zip(differences.items(), adjusted, strict=True)]


def significantly_best(results: Results, name: str) -> str | None:
    """The method that is better on `metric/view` than every other one, p < `ALPHA` after Holm's adjustment; else None.

    Base and gold stand aside: they are what methods are compared with. Better is the higher or lower value, or the one
    nearer to its target; differences are paired by user, over the seeds that both rows have. Rows on whose base an
    attack has no power stand aside, too.
    """
    valued = _valued(results, name)
    if len(valued) < 2:
        return None
    leads = {label: [_lead(results, label, other, name) for other in valued if other != label] for label in valued}
    for label, over in leads.items():
        known = [lead for lead in over if lead is not None and lead.value > 0]
        if len(known) == len(over) and max(holm([two_sided(lead) for lead in known])) < ALPHA:
            return label
    return None


def against_best(results: Results, name: str) -> tuple[str | None, list[Compared]]:
    """The method with the best value of `metric/view`, and every other one against it.

    Base and gold stand aside, as for `significantly_best`. `difference` is how much worse a method is (its lead over
    the best, negative), p-values are adjusted over the methods by Holm's method; (None, []) where fewer than two can be
    compared.
    """
    valued = _valued(results, name)
    for best in valued:
        leads = {other: _lead(results, other, best, name) for other in valued if other != best}
        known = {label: lead for label, lead in leads.items() if lead is not None and lead.value <= 0}
        if leads and len(known) == len(leads):
            adjusted = holm([two_sided(lead) for lead in known.values()])
            return best, [Compared(label, d, p) for (label, d), p in zip(known.items(), adjusted, strict=True)]
    return None, []


def _valued(results: Results, name: str) -> list[str]:
    """The methods that have a value, but for base and gold, and those on whose base an attack has no power; none where
    very few are asked about.
    """
    if about_few(results, name):
        return []
    references = {results.label_of("do_nothing"), results.label_of("retrain")}
    labels = [row for row in results.competing if row not in references and not powerless(results, name, row)]
    return [row for row in labels if (pooled := results.pooled(row, name)) is not None and pooled.value is not None]


def _lead(results: Results, label: str, other: str, name: str) -> Estimate | None:
    """By how much a row is better than another; None where that cannot be said."""
    pooled = results.pooled(label, name)
    better = pooled.better if pooled is not None else "none"
    difference = results.difference(label, other, name)
    if difference is None or better == "none":
        return None
    if better in ("higher", "lower"):
        return difference.scaled(1.0 if better == "higher" else -1.0)
    golds = [g for row in (label, other) if (g := results.reference(row, "gold", name))] if better == "gold" else []
    seeds = results.shared_seeds(name, label, other, *golds)
    found = [results.pooled(row, name, seeds) for row in (label, other, *golds)]
    known = [estimate for pooled in found if pooled is not None and (estimate := pooled.estimate) is not None]
    if len(known) < (4 if better == "gold" else 2):
        return None
    targets = known[2:]
    if targets:
        mine, its = (estimate - target for estimate, target in zip(known[:2], targets, strict=True))
    else:
        mine, its = (estimate.plus(-float(better)) for estimate in known)
    return its.magnitude() - mine.magnitude()


def two_sided(difference: Estimate) -> float:
    """The p-value of no difference, by the normal approximation to the replicates; 1 where nothing differs at all."""
    error = float(np.std(difference.replicates))
    if error == 0:
        return 1.0 if difference.value == 0 else 0.0
    return float(2 * ndtr(-abs(difference.value) / error))


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted so that the chance of any false one among them is kept, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    out = [0.0] * len(p_values)
    running = 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        out[index] = running
    return out


def detectable(results: Results, name: str) -> float | None:
    """The smallest difference to gold that a two-sided comparison of one row at 5 % finds in 80 of 100 such boards.

    It is (z_0.975 + z_0.8) standard errors of control minus gold, which differ by their seed alone. None where the two
    do not vary (both 0 on withdrawn items, say), or are one model's value and what is left of 1 (`SWAPPED`): what rows
    vary by cannot be learned from them.
    """
    gold = results.label_of("retrain")
    if gold is None or "control" not in results.labels:
        return None
    if SWAPPED.match(name) and "recheck" not in results.labels:
        return None
    difference = results.difference("control", gold, name)
    if difference is None:
        return None
    error = float(np.std(difference.replicates))
    return float((ndtri(1 - ALPHA / 2) + ndtri(DETECTED)) * error) if error > 0 else None


@dataclass(frozen=True)
class Checked:
    """A control of the attacks.

    Attributes:
        title: What is attacked.
        expected: In words.
        values: By the column's heading: the value, its interval, and whether that is as expected.
    """

    title: str
    expected: str
    values: dict[str, tuple[float, tuple[float, float] | None, bool]]


def attack_controls(results: Results) -> list[Checked]:
    """Models (or none) of which it is known how every attack must end: an attack that fails here proves nothing."""
    columns = attack_columns(results)
    base, gold = results.label_of("do_nothing"), results.label_of("retrain")
    out = []
    for label, title, expected in (
        (base, "base", "above 0.6, else NO POWER"),
        (results.label_of("overfitted"), "over-fitted base", "near 1"),
        (gold, "gold", "½"),
        ("control", "control", "½"),
        (results.label_of("untrained"), "untrained model", "½"),
    ):
        values = {}
        for name, heading in columns.items():
            pooled = results.pooled(label, name) if label else None
            if pooled is not None and pooled.value is not None:
                values[heading] = (pooled.value, pooled.interval, _as_expected(expected, pooled.value, pooled.interval))
        if values:
            out.append(Checked(title, expected, values))
    for title, row, prefix in (
        ("base, labels permuted within pairs", base, "auc_permuted_"),
        ("no model: length and popularity", gold, "auc_blind"),
    ):
        values = {}
        for name, heading in columns.items():
            attack = name.removeprefix("auc_").removesuffix("/forget")
            own = f"{prefix}{attack}/forget" if prefix.endswith("_") else f"{prefix}/forget"
            if not prefix.endswith("_") and attack != "learned":
                continue  # it is a learned attack on what is known without a model
            pooled = results.pooled(row, own) if row else None
            if pooled is not None and pooled.value is not None:
                values[heading] = (pooled.value, pooled.interval, _as_expected("½", pooled.value, pooled.interval))
        if values:
            out.append(Checked(title, "½", values))
    return out


def _as_expected(expected: str, value: float, interval: tuple[float, float] | None) -> bool:
    low, high = interval if interval is not None else (value, value)
    if expected == "½":
        return interval is None or low <= 0.5 <= high  # without an interval, nothing says that it is not ½
    return low > (0.9 if expected == "near 1" else POWER)
