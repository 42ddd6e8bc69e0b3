"""Ranks are exact: the masks, the ties and the refusals."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.data.sequences import Sequences, sequences
from vestige.data.views import Queries
from vestige.errors import ScoreError
from vestige.recommenders.contract import FloatArray
from vestige.recommenders.scoring import load_scores, save_scores, score_queries
from vestige_metrics.ranking import hit_at, ndcg_at


class Fixed:
    def __init__(self, scores: FloatArray) -> None:
        self.scores, self.at = scores, 0

    def score(self, histories: Sequences) -> FloatArray:
        self.at += len(histories)
        return self.scores[self.at - len(histories) : self.at]

    def save(self, folder: Path) -> None:
        raise AssertionError


def ask(scores: list[list[float]], histories: list[list[int]], targets: list[int]):
    queries = Queries(sequences(histories), np.asarray(targets, np.int32), np.arange(len(targets), dtype=np.int32))
    return score_queries(Fixed(np.asarray(scores, np.float32)), queries, len(scores[0]))


@given(st.lists(st.integers(0, 3), min_size=3, max_size=6), st.data())
@settings(max_examples=200)
def test_ties_are_the_average_over_all_orders(levels: list[int], data: st.DataObject) -> None:
    n = len(levels)
    target = data.draw(st.integers(0, n - 1))
    history = data.draw(st.lists(st.integers(0, n - 1), max_size=n - 1, unique=True))
    k = data.draw(st.integers(1, n))
    scores = ask([[-float(level) for level in levels]], [history], [target])
    candidates = [i for i in range(n) if i == target or i not in history]
    hits, gains = [], []
    for order in permutations(candidates):
        rank = 1 + sorted(order, key=lambda i: levels[i]).index(target)
        hits.append(rank <= k)
        gains.append(1 / np.log2(1 + rank) if rank <= k else 0.0)
    assert hit_at(scores.above, scores.equal, k)[0] == pytest.approx(np.mean(hits))
    assert ndcg_at(scores.above, scores.equal, k)[0] == pytest.approx(np.mean(gains))


def test_history_never_counts_and_the_target_is_never_masked() -> None:
    scores = ask([[0.0, -1.0, -2.0, -3.0]] * 2, [[0, 1], [0, 3]], [3, 3])
    assert scores.above.tolist() == [1, 2]  # in the second query the target stands in its own history


def test_constant_scores_give_the_random_ranking() -> None:
    scores = ask([[-1.0] * 10], [[0, 1]], [5])
    assert hit_at(scores.above, scores.equal, 4)[0] == pytest.approx(4 / 8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ScoreError, match="not finite"):
        ask([[0.0, bad, -1.0]], [[0]], [2])


def test_scores_of_the_wrong_shape_are_refused() -> None:
    queries = Queries(sequences([[0], [1]]), np.asarray([1, 0], np.int32), np.asarray([0, 1], np.int32))
    with pytest.raises(ScoreError, match=r"shape \(2, 3\), not \(2, 5\)"):
        score_queries(Fixed(np.zeros((2, 3), np.float32)), queries, 5)


def test_summaries_are_of_the_unmasked_distribution(tmp_path: Path) -> None:
    p = np.asarray([0.5, 0.3, 0.15, 0.05])
    scores = ask([np.log(p).tolist()], [[0]], [1])
    assert scores.log_prob[0] == pytest.approx(np.log(0.3))
    assert scores.entropy[0] == pytest.approx(-(p * np.log(p)).sum(), rel=1e-6)
    assert scores.margin[0] == pytest.approx(np.log(0.3) - np.log(0.5), rel=1e-6)
    assert scores.top_items[0].tolist() == [0, 1, 2, 3]
    save_scores({"forget": scores}, tmp_path / "s.safetensors")
    again = load_scores(tmp_path / "s.safetensors")["forget"]
    assert again.log_prob.tolist() == scores.log_prob.tolist()


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_ndcg_never_exceeds_hit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    above, equal = rng.integers(0, 30, 50), rng.integers(0, 5, 50)
    for k in (1, 5, 10, 20):
        assert (ndcg_at(above, equal, k) <= hit_at(above, equal, k) + 1e-12).all()
