"""The membership attacks that exist for a cell, each asked for by name.

An attack gives every unit of F and T (see `memory`) a value, higher where it believes in F, or features from which one
is learned; its AUC is what it is judged by. Attacks on scores:

- raw: s_m itself, the mean log-probability of the unit's training transitions;
- calibrated: s_m minus the same of another retrained model (`recheck`), which takes out how predictable a unit is
  (Watson et al., "On the Importance of Difficulty Calibration in Membership Inference Attacks", ICLR 2022);
- learned: margin, loss, log-rank, entropy and top-10, see `crossfit`;
- blackbox: ranks and lists only, see `blackbox`;
- shadow: against models that were not trained on the unit, see `shadow`;
- swap: ½ [AUC of F over T in the world of base + AUC of T over F in the world of swap], in which whatever makes F
  easier than T by chance cancels.

Besides, whatever the attack plugins told (`Told`), under the name they gave it. The same labels and folds serve every
model. An attack whose AUC on base has a lower bound of 0.6 or less has NO POWER: that it does not work on an unlearned
model then says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from vestige.measuring.attacks import Track
from vestige.measuring.contract import Context, Subject
from vestige.measuring.statistics import Estimate
from vestige_metrics.blackbox import blackbox_sides
from vestige_metrics.crossfit import judged
from vestige_metrics.memory import ASKED, Sides, features, score_sides, sides
from vestige_metrics.shadow import no_shadows, shadow_sides
from vestige_metrics.telling import auc, incomparable, too_few, too_few_for_power

POWER = 0.6


class MembershipAttack(Protocol):
    """What all attacks have in common."""

    @property
    def track(self) -> Track:
        """What the attacker must hold."""
        ...

    def why_not(self, context: Context) -> str:
        """Why it cannot be used on this cell; empty where it can."""
        ...

    def auc(self, context: Context, subject: Subject) -> Estimate:
        """How well it tells F from T by this model."""
        ...


@dataclass(frozen=True)
class OneWorld:
    """An attack on one model.

    Attributes:
        name: Of the attack.
        evidence: Values [pairs] or features [pairs, features] of a model.
        lacks: What the cell lacks for it, as a sentence; empty where nothing.
        track: What the attacker must hold.
        strength: scikit-learn's C, where features are learned from.
    """

    name: str
    evidence: Callable[[Context, Subject], Sides]
    lacks: Callable[[Context], str] = lambda _: ""
    track: Track = "api"
    strength: float = 1.0

    def why_not(self, context: Context) -> str:
        """Why it cannot be used on this cell; empty where it can."""
        return incomparable(context) or self.lacks(context)

    def values(self, context: Context, subject: Subject) -> Sides:
        """One value a unit, computed once for each model of a cell."""
        return context.once(
            ("membership values", self.name, subject.name),
            lambda: judged(self.evidence(context, subject), context.seed, self.strength),
        )

    def auc(self, context: Context, subject: Subject) -> Estimate:
        """How well it tells F from T by this model."""
        return auc(context, self.values(context, subject))


@dataclass(frozen=True)
class Swap:
    """The attack on a pair of models, one a world; F and T need not be exchangeable for it."""

    track: Track = "api"

    def why_not(self, context: Context) -> str:
        """Why it cannot be used on this cell; empty where it can."""
        if context.swapped is None or "swap" not in context.roles:
            return "the board has no second world (swap = false)"
        return too_few(context)

    def auc(self, context: Context, subject: Subject) -> Estimate:
        """½ [AUC of F over T by the model + AUC of T over F by its counterpart in the other world]."""
        here, there = score_sides(context, subject), score_sides(context, _counterpart(context, subject))
        other = Sides(there.unseen, there.forget, there.unseen_values, there.forget_values)
        return (auc(context, here, paired=False) + auc(context, other, paired=False)).scaled(0.5)


def attack_names(context: Context) -> dict[str, Track]:
    """All membership attacks that exist for this cell, with the track of each, whether they can be used or not.

    Those that measure time are not among them, since what they say differs from run to run; see `timed_names`.
    """
    told = _told_tracks(context, varies=False)
    return {name: attack.track for name, attack in BUILT_IN.items()} | told


def timed_names(context: Context) -> dict[str, Track]:
    """The attacks that measure time, with the track of each; they can be asked for as all others."""
    return _told_tracks(context, varies=True)


def attack(context: Context, name: str) -> MembershipAttack:
    """An attack by its name, one of `attack_names` or `timed_names`.

    Raises:
        KeyError: There is none of that name.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    track = (attack_names(context) | timed_names(context))[name]
    # Features may outnumber users, so the penalty is stronger.
    return OneWorld(name, partial(_told, name), partial(_nothing_told, name), track, strength=0.1)


