"""Simulated calibration: how often do our intervals hold the truth, and our comparisons see a difference?

A simulated board has the sizes of `ml-100k`: 943 users, of whom 743 are retained, 100 forgotten and 100 never trained
on (paired by length), 10 transitions of each asked, three seeds, pooled as `vestige.results.pooling` does: the mean of
values and the mean of replicates. Whom a seed forgets is drawn either once for the board or, as a board does it, anew
for each seed; a user keeps taste and predictability over seeds and models either way.

**The estimand** is the expected value of the pooled measurement for users drawn from the population that the board's
users came from, given the models that the board trained: (1/3) Σ over seeds of E_user[value of the seed's model]. What
differs between trainings for all users at once (a seed that came out better) is part of the estimand and not of the
interval; the last line shows by how much an interval misses the expectation over trainings too, which is not claimed.

How alike users and models are was read off the accepted results of `ml-100k`: two independent retrainings agree on the
hits of single users with a correlation of about ½, a fine-tuned base with its base with 0.9; users' hit@10 on `forget`
has a standard deviation of 0.17; popularity of taste correlates by 0.25 within a pair of F and T.

F and T have the same mix of lengths by construction, so an AUC in one world draws pairs. Drawing every user alone, the
interval of the raw AUC would be too wide (of gold: 97.5 % over 6,000 boards of one seed); drawing pairs for the swap
AUC too would make its own too narrow (92 %), since a user of T is in F in the other world.

All boards share one matrix of weights, as all boards of one dataset do. Their users stand at random places in it, so
each board sees another projection of the weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from vestige import seeds
from vestige.measuring.statistics import CONFIDENCE, Bootstrap, Estimate
from vestige.results.gate import Comparison, Shift, Verdict, decide, floor_of, shifts

Array = npt.NDArray[Any]

USERS, PAIRS, TRANSITIONS, SEEDS = 943, 100, 10, 3

ALIKE = 0.76
"""Latent correlation of two retrainings' answers to a query: a correlation of about 0.5 between their hits."""

USER = 0.13
"""The part of it that is the user's and not the transition's: gives the spread of users' hit@10 on `forget`."""

SAME_BASE = 0.96
"""Share of the rest that two models of a seed have in common where one was made from the other."""

SPREAD, MEMORY, MEMORY_SPREAD, NOISE = 1.15, 0.6, 0.5, 0.18
"""Of s_m, in nats: between users; what training on a user adds, and its spread; between two trainings."""

PAIR = 0.25
"""Correlation of s_m within a pair of F and T, who have histories of nearly the same length."""

SEED_EFFECT = 0.04
"""Between trainings, for all users at once, on the latent scale: about 0.01 of hit@10."""


@dataclass(frozen=True)
class Asked:
    """Who is asked at one seed: int [users, boards] each; row i of `forget` and `unseen` is a pair."""

    retained: Array
    forget: Array
    unseen: Array


@dataclass(frozen=True)
class Rate:
    """How often something happened over all boards, in per cent."""

    what: str
    percent: float


def calibration(boards: int, seed: int = 0) -> Iterator[Rate]:
    """Coverage of nominal 95 % intervals, by measurement and by how the users of the seeds were drawn."""
    bootstrap = Bootstrap(USERS)
    for anew in (True, False):
        rng = seeds.generator(seed, "calibration", str(anew))
        length = rng.standard_normal((USERS, boards))
        asked = _draw(rng, length, anew)
        users = "F drawn anew each seed, as boards do" if anew else "the same F in all seeds"
        for name, rows, rate, transitions in (
            ("hit@10 on retain", [a.retained for a in asked], 0.15, 1),
            ("hit@10 on forget", [a.forget for a in asked], 0.24, TRANSITIONS),
        ):
            one, other = _hits(rng, rows, (rate, rate + 0.02), transitions)
            first, second = (pooled(bootstrap, rows, values) for values in (one, other))
            yield Rate(f"mean, {name}, {users}", _covered(first[1], rate))
            yield Rate(f"difference, {name}, {users}", _covered(second[1] - first[1], 0.02))
        for name, replicates, truth in _aucs(rng, bootstrap, asked, length):
            yield Rate(f"{name}, {users}", _covered(replicates, truth))


