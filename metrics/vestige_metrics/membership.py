"""Membership inference: telling the forgotten (F) from those who were never trained on (T).

F and T were told apart by coins, so a model that has forgotten F cannot tell them apart: gold's AUC is ½ up to noise,
whatever the selector was. Four attacks, all on s_m, the mean log-probability of a user's training transitions:

- raw: s_m itself;
- calibrated: s_m minus the same of another retrained model (`recheck`), which takes out how predictable a user is
  (Watson et al., "On the Importance of Difficulty Calibration in Membership Inference Attacks", ICLR 2022);
- learned: logistic regression on margin, loss, log-rank, entropy and top-10, cross-fitted by pair, so that no user is
  judged by an attack that saw them (Shokri et al., "Membership Inference Attacks against Machine Learning Models", S&P
  2017, but with the true labels instead of shadow models: the strongest case). Users are compared within a fold only:
  comparing the outputs of attacks trained on different folds pushes the AUC of no signal below ½;
- swap: ½ [AUC of F over T in the world of base + AUC of T over F in the world of swap], in which whatever makes F
  easier than T by chance cancels.

The same labels and folds serve every model. An attack whose AUC on base has a lower bound of 0.6 or less says NO
POWER: that it does not work on an unlearned model then says nothing.
"""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vestige import seeds
from vestige.measuring.contract import Context, Measurement, Subject, measured
from vestige.measuring.statistics import Estimate, Floats
from vestige_metrics.configs import NoSettings
from vestige_metrics.memory import Sides, features, score_sides, sides

POWER = 0.6
FOLDS = 5
MIN_PAIRS = 5
"""With fewer pairs of users an order that chance often gives would have an interval without width."""

NO_POWER = "NO POWER"
FPR_PERCENT = (1, 5)


class Membership:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`auc_raw`, `auc_calibrated`, `auc_learned`, `auc_swap`, each also `:vs_gold`, and TPR at 1 and 5 % FPR."""
        attacks: dict[str, Callable[[Context, Subject], Sides]] = {
            "raw": score_sides,
            "calibrated": _calibrated,
            "learned": _learned,
        }
        for name, attack in attacks.items():
            why_not = _unusable(context, name)
            if why_not:
                yield measured(f"auc_{name}", "forget", None, "gold", note=why_not)
                continue
            own, base, gold = (
                attack(context, model) for model in (context.subject, context.roles["base"], context.roles["gold"])
            )
            power = "" if auc(context, base).interval[0] > POWER else NO_POWER
            estimate = auc(context, own)
            yield measured(f"auc_{name}", "forget", estimate, "gold", note=power)
            yield measured(f"auc_{name}:vs_gold", "forget", estimate - auc(context, gold), "0", note=power)
            for percent in FPR_PERCENT if name != "learned" else ():
                yield true_positive_rate(context, own, percent, f"tpr@{percent}%_{name}", power)
        yield from self._swap(context)

    def _swap(self, context: Context) -> Iterator[Measurement]:
        if context.swapped is None:
            note = "the board has no second world (swap = false)"
            yield measured("auc_swap", "forget", None, "gold", note=note)
            return
        too_few = _too_few(context)
        if too_few:
            yield measured("auc_swap", "forget", None, "gold", note=too_few)
            return
        roles = context.roles
        base = swap_auc(context, roles["base"], roles["swap"])
        power = "" if base.interval[0] > POWER else NO_POWER
        own = swap_auc(context, context.subject, context.swapped)
        yield measured("auc_swap", "forget", own, "gold", note=power)
        yield measured(
            "auc_swap:vs_gold", "forget", own - swap_auc(context, roles["gold"], roles["control"]), "0", note=power
        )


def auc(context: Context, values: Sides) -> Estimate:
    """How often a user of F has a higher value than a user of T."""
    comparable = None if values.fold is None else values.fold[:, None] == values.fold[None, :]
    return context.bootstrap.auc(values.forget, values.forget_values, values.unseen, values.unseen_values, comparable)


def swap_auc(context: Context, model: Subject, swapped: Subject) -> Estimate:
    """½ [AUC of F over T by `model` + AUC of T over F by `swapped`]."""
    here, there = score_sides(context, model), score_sides(context, swapped)
    other = context.bootstrap.auc(there.unseen, there.unseen_values, there.forget, there.forget_values)
    return (auc(context, here) + other).scaled(0.5)


def true_positive_rate(context: Context, values: Sides, percent: int, name: str, note: str) -> Measurement:
    """The share of F above the threshold that `percent` % of T exceed; refused where T is too small for that."""
    needed = -(-500 // percent)
    if len(values.unseen) < needed:
        why = f"{len(values.unseen)} never-trained users are too few for {percent} % FPR; {needed} are needed"
        return measured(name, "forget", None, "gold", note=why)
    rows = np.concatenate([values.forget, values.unseen])
    scores = np.concatenate([values.forget_values, values.unseen_values])
    positive = np.arange(len(rows)) < len(values.forget)
    order = np.argsort(-scores, kind="stable")
    # A threshold cannot separate equal scores, so only the last of each run of ties is one.
    ends = np.append(np.diff(scores[order]) != 0, True)
    weights = np.vstack([np.ones(len(rows)), context.bootstrap.weights[:, rows]])[:, order].astype(np.float64)
    true = np.cumsum(weights * positive[order], axis=1)
    false = np.cumsum(weights * ~positive[order], axis=1)
    allowed = (false <= percent / 100 * false[:, -1:] + 1e-9) & ends
    rates = np.where(allowed, true, 0.0).max(axis=1) / true[:, -1]
    return measured(name, "forget", Estimate(float(rates[0]), rates[1:]), "gold", note=note)


def _unusable(context: Context, attack: str) -> str:
    if not context.split.exchangeable:
        return "F was given, not drawn, so T is not exchangeable with it; only swap measures are reported"
    if attack == "calibrated" and "recheck" not in context.roles:
        return "the board trains no recheck to calibrate with (recheck = false)"
    return _too_few(context)


def _too_few(context: Context) -> str:
    pairs = len(score_sides(context, context.subject).forget)
    return "" if pairs >= MIN_PAIRS else f"{pairs} pairs of users are too few; {MIN_PAIRS} are needed"


def _calibrated(context: Context, model: Subject) -> Sides:
    """s_m minus recheck's; for recheck itself, minus control's."""
    reference = "control" if model.name == "recheck" else "recheck"
    return score_sides(context, model).minus(score_sides(context, context.roles[reference]))


def _learned(context: Context, model: Subject) -> Sides:
    """The cross-fitted attack's output for every user, trained on this model's own features."""
    found = sides(context, {view: features(context.scores(model, view)) for view in ("forget", "unseen_train")})
    pairs = len(found.forget)
    fold = seeds.generator(context.seed, "folds").permutation(pairs) % FOLDS
    outputs: list[Floats] = [np.zeros(pairs), np.zeros(pairs)]
    for held_out in range(FOLDS):
        train, test = fold != held_out, fold == held_out
        attack = make_pipeline(StandardScaler(), LogisticRegression())
        attack.fit(
            np.concatenate([found.forget_values[train], found.unseen_values[train]]),
            np.repeat([1, 0], train.sum()),
        )
        outputs[0][test] = attack.decision_function(found.forget_values[test])
        outputs[1][test] = attack.decision_function(found.unseen_values[test])
    return Sides(found.forget, found.unseen, outputs[0], outputs[1], fold)