def attack_auc(context: Context, subject: Subject, name: str) -> Estimate:
    """The AUC of an attack on a model (the subject of the cell or one of its roles), computed once in a cell.

    Only where `why_not` is empty.
    """
    return context.once(("auc", name, subject.name), lambda: attack(context, name).auc(context, subject))


def why_not(context: Context, name: str) -> str:
    """Why an attack cannot be used on this cell (on the subject and on base, gold and control, its yardstick);
    empty where it can.
    """
    return context.once(("why not", name), lambda: attack(context, name).why_not(context))


def has_power(context: Context, name: str) -> bool:
    """Whether the lower bound of the attack's AUC on base is above `POWER`.

    False where it cannot be used, or where there are too few users to tell.
    """
    if why_not(context, name) or too_few_for_power(context):
        return False
    return attack_auc(context, context.roles["base"], name).interval[0] > POWER


def escaped(context: Context, name: str) -> bool:
    """Whether an attack has power on base, and could not be made on this model: what has no states to be read is not
    thereby known to give nothing away.
    """
    if name in BUILT_IN or incomparable(context) or too_few_for_power(context):
        return False
    yardstick = [context.roles[role] for role in ("base", "gold", "control")]
    if name in context.subject.attempts.told or any(name not in model.attempts.told for model in yardstick):
        return False
    return attack_auc(context, context.roles["base"], name).interval[0] > POWER


def _calibrated(context: Context, model: Subject) -> Sides:
    """s_m minus recheck's; for recheck itself, minus control's."""
    reference = "control" if model.name == "recheck" else "recheck"
    return score_sides(context, model).minus(score_sides(context, context.roles[reference]))


def _no_recheck(context: Context) -> str:
    return "" if "recheck" in context.roles else "the board trains no recheck to calibrate with (recheck = false)"


def _learned(context: Context, model: Subject) -> Sides:
    return sides(context, {view: features(context.scores(model, view)) for view in ASKED})


def _counterpart(context: Context, subject: Subject) -> Subject:
    """The same in the other world; that of a retraining is another retraining, so that the two are independent."""
    if subject.name == context.subject.name and context.swapped is not None:
        return context.swapped
    roles = context.roles
    other = {
        "base": "swap",
        "gold": "control",
        "control": "recheck" if "recheck" in roles else "gold",
        "recheck": "gold",
    }
    return roles[other[subject.name]]


def _told(name: str, context: Context, model: Subject) -> Sides:
    told = model.attempts.told[name]
    return sides(context, {"forget": told.forget, "unseen_train": told.unseen})


def _nothing_told(name: str, context: Context) -> str:
    yardstick = [context.roles[role] for role in ("base", "gold", "control")]
    for model in (context.subject, *yardstick):
        if name not in model.attempts.told:
            which = "this model" if model is context.subject else f"{model.name}, to compare with"
            failed = model.attempts.failure(name)
            return f"the attack brought nothing back of {which}" + (f" ({failed})" if failed else "")
    return ""


def _told_tracks(context: Context, varies: bool) -> dict[str, Track]:
    return {
        name: model.attempts.track[name]
        for model in (context.roles["base"], context.subject)
        for name, told in model.attempts.told.items()
        if told.varies == varies and name not in BUILT_IN
    }


BUILT_IN: dict[str, OneWorld | Swap] = {
    "raw": OneWorld("raw", score_sides),
    "calibrated": OneWorld("calibrated", _calibrated, _no_recheck),
    "learned": OneWorld("learned", _learned),
    "blackbox": OneWorld("blackbox", blackbox_sides),
    "shadow": OneWorld("shadow", shadow_sides, no_shadows),
    "swap": Swap(),
}
