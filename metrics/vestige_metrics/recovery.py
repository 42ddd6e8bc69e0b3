"""Recovery: how much of what base remembers an attacker gets back from the unlearned model.

    RF_a = clip((m_a(u) − g_a) / (m_a(base) − g_a), 0, 1),   g_a = max(m_a(gold), m_a(control))

m_a is hit@10 on the training transitions of F (`forget`) minus the same on those of T (`unseen_train`), whom no model
was trained on, both under attack a: a model that copes better with decoys in a history than others do gains on
everybody, which is no memory. An attack that does not ask T is judged by F alone. The same attack on gold and control
is its baseline, since whoever never knew the forgotten can still be asked cleverly. `none`, asking without any trick,
is one of the attempts. 0 is right; 1 is all that base remembers. An attempt that brings nothing back from base beyond
gold, of F minus T or of F alone, has no power and says nothing; nor one that does so of fewer than `FEWEST` users (or
withdrawn items): what a single item gives is everything or nothing, with an interval that does not show it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vestige.measuring.attacks import K, Track
from vestige.measuring.contract import Context, Measurement, Subject, measured
from vestige.measuring.ranks import hit_at
from vestige.measuring.statistics import Estimate, Floats, by_user, largest
from vestige_metrics.configs import NoSettings
from vestige_metrics.fewest import rests_on_few

TRACKS: tuple[Track, ...] = ("api", "weights")
NO_POWER = "NO POWER"
NOT_MADE = "the attack could not be made on this model: it has nothing to take hold of"


class Recovery:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`recovery:<attempt>` for each attempt, and `recovery_api`, `recovery_weights`: the worst of each track."""
        if not context.has("forget"):
            return
        made = attempts(context)
        for attempt in made:
            found = recovered(context, attempt)
            yield measured(f"recovery:{attempt}", "forget", found.ratio, "0", note=found.note)
        failed = {**context.roles["base"].attempts.failed, **context.subject.attempts.failed}
        for attack, reason in failed.items():
            if attack in made:  # told above, of the attempt of this name
                continue
            yield measured(f"recovery:{attack}", "forget", None, "0", note=f"the attack failed: {reason}")
        for track in TRACKS:
            worst, note = worst_recovery(context, track)
            yield measured(f"recovery_{track}", "forget", worst, "0", note=note)


@dataclass(frozen=True)
class Outcome:
    """One attempt.

    Attributes:
        ratio: RF, or None where the attempt has no power.
        note: Why there is none; else what hit@10 it reached, of which model, and how often it asked.
    """

    ratio: Estimate | None
    note: str


def attempts(context: Context) -> tuple[str, ...]:
    """`none`, and every attempt made on this model or on base, those of `api` first, by name."""
    names = {*context.subject.attempts.recovered, *context.roles["base"].attempts.recovered}
    return ("none", *sorted(names, key=lambda name: (_track(context, name), _natural(name))))


def recovered(context: Context, attempt: str) -> Outcome:
    """RF of one attempt."""
    return context.once(("recovered", attempt), lambda: _recovered(context, attempt))


def worst_recovery(context: Context, track: Track) -> tuple[Estimate | None, str]:
    """The largest RF among the attempts of a track that have power, and a note that names it; the `weights` track has
    all attempts, since who holds the files can ask as well.

    What nobody could try is not known to be safe. So, unless something brings everything back, nothing is said where
    no attack of the track has power (to ask plainly is none), or one that was made on base could not be made on this
    model.
    """
    if alone := failed_alone(context, track):
        return None, f"UNDEFINED: {alone}"
    tried = [name for name in attempts(context)[1:] if _track(context, name) == track]
    if not tried:
        return None, f"UNDEFINED: no attack was run on the track {track}"
    counted = [name for name in attempts(context) if track == "weights" or _track(context, name) == "api"]
    found = {name: ratio for name in counted if (ratio := recovered(context, name).ratio) is not None}
    if not any(ratio.value >= 1 for ratio in found.values()):
        if unmade := [name for name in counted if recovered(context, name).note == NOT_MADE]:
            return None, f"UNDEFINED: {', '.join(unmade)} could not be made on this model"
        if not found.keys() & set(tried):
            return None, f"UNDEFINED: no attack of the track {track} brings back more than gold has ({NO_POWER})"
    # The highest value is named, and among equals the one whose interval reaches highest.
    worst = max(found, key=lambda name: (found[name].value, found[name].interval[1]))
    return largest(found.values()), f"worst: {worst}"


def failed_alone(context: Context, track: Track) -> str:
    """Which attack of a track failed of this model and of none that it is compared with: what it would have brought
    back is not known, and a model that nobody could attack is not safe. Where those are the method's own, they say no
    more for it than it does itself, so that it counts of whichever it failed. Empty where there is none.
    """
    others = [context.roles[role] for role in ("base", "gold", "control")]
    for model in (context.subject, *(others if context.own_base else ())):
        for attack, reason in model.attempts.failed.items():
            counts = track == "weights" or _track(context, attack) == "api"
            if counts and context.own_base:
                return f"the attack {attack} failed of a model of the method's own ({reason})"
            if counts and not any(attack in other.attempts.failed for other in others):
                return f"the attack {attack} failed of this model alone ({reason})"
    return ""


