"""What answers with something else than probabilities is told, whichever query it is asked."""

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
from vestige.recommenders.scoring import FIRST, ask_first, score_queries

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
    assert len(score_queries(model, asked(FIRST + 9), ITEMS)) == FIRST + 9
    assert not np.isin(model.told.users, np.arange(1, FIRST)).any()
    ask_first(model, asked(FIRST + 9))
    assert len(model.told) == FIRST
    assert not np.isin(model.told.users, np.arange(1, FIRST)).any()
    ask_first(model, asked(0))
    assert len(model.told) == FIRST


@pytest.mark.parametrize("change", [lambda s: s + 0.01, lambda s: s - 1, np.exp, lambda s: s * 1000, lambda s: s * 0])
def test_scores_of_another_kind_are_refused_and_their_sum_is_said(change: Any) -> None:
    with pytest.raises(ScoreError, match=r"sum to \S+; they must be the log-softmax"):
        score_queries(Model(change), asked(4), ITEMS)


def test_the_last_query_is_looked_at_as_the_first() -> None:
    """A side memory that answers with logits answers few histories, whichever these are."""

    def last(scores: FloatArray) -> FloatArray:
        return scores + np.arange(len(scores), dtype=np.float32)[:, None] // (len(scores) - 1)

    with pytest.raises(ScoreError, match=r"sum to 2.718; they must be the log-softmax"):
        score_queries(Model(last), asked(40), ITEMS)


@pytest.mark.parametrize("change", [lambda s: s[:, :-1], lambda s: s[0], lambda s: s * np.nan, lambda s: s - np.inf])
def test_a_wrong_shape_or_what_is_not_finite_is_called_so(change: Any) -> None:
    """Scores without the last item sum to less than 1, which would be no help."""
    with pytest.raises(ScoreError, match=r"of shape|not finite"):
        score_queries(Model(change), asked(4), ITEMS)


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
        assert (score_queries(model, asked(4), ITEMS).router == np.float32(told)).all()
        return
    with pytest.raises(ScoreError, match=fault):
        score_queries(model, asked(4), ITEMS)
