"""hit@k and ndcg@k against ir-measures (which asks trec_eval), on random lists without ties."""

import ir_measures
import numpy as np
import pytest
from ir_measures import Success, nDCG
from scipy.special import log_softmax

from tests.planted import _Fixed
from vestige.data.sequences import sequences
from vestige.data.views import Queries
from vestige.measuring.ranks import hit_at, ndcg_at
from vestige.recommenders.scoring import rank_queries, score_queries

QUERIES, ITEMS = 200, 60


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_every_query_agrees(k: int) -> None:
    rng = np.random.default_rng(k)
    # Whole numbers, which stay apart in trec_eval's single precision.
    scores = np.stack([rng.permutation(ITEMS) for _ in range(QUERIES)]).astype(np.float32)
    histories = [rng.permutation(ITEMS)[: rng.integers(0, 30)].tolist() for _ in range(QUERIES)]
    targets = rng.integers(0, ITEMS, QUERIES).astype(np.int32)
    queries = Queries(sequences(histories), targets, np.arange(QUERIES, dtype=np.int32))

    run = {
        str(q): {
            str(item): float(scores[q, item])
            for item in range(ITEMS)
            if item == targets[q] or item not in set(histories[q])
        }
        for q in range(QUERIES)
    }
    relevant = {str(q): {str(targets[q]): 1} for q in range(QUERIES)}
    theirs = {
        (str(found.measure), int(found.query_id)): found.value
        for found in ir_measures.iter_calc([Success @ k, nDCG @ k], relevant, run)
    }
    hits = [theirs[f"Success@{k}", q] for q in range(QUERIES)]
    gains = [theirs[f"nDCG@{k}", q] for q in range(QUERIES)]
    assert 0 < np.mean(hits) < 1

    kept = score_queries(_Fixed(log_softmax(scores, axis=1)), queries, ITEMS)
    for above, equal in ((kept.above, kept.equal), rank_queries(_Fixed(scores), queries, ITEMS)):
        assert hit_at(above, equal, k) == pytest.approx(hits)
        assert ndcg_at(above, equal, k) == pytest.approx(gains)
