"""The score: one number a track, shown last and never alone.

    score = harmonic mean of U, FF, P and 1 − max RF

- U  = clip((q_u − q_pop) / (min(q_gold, q_control) − q_pop), 0, 1), q = ndcg@10 over `retain` and `unseen` together:
  how much of gold's lead over the popularity list is left? Measured from 0, a model that knows nothing would keep what
  chance gives, and where base remembers so much that knowing nothing is nearer to gold, it would have a score.
- FF: fidelity, does it say of the forgotten what gold says?
- P  = min over membership attacks with power of clip((|A_base − A_gold| − |A_u − A_gold|) / (|A_base − A_gold| −
  |A_control − A_gold|), 0, 1): does it give away no more than gold does?
- RF: recovery, what the worst attempt of the track brings back.

A harmonic mean is small where any term is small, so that nothing can be bought with something else. A term whose
denominator's lower bound is not above 0 (or that of U rests on fewer than five users), or which no attack has the power
to judge, is UNDEFINED, and so is the score. So is P where an attack with power could not be made on this model, unless
another leaves nothing.
"""

from collections.abc import Iterator

import numpy as np

from vestige.data.sequences import IntArray
from vestige.measuring.attacks import Track
from vestige.measuring.contract import Context, Measurement, Subject, measured
from vestige.measuring.ranks import ndcg_at
from vestige.measuring.statistics import Estimate, Floats, by_user, harmonic_mean, smallest
from vestige_metrics.configs import NoSettings
from vestige_metrics.fewest import rests_on_few
from vestige_metrics.fidelity import forgetting_fidelity
from vestige_metrics.membership_attacks import attack_auc, attack_names, escaped, has_power, why_not
from vestige_metrics.recovery import TRACKS, failed_alone, worst_recovery

K = 10

Term = tuple[Estimate | None, str]
"""A term, or None and why; the note of a term that exists says what it rests on."""


class Score:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`utility`, and for each track `privacy_<track>` and `score_<track>`."""
        if not context.has("forget"):
            return
        useful = utility(context)
        yield measured("utility", "", useful[0], "higher", note=useful[1])
        faithful = forgetting_fidelity(context)
        for track in TRACKS:
            private = privacy(context, track)
            yield measured(f"privacy_{track}", "", private[0], "higher", note=private[1])
            recovery, worst = worst_recovery(context, track)
            terms: dict[str, Term] = {
                "utility": useful,
                "fidelity": faithful,
                "privacy": private,
                "recovery": (None if recovery is None else recovery.scaled(-1.0).plus(1.0), worst),
            }
            missing = [
                f"{name} ({note.removeprefix('UNDEFINED: ')})" for name, (value, note) in terms.items() if value is None
            ]
            if missing:
                yield measured(f"score_{track}", "", None, "higher", note=f"UNDEFINED: {'; '.join(missing)}")
                continue
            score = harmonic_mean(value for value, _ in terms.values() if value is not None)
            yield measured(f"score_{track}", "", score, "higher", note=f"{private[1]}; {worst}")


def utility(context: Context) -> Term:
    """U."""
    own = _quality(context, context.subject)
    gold, control, popularity = (_quality(context, context.roles[r]) for r in ("gold", "control", "popularity"))
    ratio = (own - popularity).over(smallest([gold, control]) - popularity)
    if ratio is None:
        return None, "UNDEFINED: gold or control does not surely beat the popularity list"
    if few := _few(context, "gold" if gold.value <= control.value else "control"):
        return None, f"UNDEFINED: how far gold or control beats the popularity list {few}"
    values = f"gold {gold.value:.4f}, control {control.value:.4f}, popularity {popularity.value:.4f}"
    return ratio.clipped(0.0, 1.0), f"ndcg@{K} {own.value:.4f}; {values}"


def privacy(context: Context, track: Track) -> Term:
    """P: over the attacks of the track, the least of what each leaves."""
    if alone := failed_alone(context, track):
        return None, f"UNDEFINED: {alone}"
    found: dict[str, Estimate] = {}
    names = [name for name, of in attack_names(context).items() if track == "weights" or of == "api"]
    strong = [name for name in names if not why_not(context, name) and has_power(context, name)]
    unmade = [name for name in names if escaped(context, name)]
    for name in strong:
        base, gold, control = (attack_auc(context, context.roles[r], name) for r in ("base", "gold", "control"))
        own = attack_auc(context, context.subject, name)
        told = (base - gold).magnitude()
        ratio = (told - (own - gold).magnitude()).over(told - (control - gold).magnitude())
        if ratio is not None:
            found[name] = ratio.clipped(0.0, 1.0)
    if unmade and not any(left.value <= 0 for left in found.values()):
        return None, f"UNDEFINED: {', '.join(unmade)} could not be made on this model"
    if not strong:
        return None, "UNDEFINED: no membership attack has power on base"
    if not found:
        return None, f"UNDEFINED: {', '.join(strong)} does not surely tell base farther from gold than control is"
    least = min(found, key=lambda name: (found[name].value, found[name].interval[0]))
    return smallest(found.values()), f"told best by: {least}"


def _quality(context: Context, model: Subject) -> Estimate:
    """ndcg@10 over all queries of `retain` and of `unseen` (or `affected`)."""
    asked, values = _each(context, model)
    return context.bootstrap.mean(*by_user(asked, values), np.unique(asked, return_counts=True)[1])


def _few(context: Context, role: str) -> str:
    """Says so where a role stands above the popularity list for very few users; empty where not."""
    (asked, own), (_, popularity) = (_each(context, context.roles[name]) for name in (role, "popularity"))
    return rests_on_few(asked, own, popularity)


def _each(context: Context, model: Subject) -> tuple[IntArray, Floats]:
    """Whose each query is, and its ndcg@10."""
    views = [view for view in ("retain", "unseen", "affected") if context.has(view)]
    scores = [context.scores(model, view) for view in views]
    asked = np.concatenate([context.views.users(view) for view in views])
    return asked, np.concatenate([ndcg_at(s.above, s.equal, K) for s in scores])