def comparisons(boards: int, seed: int = 0) -> Iterator[Rate]:
    """How often the interval of the difference of two rows' hit@10 on `retain` excludes 0, by the true difference."""
    bootstrap = Bootstrap(USERS)
    for name, shared in (("trained apart", 0.0), ("one made from the other", SAME_BASE)):
        for difference in (0.0, 0.02, 0.05):
            rng = seeds.generator(seed, "comparison", name, str(difference))
            rows = [a.retained for a in _draw(rng, rng.standard_normal((USERS, boards)), anew=True)]
            one, other = _hits(rng, rows, (0.15, 0.15 + difference), shared=shared)
            replicates = pooled(bootstrap, rows, other)[1] - pooled(bootstrap, rows, one)[1]
            yield Rate(f"rows {name}, true difference {difference:g}", 100 - _covered(replicates, 0.0))


JUDGED = 11
"""So many measurements of one method are judged together."""


def gate(boards: int, seed: int = 0) -> Iterator[Rate]:
    """How often `vestige check` fails a method that was trained anew, by its true loss of hit@10 on `retain`.

    Every board judges `JUDGED` measurements together, all but the first unchanged. `gold too` compares differences to
    gold, where gold was trained anew as well; `uneven` lets whole trainings differ by `SEED_EFFECT`.
    """
    for gold_too in (False, True):
        for uneven in (0.0, SEED_EFFECT):
            how = f"{'gold too' if gold_too else 'gold kept'}{', uneven' if uneven else ''}"
            rng = seeds.generator(seed, "gate", how)
            unchanged = _judged(rng, boards, 0.0, gold_too, uneven)
            lossy = _judged(rng, boards, 0.05, gold_too, uneven)
            for loss, first in ((0.0, unchanged), (0.05, lossy)):
                alone = [decide([c]) for c in first]
                together = [
                    decide([c, *(unchanged[(board + other) % boards] for other in range(1, JUDGED))])
                    for board, c in enumerate(first)
                ]
                for what, findings in (("alone", alone), (f"among {JUDGED}", together)):
                    failed = np.mean([found[0].verdict is Verdict.FAIL for found in findings])
                    yield Rate(f"loss {loss:g}, {how}, {what}", float(100 * failed))
                if not loss:
                    failed = np.mean([any(f.verdict is Verdict.FAIL for f in found) for found in together])
                    yield Rate(f"loss 0, {how}, any of {JUDGED}", float(100 * failed))


def _judged(rng: np.random.Generator, boards: int, loss: float, gold_too: bool, uneven: float) -> list[Comparison]:
    """hit@10 on `retain`, fresh against accepted, of so many boards."""
    rows = [a.retained for a in _draw(rng, rng.standard_normal((USERS, boards)), anew=True)]
    rates = (0.15, 0.15 - loss, 0.15, 0.15, 0.15, 0.15)
    models = _hits(rng, rows, rates, better=uneven)
    values = [[one - gold for one, gold in zip(of, models[2 + side], strict=True)] if gold_too else of
              for side, of in enumerate(models[:2])]  # fmt: skip
    floors = [floor_of(retrained) for retrained in zip(*(_shifts(rows, of) for of in models[3:]), strict=True)]
    accepted, fresh = (
        [
            replace(shift, floor=floor.times(2 if gold_too else 1))
            for shift, floor in zip(_shifts(rows, of), floors, strict=True)
        ]
        for of in values
    )
    return [
        Comparison("method", "hit@10/retain", "higher", 0.01, f.mean, a.mean, shifts("higher", f, a))
        for f, a in zip(fresh, accepted, strict=True)
    ]


