"""Membership inference: telling the forgotten (F) from those who were never trained on (T).

F and T were told apart by coins, so a model that has forgotten F cannot tell them apart: gold's AUC is ½ up to noise,
whatever the selector was. Where interactions are forgotten, each asked interaction is a unit of its own. The attacks
stand in `membership_attacks`, what keeps them honest in `power`.
"""

from collections.abc import Iterator
from dataclasses import replace

from vestige.measuring.contract import Context, Measurement, measured
from vestige_metrics.configs import NoSettings
from vestige_metrics.membership_attacks import (
    OneWorld,
    attack,
    attack_auc,
    attack_names,
    has_power,
    timed_names,
    why_not,
)
from vestige_metrics.power import controls
from vestige_metrics.telling import (
    FPR_PERCENT,
    QUANTILES,
    standing,
    too_few_for_power,
    true_positive_rate,
    units_for,
)

NO_POWER = "NO POWER"

STANDING = ("raw", "calibrated")


class Membership:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """For each attack `auc_<attack>` and `auc_<attack>:vs_gold`; for those whose values share one scale
        `tpr@1%_<attack>` and `tpr@5%_<attack>`; `standing_q05_raw` to `standing_q95_calibrated`, where F's units stand
        among T's; and the controls `auc_blind` and `auc_permuted_<attack>`.
        """
        for name in attack_names(context):
            yield from _told_apart(context, name)
        for name in timed_names(context):
            for found in _told_apart(context, name):
                yield replace(found, varies=True)
        for name in STANDING:
            yield from _standing(context, name)
        yield from controls(context)


def _told_apart(context: Context, name: str) -> Iterator[Measurement]:
    impossible = why_not(context, name)
    if impossible:
        yield measured(f"auc_{name}", "forget", None, "gold", note=impossible)
        return
    # What takes time in an unlearned model only, such as a router, cannot show on base: there is no power to ask for.
    note = ""
    if name not in timed_names(context) and not has_power(context, name):
        few = too_few_for_power(context)
        note = f"{NO_POWER}: {few}" if few else NO_POWER
    own, gold = (attack_auc(context, model, name) for model in (context.subject, context.roles["gold"]))
    yield measured(f"auc_{name}", "forget", own, "gold", note=note)
    yield measured(f"auc_{name}:vs_gold", "forget", own - gold, "0", note=note)
    made = attack(context, name)
    if not isinstance(made, OneWorld):
        return
    values = made.values(context, context.subject)
    for percent in FPR_PERCENT if values.fold is None else ():
        yield true_positive_rate(context, values, percent, f"tpr@{percent}%_{name}", note)


def _standing(context: Context, name: str) -> Iterator[Measurement]:
    impossible, made = why_not(context, name), attack(context, name)
    assert isinstance(made, OneWorld)
    values = None if impossible else made.values(context, context.subject)
    found = {} if values is None else standing(context, values)
    for q in QUANTILES:
        note = impossible
        if values is not None and q not in found:
            note = f"{len(values.forget)} are too few for a quantile of {q} %; {units_for(q)} are needed"
        yield measured(f"standing_q{q:02d}_{name}", "forget", found.get(q), "gold", note=note)
