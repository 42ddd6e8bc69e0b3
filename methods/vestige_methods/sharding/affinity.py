"""How near a history is to each shard, from training data alone.

    v(h)   = w / ‖w‖,  w_i = ln((1 + n) / (1 + n_i)) + 1 for the items i of h, else 0
    c_k    = the mean of v(u) over the users u of shard k, divided by its length
    a_k(h) = softmax_k(v(h) · c_k / τ)

n_i of n users have item i: a rare item says more (the smoothed inverse document frequency of scikit-learn). RecEraser
and APA weigh their shards by the single history too: the first learns the weights on embeddings of the shards, the
second takes them from how well each adapter does on similar validation samples, which no method here is given.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import logsumexp

from vestige.data.sequences import IntArray, Sequences
from vestige.recommenders.contract import FloatArray

Floats = npt.NDArray[np.float64]


def weights_of(rows: Sequences, n_items: int) -> Floats:
    """float64 [items]: ln((1 + n) / (1 + n_i)) + 1."""
    holders = np.bincount(_sets(rows, n_items).indices, minlength=n_items)
    out: Floats = np.log((1 + len(rows)) / (1 + holders)) + 1
    return out


def vectors_of(rows: Sequences, weights: Floats) -> csr_array:
    """[rows, items] of unit length; a row without items is 0."""
    found = _sets(rows, len(weights))
    found.data = weights[found.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(found.data**2, 0.0), found.indptr[:-1]))
    sizes = np.diff(found.indptr)
    found.data = found.data / np.repeat(np.where(sizes > 0, lengths, 1.0), sizes)
    return found


def centres(vectors: csr_array, shards: IntArray, present: IntArray) -> Floats:
    """float64 [present, items]: the mean of each shard's vectors [users, items], of unit length."""
    where = np.searchsorted(present, shards)
    members = csr_array((np.ones(len(shards)), (where, np.arange(len(shards)))), shape=(len(present), len(shards)))
    sums = (members @ vectors).toarray()
    out: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return out


@dataclass(frozen=True)
class Affinity:
    """See the module's docstring.

    Attributes:
        weights: float64 [items].
        centres: float64 [shards, items].
    """

    weights: Floats
    centres: Floats

    @classmethod
    def to(cls, rows: Sequences, shards: IntArray, present: IntArray, n_items: int) -> "Affinity":
        """That to the shards `present`, learned from their users' training sequences.

        Args:
            rows: One a user.
            shards: int64 [rows], each among `present`.
            present: int64, ascending.
        """
        weights = weights_of(rows, n_items)
        return cls(weights, centres(vectors_of(rows, weights), shards, present))

    def attention(self, histories: Sequences, temperature: float) -> Floats:
        """float64 [histories, shards]: a_k, which sum to 1."""
        near = (vectors_of(histories, self.weights) @ self.centres.T) / temperature
        out: Floats = np.exp(near - logsumexp(near, axis=1, keepdims=True))
        return out


def mixture(log_probs: list[FloatArray], weights: Floats) -> FloatArray:
    """float32 [queries, items]: log Σ_k a_k p_k, of each shard's log-probabilities and weights [queries, shards]."""
    out = np.full(log_probs[0].shape, -np.inf)
    for k, one in enumerate(log_probs):
        with np.errstate(divide="ignore"):  # a shard that weighs nothing adds nothing
            np.logaddexp(out, one + np.log(weights[:, k, None]), out=out)
    return out.astype(np.float32)


def _sets(rows: Sequences, n_items: int) -> csr_array:
    """1 at every item of a row [rows, items], repeats once."""
    # Merging repeats works in place, so the matrix must not share the rows' own arrays.
    found = csr_array((np.ones(len(rows.items)), rows.items, rows.offsets), shape=(len(rows), n_items), copy=True)
    found.sum_duplicates()
    found.data[:] = 1.0
    return found