def _not_made(context: Context, attempt: str) -> bool:
    """Whether an attempt was made on base, and could not be on this model: it has no module that could be trained or
    rounded, say. To ask it plainly instead would measure nothing. (What base has not, such as a router, it is asked
    plainly without.)
    """
    model, base = context.subject.attempts, context.roles["base"].attempts
    return attempt in base.recovered and attempt not in model.recovered and not model.failure(attempt)


def _track(context: Context, attempt: str) -> Track:
    for model in (context.subject, context.roles["base"]):
        if attempt in model.attempts.track:
            return model.attempts.track[attempt]
    return "api"


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `step_5` before `step_20`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split("([0-9]+)", name)]


def _recovered(context: Context, attempt: str) -> Outcome:
    roles = context.roles
    models = (context.subject, roles["base"], roles["gold"], roles["control"])
    for model in models:
        if reason := model.attempts.failure(attempt):
            which = "this model" if model is context.subject else f"{model.name}, to compare with"
            return Outcome(None, f"the attack failed of {which}: {reason}")
    hits = np.stack([_hits(context, model, attempt) for model in models])
    others = [_others(context, model, attempt) for model in models]
    # What it would have said of this model is not known; whether the attempt has power, the others tell.
    alone = bool(np.isnan(hits[0]).all()) and _means(context, "forget", hits[1:]) is not None
    if alone:
        hits[0], others[0] = 0.0, None if others[0] is None else np.zeros_like(others[0])
    of_f = _means(context, "forget", hits)
    if of_f is None:
        return Outcome(None, "no query was asked of every model")
    known = [values for values in others if values is not None]
    of_t = _means(context, "unseen_train", np.stack(known)) if len(known) == len(models) else None
    own, base, gold, control = of_f if of_t is None else [f - t for f, t in zip(of_f, of_t, strict=True)]
    baseline = largest([gold, control])
    best = 2 if gold.value >= control.value else 3
    asked = ~np.isnan(hits).any(axis=0)
    if few := rests_on_few(context.views.users("forget")[asked], hits[1][asked], hits[best][asked]):
        of_base, of_best = of_f[1].value, of_f[best].value
        return Outcome(None, f"{NO_POWER}: on F alone base {of_base:.4f} above gold {of_best:.4f} {few}")
    ratio = (own - baseline).over(base - baseline)
    on_f = of_f[1], largest(of_f[2:])
    if ratio is None or (on_f[0] - on_f[1]).interval[0] <= 0:  # the second: all that stands out is gold's luck with T
        where, (high, low) = ("", (base, baseline)) if ratio is None else ("on F alone ", on_f)
        return Outcome(None, f"{NO_POWER}: {where}base {high.value:.4f} is not surely above gold {low.value:.4f}")
    if alone or _not_made(context, attempt):
        return Outcome(None, NOT_MADE)
    made = context.subject.attempts.recovered.get(attempt)
    times = f", {made.asked} questions a target" if made is not None and made.asked > 1 else ""
    what = f"hit@{K}" if of_t is None else f"hit@{K} on F minus T"
    note = f"{what} {own.value:.4f}; base {base.value:.4f}, gold {baseline.value:.4f}{times}"
    return Outcome(ratio.clipped(0.0, 1.0), note)


def _means(context: Context, view: str, hits: Floats) -> list[Estimate] | None:
    """The mean of each model's hits [models, queries] over the queries that were asked of all; None where none was."""
    asked = np.flatnonzero(~np.isnan(hits).any(axis=0))
    if not len(asked):
        return None
    users = context.views.users(view)[asked]
    sizes = np.unique(users, return_counts=True)[1]
    return [context.bootstrap.mean(*by_user(users, values[asked]), sizes) for values in hits]


def _hits(context: Context, model: Subject, attempt: str) -> Floats:
    """float64 [forget queries]; where the attempt does not apply to a model, asking plainly is all there is."""
    made = model.attempts.recovered.get(attempt)
    return _plain(context, model, "forget") if made is None else made.hits


def _others(context: Context, model: Subject, attempt: str) -> Floats | None:
    """float64 [unseen_train queries], the same of T; None where there is nobody of T, or the attack did not ask."""
    if not context.has("unseen_train"):
        return None
    made = model.attempts.recovered.get(attempt)
    return _plain(context, model, "unseen_train") if made is None else made.unseen


def _plain(context: Context, model: Subject, view: str) -> Floats:
    scores = context.scores(model, view)
    return hit_at(scores.above, scores.equal, K)
