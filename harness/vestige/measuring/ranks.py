"""hit@k and ndcg@k of ranks with ties: exact, the expectation over random tie-breaking.

With g items scored above the target and e others equal to it, the target's rank is uniform on g + 1 … g + e + 1 when
ties are broken at random. Both measures are the expectation over that:

    hit@k  = clip((k − g) / (e + 1), 0, 1)
    ndcg@k = 1/(e + 1) · Σ over ranks r = g + 1 … g + e + 1 with r ≤ k of 1/log2(1 + r)

Since 1/log2(1 + r) ≤ 1, ndcg@k ≤ hit@k query by query.
"""

import numpy as np

from vestige.data.sequences import IntArray
from vestige.measuring.statistics import Floats


def hit_at(above: IntArray, equal: IntArray, k: int) -> Floats:
    """float64 [queries]; see the module's docstring."""
    return np.clip((k - above) / (equal + 1.0), 0.0, 1.0)


def ndcg_at(above: IntArray, equal: IntArray, k: int) -> Floats:
    """float64 [queries]; see the module's docstring."""
    gains = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(1.0 + np.arange(1, k + 1)))])
    first = np.minimum(above, k)
    last = np.minimum(above.astype(np.int64) + equal + 1, k)
    expected: Floats = (gains[last] - gains[first]) / (equal + 1.0)
    return expected


def mean_rank(above: IntArray, equal: IntArray) -> Floats:
    """float64 [queries]: the expected rank, 1 for the first."""
    return 1.0 + above + equal / 2.0
