"""Fidelity: is what the model says of the forgotten transitions what gold says?

    D(a, c) = mean over users f of F of |s_a(f) − s_c(f)|
    FF      = clip((D(base, gold) − D(u, gold)) / (D(base, gold) − D(control, gold)), 0, 1)

0 is base, 1 is as near to gold as another retraining with another seed comes. `shift` is the signed mean of
s_u − s_gold (below 0: more is suppressed than never having known would). `ks` is the Kolmogorov–Smirnov distance of the
user means with a p-value by flipping, within users, which value is whose. `jensen_shannon` compares the heads of both
lists: the union of both top-100, and one bin for the rest (at most ln 2).
"""

from collections.abc import Iterator

import numpy as np

from vestige import seeds
from vestige.data.sequences import IntArray
from vestige.measuring.contract import Context, Measurement, PerUser, Subject, measured
from vestige.measuring.statistics import Estimate, Floats, by_user
from vestige.recommenders.contract import FloatArray
from vestige_metrics.configs import NoSettings
from vestige_metrics.memory import mean_log_prob

FLIPS = 1000
CELLS = 4_000_000
MIN_USERS = 5


class Fidelity:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`fidelity`, `distance`, `shift`, `ks`, `ks_p`, `jensen_shannon`, all on `forget`."""
        if not context.has("forget"):
            yield measured("fidelity", "forget", None, "higher", note="there are no such queries of F")
            return
        ratio, note = forgetting_fidelity(context)
        yield measured("fidelity", "forget", ratio, "higher", note=note)
        users, gold = mean_log_prob(context, context.roles["gold"])
        own = mean_log_prob(context, context.subject)[1]
        apart = PerUser(users, np.abs(own - gold))
        yield measured("distance", "forget", distance(context, context.subject), "gold", "nats", per_user=apart)
        signed = PerUser(users, own - gold)
        yield measured("shift", "forget", context.bootstrap.mean(users, own - gold), "0", "nats", per_user=signed)
        statistic, p_value = ks_sign_flip(own, gold, seeds.derive(context.seed, "sign flips"))
        yield Measurement("ks", "forget", statistic, better="gold")
        yield Measurement("ks_p", "forget", p_value, better="none", note=f"{FLIPS} flips")
        divergence, per_user = _jensen_shannon(context)
        yield measured("jensen_shannon", "forget", divergence, "gold", "nats", per_user=per_user)


def distance(context: Context, model: Subject) -> Estimate:
    """D(model, gold), in nats."""
    users, gold = mean_log_prob(context, context.roles["gold"])
    return context.bootstrap.mean(users, np.abs(mean_log_prob(context, model)[1] - gold))


def forgetting_fidelity(context: Context) -> tuple[Estimate | None, str]:
    """FF; or None and why it is undefined."""
    users = len(np.unique(context.views.users("forget")))
    if users < MIN_USERS:
        return None, f"UNDEFINED: {users} forgotten users are too few; {MIN_USERS} are needed"
    own, base, control = (
        distance(context, m) for m in (context.subject, context.roles["base"], context.roles["control"])
    )
    ratio = (base - own).over(base - control)
    if ratio is None:
        return None, "UNDEFINED: base is not surely farther from gold than control is (lower bound ≤ 0)"
    return ratio.clipped(0.0, 1.0), ""


def ks_sign_flip(a: Floats, b: Floats, seed: int) -> tuple[float, float]:
    """The KS distance of two paired samples [n], and the share of within-pair swaps that give at least as much.

    The swap that is the data itself counts, so the p-value is never 0.
    """
    values = np.concatenate([a, b])
    order = np.argsort(values, kind="stable")
    ends = np.append(np.diff(values[order]) != 0, True)
    swaps = np.random.default_rng(seed).integers(0, 2, (FLIPS + 1, len(a))) * 2 - 1
    swaps[0] = 1
    signs = np.concatenate([swaps, -swaps], axis=1)[:, order]
    distances = np.abs(np.where(ends, np.cumsum(signs, axis=1), 0)).max(axis=1) / len(a)
    return float(distances[0]), float(np.mean(distances >= distances[0] - 1e-12))


def jensen_shannon(log_p: FloatArray, log_q: FloatArray, head: IntArray) -> Floats:
    """float64 [queries], in nats: over the items in `head` [queries, n] (repeats count once) and one bin for the rest.

    Args:
        log_p, log_q: [queries, items], log-softmax.
        head: Item positions.
    """
    head = np.sort(head, axis=1)
    once = np.concatenate([np.ones((len(head), 1), dtype=np.bool_), np.diff(head, axis=1) != 0], axis=1)
    bins = []
    for log in (log_p, log_q):
        probability = np.exp(np.take_along_axis(log, head, axis=1), dtype=np.float64) * once
        rest = np.clip(1.0 - probability.sum(axis=1, keepdims=True), 0.0, 1.0)
        bins.append(np.concatenate([probability, rest], axis=1))
    middle = (bins[0] + bins[1]) / 2
    return sum((_divergence(p, middle) for p in bins), start=np.zeros(len(log_p))) / 2


def _divergence(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    divergence: Floats = (p * np.log(ratio)).sum(axis=1)
    return divergence


def _jensen_shannon(context: Context) -> tuple[Estimate, PerUser]:
    """Needs both whole distributions, which are not kept: asks both models again, about `forget` only."""
    parent, rows = context.views.rows["forget"]
    queries = context.views.queries[parent]
    own, gold = context.subject.load(), context.roles["gold"].load()
    heads = [model.scores[parent].top_items for model in (context.subject, context.roles["gold"])]
    step = max(1, CELLS // context.data.n_items)
    values = []
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        histories = queries.histories.take(some).anonymous()
        head = np.concatenate([heads[0][some], heads[1][some]], axis=1)
        values.append(jensen_shannon(own.score(histories), gold.score(histories), head))
    users, means = by_user(queries.users[rows], np.concatenate(values))
    return context.bootstrap.mean(users, means), PerUser(users, means)
