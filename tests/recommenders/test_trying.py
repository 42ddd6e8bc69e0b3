"""What answers with something else than probabilities is told before anything is made of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vestige.data.sequences import Sequences, sequences
from vestige.data.views import Queries
from vestige.errors import ScoreError
from vestige.recommenders.contract import FloatArray, Parts
from vestige.recommenders.trying import FIRST, try_out

ITEMS = 5


def asked(count: int) -> Queries:
    users = np.arange(count, dtype=np.int32)
    histories = sequences([[user % ITEMS] for user in range(count)])
    return Queries(replace(histories, users=users), np.zeros(count, np.int32), users)


@dataclass
class Model:
    """Answers with the log-softmax of what is given, changed."""

    change: Callable[[FloatArray], FloatArray] = np.array

    def score(self, histories: Sequences) -> FloatArray:
        self.told = histories
        logits = np.random.default_rng(0).normal(size=(len(histories), ITEMS)).astype(np.float32)
        return self.change(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))

    def save(self, folder: Path) -> None:
        raise AssertionError


def test_log_probabilities_are_taken_and_the_model_is_not_told_whose_they_are() -> None:
    model = Model()
    try_out(model, [asked(3), asked(0), asked(FIRST + 9)], ITEMS)
    assert len(model.told) == FIRST
    assert not np.isin(model.told.users, np.arange(1, FIRST)).any()


@pytest.mark.parametrize("change", [lambda s: s + 0.01, lambda s: s - 1, np.exp, lambda s: s * 1000, lambda s: s * 0])
def test_scores_of_another_kind_are_refused_and_their_sum_is_said(change: Any) -> None:
    with pytest.raises(ScoreError, match=r"sum to \S+; they must be the log-softmax"):
        try_out(Model(change), [asked(0), asked(4)], ITEMS)


@pytest.mark.parametrize("change", [lambda s: s[:, :-1], lambda s: s[0], lambda s: s * np.nan, lambda s: s - np.inf])
def test_what_is_told_of_all_queries_is_left_to_those_who_ask_them(change: Any) -> None:
    """Scores without the last item sum to less than 1, which would be no help."""
    try_out(Model(change), [asked(4)], ITEMS)


@dataclass
class Router:
    threshold: Any
    told: Any

    def probability(self, histories: Sequences) -> FloatArray:
        return np.full(len(histories), self.told) if isinstance(self.told, float) else self.told


@dataclass
class Routed(Model):
    router: Router | None = None

    def parts(self) -> Parts:
        return Parts(self, self, self.router)


@pytest.mark.parametrize(
    ("threshold", "told", "fault"),
    [(0.5, 0.2, ""), (np.float32(2.0), 1.0, ""), (1, 0.0, ""), (None, 0.2, "threshold is None"),
     (float("nan"), 0.2, "threshold is nan"), ("0.5", 0.2, "threshold is '0.5'"), (0.5, np.nan, "one probability"),
     (0.5, 1.5, "one probability"), (0.5, -0.1, "one probability"), (0.5, np.zeros((4, 2)), "one probability")],
)  # fmt: skip
def test_a_router_has_a_threshold_and_gives_probabilities(threshold: Any, told: Any, fault: str) -> None:
    """Without one all that is said of routers would be missing, and nobody would be told why."""
    model = Routed(router=Router(threshold, told))
    if not fault:
        try_out(model, [asked(4)], ITEMS)
        return
    with pytest.raises(ScoreError, match=fault):
        try_out(model, [asked(4)], ITEMS)
