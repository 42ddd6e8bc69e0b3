"""Ranks are exact: the masks, the ties and the refusals."""

import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from vestige.data.sequences import Sequences, sequences
from vestige.data.views import Queries
from vestige.errors import ScoreError
from vestige.measuring.ranks import hit_at, mean_rank, ndcg_at
from vestige.recommenders import scoring
from vestige.recommenders.contract import FloatArray
from vestige.recommenders.scoring import load_scores, rank_queries, save_scores, score_queries


class Fixed:
    def __init__(self, scores: FloatArray) -> None:
        self.scores, self.at = scores, 0

    def score(self, histories: Sequences) -> FloatArray:
        self.at += len(histories)
        return self.scores[self.at - len(histories) : self.at]

    def save(self, folder: Path) -> None:
        raise AssertionError


def asked(histories: list[list[int]], targets: list[int]) -> Queries:
    return Queries(sequences(histories), np.asarray(targets, np.int32), np.arange(len(targets), dtype=np.int32))


def ask(scores: list[list[float]], histories: list[list[int]], targets: list[int]):
    z = log_softmax(np.asarray(scores, np.float32), axis=1)
    return score_queries(Fixed(z), asked(histories, targets), len(scores[0]))


def ranks_by_scoring(scores: FloatArray, queries: Queries) -> tuple[list[int], list[int]]:
    found = score_queries(Fixed(log_softmax(scores, axis=1)), queries, scores.shape[1])
    return found.above.tolist(), found.equal.tolist()


def ranks_by_ranking(scores: FloatArray, queries: Queries) -> tuple[list[int], list[int]]:
    above, equal = rank_queries(Fixed(scores), queries, scores.shape[1])
    return above.tolist(), equal.tolist()


BOTH_WAYS = pytest.mark.parametrize("ranks", [ranks_by_scoring, ranks_by_ranking])
"""Metrics rest on the one, attacks on the other."""