def _shifts(rows: Sequence[Array], values: Sequence[Array]) -> list[Shift]:
    """Each board's number, as `vestige.results.sides` reads it from the values of users."""
    out = []
    asked = len(rows[0])
    for board in range(rows[0].shape[1]):
        errors = np.zeros((len(rows), USERS))
        for seed, (who, of) in enumerate(zip(rows, values, strict=True)):
            mine = of[:, board]
            errors[seed, who[:, board]] = (mine - mine.mean()) / np.sqrt(asked * (asked - 1))
        out.append(Shift(np.asarray([of[:, board].mean() for of in values]), errors, asked))
    return out


def beyond(boards: int, seed: int = 0) -> Rate:
    """How often the interval of a mean holds the expectation over trainings too, where some seeds come out better."""
    rng = seeds.generator(seed, "beyond")
    rows = [a.retained for a in _draw(rng, rng.standard_normal((USERS, boards)), anew=True)]
    (values,) = _hits(rng, rows, (0.15,), better=SEED_EFFECT)
    return Rate("mean over trainings too", _covered(pooled(Bootstrap(USERS), rows, values)[1], 0.15))


def pooled(bootstrap: Bootstrap, rows: Sequence[Array], values: Sequence[Array]) -> tuple[Array, Array]:
    """The pooled mean [boards] and its replicates [REPLICATES, boards]: `Bootstrap.mean` of each seed, and their mean.

    Args:
        rows, values: For each seed [users, boards]: who was asked, and the value of each.
    """
    weights = bootstrap.weights.astype(np.float64)
    found = []
    for who, value in zip(rows, values, strict=True):
        sums, counts = (np.zeros((USERS, who.shape[1])) for _ in range(2))
        np.put_along_axis(sums, who, value, axis=0)
        np.put_along_axis(counts, who, 1.0, axis=0)
        found.append((weights @ sums) / (weights @ counts))
    return np.mean([value.mean(axis=0) for value in values], axis=0), np.mean(found, axis=0)


def _draw(rng: np.random.Generator, length: Array, anew: bool) -> list[Asked]:
    """Pairs of users of nearly the same length, a coin for each pair; everybody else is retained."""
    boards = length.shape[1]

    def one() -> Asked:
        order = np.argsort(rng.random(length.shape), axis=0)
        pool = order[: 2 * PAIRS]
        by_length = np.argsort(np.take_along_axis(length, pool, axis=0), axis=0)
        pairs = np.take_along_axis(pool, by_length, axis=0).reshape(PAIRS, 2, boards)
        coin = rng.integers(0, 2, (PAIRS, 1, boards))
        forget, unseen = (np.take_along_axis(pairs, side, axis=1)[:, 0] for side in (coin, 1 - coin))
        return Asked(order[2 * PAIRS :], forget, unseen)

    return [one() for _ in range(SEEDS)] if anew else [one()] * SEEDS


def _hits(
    rng: np.random.Generator,
    rows: Sequence[Array],
    rates: Sequence[float],
    transitions: int = 1,
    shared: float = 0.0,
    better: float = 0.0,
) -> list[list[Array]]:
    """For each model (of a true hit@10 in `rates`), for each seed, [users, boards]: each user's mean of 0/1 hits.

    A hit is a normal variable above a threshold. It is the sum of what is the user's, the transition's, the seed's
    (`shared` by its models) and the model's own; `better` is the spread between whole trainings.
    """
    boards = rows[0].shape[1]
    user = rng.standard_normal((USERS, boards), dtype=np.float32)
    transition = rng.standard_normal((transitions, USERS, boards), dtype=np.float32)
    known = np.sqrt(USER) * user + np.sqrt(ALIKE - USER) * transition
    out: list[list[Array]] = [[] for _ in rates]
    for who in rows:
        shape = (transitions, *who.shape)
        asked = np.take_along_axis(known, who[None], axis=1)
        of_seed = rng.standard_normal(shape, dtype=np.float32)
        for values, rate in zip(out, rates, strict=True):
            own = rng.standard_normal(shape, dtype=np.float32)
            rest = np.sqrt(shared) * of_seed + np.sqrt(1 - shared) * own
            # The threshold allows for the spread between trainings, so that `rate` stays the expectation over them.
            level = norm.ppf(rate) * np.sqrt(1 + better**2) + better * rng.standard_normal(boards)
            values.append((asked + np.sqrt(1 - ALIKE) * rest > -level).mean(axis=0))
    return out


