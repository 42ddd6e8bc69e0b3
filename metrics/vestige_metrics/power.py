"""Controls of the membership attacks: what they say where there is nothing to tell.

- blind: no model at all. A learned attack is given each unit's history length, how popular the user's items are and
  how popular the asked targets are (counted without F and T). Above ½, F and T differ without any model, so what a
  model "remembers" of F may be no memory.
- permuted: the attack as it is, on this model, but a coin a pair says which of the two counts as F. Unequal to ½, the
  attack finds what is not there. The coins are independent: were exactly half of the pairs exchanged, what a learned
  attack is trained on would foretell the opposite of what it is asked.
"""

from collections.abc import Iterator

import numpy as np

from vestige import seeds
from vestige.data.request import Part, popularity_of_taste, training_counts
from vestige.measuring.contract import Context, Measurement, measured
from vestige.measuring.statistics import Floats
from vestige_metrics.crossfit import cross_fitted, judged
from vestige_metrics.membership_attacks import BUILT_IN, OneWorld, why_not
from vestige_metrics.memory import ASKED, Sides, sides
from vestige_metrics.telling import auc, incomparable

PERMUTED = ("raw", "calibrated", "learned")


def controls(context: Context) -> Iterator[Measurement]:
    """`auc_blind` and `auc_permuted_<attack>`; ½ is right."""
    note = incomparable(context)
    blind = None if note else auc(context, cross_fitted(blind_sides(context), context.seed, 1.0))
    yield measured("auc_blind", "forget", blind, "0.5", note=note)
    for name in PERMUTED:
        attack, note = BUILT_IN[name], why_not(context, name)
        assert isinstance(attack, OneWorld)
        found = None
        if not note:
            evidence = permuted(attack.evidence(context, context.subject), context.seed)
            found = auc(context, judged(evidence, context.seed, attack.strength))
        yield measured(f"auc_permuted_{name}", "forget", found, "0.5", note=note)


def blind_sides(context: Context) -> Sides:
    """[pairs, 3]: log history length, mean log popularity of the user's items, and of the unit's asked targets."""
    part = context.split.part
    length = np.log1p(training_counts(context.data, part))
    taste = popularity_of_taste(context.data, part)
    retained = np.bincount(context.data.item[part == Part.RETAINED], minlength=context.data.n_items)

    def known(view: str) -> Floats:
        parent, rows = context.views.rows[view]
        queries = context.views.queries[parent]
        users, targets = queries.users[rows], queries.targets[rows]
        return np.stack([length[users], taste[users], np.log1p(retained[targets])], axis=1)

    return sides(context, {view: known(view) for view in ASKED})


def permuted(evidence: Sides, seed: int) -> Sides:
    """The same pairs, in each of which a coin says which one counts as F."""
    swapped = seeds.generator(seed, "permuted labels").integers(0, 2, len(evidence.forget)) == 1
    rows = swapped if evidence.forget_values.ndim == 1 else swapped[:, None]
    return Sides(
        np.where(swapped, evidence.unseen, evidence.forget),
        np.where(swapped, evidence.forget, evidence.unseen),
        np.where(rows, evidence.unseen_values, evidence.forget_values),
        np.where(rows, evidence.forget_values, evidence.unseen_values),
    )
