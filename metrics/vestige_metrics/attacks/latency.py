"""latency: how long an answer takes may tell who is asked about, whatever the answer is.

A model that sends the forgotten another way takes another time for them: a timing side channel (Kocher, "Timing
Attacks on Implementations of Diffie-Hellman, RSA, DSS, and Other Systems", CRYPTO 1996). Histories are asked one at a
time, one of every user of F and T, alternately and in random order, so that whatever else the machine does meets both
alike. It is each user's query with the longest history: there is most in it to recognise.
"""

import time
from collections.abc import Iterator

import numpy as np

from vestige import seeds
from vestige.data.sequences import IntArray, Sequences
from vestige.measuring.attacks import Target, Told
from vestige.recommenders.contract import Scorer
from vestige_metrics.attacks.configs import LatencyConfig


class Latency:
    """See the module's docstring."""

    def __init__(self, config: LatencyConfig) -> None:
        self.config = config

    def attack(self, target: Target) -> Iterator[Told]:
        """`latency`: the seconds that a user's query took, for all of the user's queries; nothing where both of a pair
        have the same history.
        """
        if target.split.asked_alike:
            return
        asked = [target.queries(view) for view in ("forget", "unseen_train")]
        longest = [_longest_of_each(queries.users, queries.histories.lengths) for queries in asked]
        histories = [
            queries.histories.take(np.asarray([row])).anonymous()
            for queries, (rows, _) in zip(asked, longest, strict=True)
            for row in rows
        ]
        sizes = [len(rows) for rows, _ in longest]
        order = _alternating(sizes, seeds.generator(target.seed, "latency"))
        for index in order[: self.config.warm_up]:
            target.model.score(histories[index])
        seconds = np.full(len(histories), np.inf)
        for _ in range(self.config.repeats):
            for index in order:
                seconds[index] = min(seconds[index], _seconds(target.model, histories[index]))
        forget, unseen = np.split(seconds, [sizes[0]])
        yield Told("latency", forget[longest[0][1]], unseen[longest[1][1]], varies=True)


def _longest_of_each(users: IntArray, lengths: IntArray) -> tuple[IntArray, IntArray]:
    """One row of each user, the one with the longest history, and for every row the place of its user's."""
    order = np.argsort(-lengths, kind="stable")
    _, first, places = np.unique(users[order], return_index=True, return_inverse=True)
    of_row = np.empty(len(users), dtype=np.int64)
    of_row[order] = places
    return order[first], of_row


def _alternating(sizes: list[int], rng: np.random.Generator) -> IntArray:
    """0 … sum(sizes) − 1 in a random order in which both sides alternate, as long as both last."""
    turns = np.concatenate([rng.permutation(size) for size in sizes])
    return np.lexsort((np.repeat([0, 1], sizes), turns))


def _seconds(model: Scorer, history: Sequences) -> float:
    start = time.perf_counter()
    model.score(history)
    return time.perf_counter() - start