def _aucs(
    rng: np.random.Generator, bootstrap: Bootstrap, asked: Sequence[Asked], length: Array
) -> Iterator[tuple[str, Array, float]]:
    """Name, pooled replicates [REPLICATES, boards] and truth of AUCs of F over T by s_m."""
    boards = length.shape[1]
    base = SPREAD * (np.sqrt(PAIR) * length + np.sqrt(1 - PAIR) * rng.standard_normal(length.shape))
    memory = MEMORY + MEMORY_SPREAD * rng.standard_normal(length.shape)

    def noisy(values: Array) -> Array:
        return values + NOISE * rng.standard_normal(length.shape)

    sums: dict[str, Array] = {}
    for who in asked:
        trained, swapped = np.zeros(length.shape), np.zeros(length.shape)
        np.put_along_axis(trained, who.forget, 1.0, axis=0)
        np.put_along_axis(swapped, who.unseen, 1.0, axis=0)
        here, there, gold, recheck = (noisy(base + memory * m) for m in (trained, swapped, 0.0, 0.0))
        calibrated = here - recheck
        for board in range(boards):
            f, t = who.forget[:, board], who.unseen[:, board]

            def auc(scores: Array, f: Array = f, t: Array = t, board: int = board, paired: bool = True) -> Estimate:
                return bootstrap.auc(f, scores[f, board], t, scores[t, board], paired=paired)

            raw, of_gold = auc(here), auc(gold)
            found = {
                "AUC, raw, base": raw,
                "AUC, raw, gold": of_gold,
                "AUC, base minus gold": raw - of_gold,
                "AUC, calibrated, base": auc(calibrated),
                "AUC, swap, base": (auc(here, paired=False) + auc(there, t, f, paired=False)).scaled(0.5),
            }
            for name, estimate in found.items():
                sums.setdefault(name, np.zeros((len(estimate.replicates), boards)))[:, board] += estimate.replicates
    spread = 2 * SPREAD**2 + MEMORY_SPREAD**2 + 2 * NOISE**2
    in_base = float(norm.cdf(MEMORY / np.sqrt(spread)))
    without_taste = float(norm.cdf(MEMORY / np.sqrt(MEMORY_SPREAD**2 + 4 * NOISE**2)))
    truths = dict(zip(sums, (in_base, 0.5, in_base - 0.5, without_taste, in_base), strict=True))
    for name, total in sums.items():
        yield name, total / len(asked), truths[name]


def _covered(replicates: Array, truth: float) -> float:
    """The per cent of boards whose central interval of replicates [REPLICATES, boards] holds the truth."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return float(100 * np.mean((low <= truth) & (truth <= high)))


def main(boards: int = 1000) -> None:
    """Prints all rates."""
    for rate in calibration(boards):
        verdict = "; too narrow" if rate.percent < 93 else "; too wide" if rate.percent > 97 else ""
        print(f"simulation coverage of 95 %: {rate.percent:.1f} %  {rate.what}{verdict}")
    for rate in comparisons(boards):
        print(f"simulation a difference is seen: {rate.percent:.1f} %  {rate.what}")
    for rate in gate(boards):
        print(f"simulation the gate fails a method: {rate.percent:.1f} %  {rate.what}")
    rate = beyond(boards)
    print(f"simulation not claimed, coverage of 95 %: {rate.percent:.1f} %  {rate.what}")