@st.composite
def tied(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Few levels (0 is the highest) on a small catalogue; a history, which may hold the target; a target."""
    levels = draw(st.lists(st.integers(0, 3), min_size=2, max_size=6))
    item = st.integers(0, len(levels) - 1)
    return levels, draw(st.lists(item, max_size=len(levels))), draw(item)


@BOTH_WAYS
@given(tied(), st.integers(1, 7))
@settings(max_examples=150)
def test_ties_are_the_average_over_all_orders(ranks, question: tuple[list[int], list[int], int], k: int) -> None:
    levels, history, target = question
    above, equal = ranks(-np.asarray([levels], np.float32), asked([history], [target]))
    candidates = [i for i in range(len(levels)) if i == target or i not in history]
    hits, gains, all_ranks = [], [], []
    for order in permutations(candidates):
        rank = 1 + sorted(order, key=lambda i: levels[i]).index(target)
        hits.append(rank <= k)
        gains.append(1 / np.log2(1 + rank) if rank <= k else 0.0)
        all_ranks.append(rank)
    assert hit_at(np.asarray(above), np.asarray(equal), k)[0] == pytest.approx(np.mean(hits))
    assert ndcg_at(np.asarray(above), np.asarray(equal), k)[0] == pytest.approx(np.mean(gains))
    assert mean_rank(np.asarray(above), np.asarray(equal))[0] == pytest.approx(np.mean(all_ranks))


@BOTH_WAYS
def test_history_never_counts_and_the_target_is_never_masked(ranks) -> None:
    scores = np.asarray([[0.0, -1.0, -2.0, -3.0]] * 2, np.float32)
    # In the second query the target stands in its own history.
    assert ranks(scores, asked([[0, 1], [0, 3]], [3, 3])) == ([1, 2], [0, 0])


@BOTH_WAYS
@given(tied(), st.data())
@settings(max_examples=150)
def test_the_history_may_score_whatever_it_likes(
    ranks, question: tuple[list[int], list[int], int], data: st.DataObject
) -> None:
    levels, history, target = question
    scores = -np.asarray([levels], np.float32)
    moved = scores.copy()
    for item in set(history) - {target}:
        moved[0, item] = data.draw(st.floats(-50, 50, width=32))
    queries = asked([history], [target])
    assert ranks(moved, queries) == ranks(scores, queries)
    # And the target is ranked as if it did not stand there.
    apart = asked([[item for item in history if item != target]], [target])
    assert ranks(scores, queries) == ranks(scores, apart)


@given(tied(), st.data())
@settings(max_examples=100)
def test_also_masked_is_a_longer_history(question: tuple[list[int], list[int], int], data: st.DataObject) -> None:
    levels, history, target = question
    more = data.draw(st.lists(st.integers(0, len(levels) - 1), max_size=4))
    scores = -np.asarray([levels], np.float32)
    found = rank_queries(Fixed(scores), asked([history], [target]), len(levels), sequences([more]))
    assert tuple(x.tolist() for x in found) == ranks_by_ranking(scores, asked([history + more], [target]))


@BOTH_WAYS
@given(n=st.integers(1, 30), data=st.data())
@settings(max_examples=60)
def test_constant_scores_give_the_random_ranking(ranks, n: int, data: st.DataObject) -> None:
    item = st.integers(0, n - 1)
    history, target = data.draw(st.lists(item, max_size=n)), data.draw(item)
    k = data.draw(st.integers(1, 30))
    above, equal = ranks(np.full((1, n), -1.0, np.float32), asked([history], [target]))
    taking_part = len(set(range(n)) - set(history) | {target})
    gains = (1 / np.log2(1 + np.arange(1, min(k, taking_part) + 1))).sum() / taking_part
    assert hit_at(np.asarray(above), np.asarray(equal), k)[0] == pytest.approx(min(1.0, k / taking_part))
    assert ndcg_at(np.asarray(above), np.asarray(equal), k)[0] == pytest.approx(gains)


@BOTH_WAYS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])  # in the history, elsewhere, at the target
def test_scores_that_are_not_finite_are_refused(ranks, bad: float, place: int) -> None:
    scores = np.asarray([[0.0, -1.0, -2.0], [0.0, -1.0, -2.0]], np.float32)
    scores[1, place] = bad
    with pytest.raises(ScoreError, match="not finite \\(in 1 of 2 queries\\)"):
        ranks(scores, asked([[0], [0]], [2, 2]))


@pytest.mark.parametrize("ask_about", [score_queries, rank_queries])
@pytest.mark.parametrize("shape", [(2, 3), (2, 6), (1, 5), (2,)])
def test_scores_of_the_wrong_shape_are_refused(ask_about, shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match=rf"shape {re.escape(str(shape))}, not \(2, 5\)"):
        ask_about(Fixed(np.zeros(shape, np.float32)), asked([[0], [1]], [1, 0]), 5)


@BOTH_WAYS
@given(seed=st.integers(0, 10_000), k=st.integers(1, 25))
@settings(max_examples=50)
def test_ndcg_never_exceeds_hit_and_both_grow_with_k(ranks, seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.standard_normal((20, 30)), 1).astype(np.float32)
    histories = [rng.integers(0, 30, rng.integers(0, 20)).tolist() for _ in range(20)]
    above, equal = map(np.asarray, ranks(scores, asked(histories, rng.integers(0, 30, 20).tolist())))
    for measure in (hit_at, ndcg_at):
        assert (measure(above, equal, k) <= measure(above, equal, k + 1) + 1e-12).all()
    assert (ndcg_at(above, equal, k) <= hit_at(above, equal, k) + 1e-12).all()


@BOTH_WAYS
def test_batches_are_put_together_in_order(ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((23, 12)).astype(np.float32)
    queries = asked([rng.integers(0, 12, 4).tolist() for _ in range(23)], rng.integers(0, 12, 23).tolist())
    whole = ranks(scores, queries)
    monkeypatch.setattr(scoring, "CELLS", 60)  # five queries at once
    assert ranks(scores, queries) == whole


@given(st.integers(0, 2**32 - 1), st.integers(1, 250), st.integers(1, 6))
def test_the_first_of_a_list_are_in_the_order_of_the_catalogue_where_scores_tie(seed: int, n: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, kinds + 1, (3, n)).astype(np.float64)
    scores = np.log(weights / weights.sum(axis=1, keepdims=True))
    found = ask(scores.tolist(), [[], [], []], [0, 0, 0])
    wanted = np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :100]
    assert np.array_equal(found.top_items, wanted)


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
