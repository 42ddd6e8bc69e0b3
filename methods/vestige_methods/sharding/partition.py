"""Which shard a user is in: by a hash, or with similar users, as many in each shard.

A partition is made once, when the base is trained, and stays: whoever is forgotten leaves, and nobody else moves.

- `random` is a hash of user and seed, so a user's shard depends on no other user (Bourtoule et al., "Machine
  Unlearning", S&P 2021, arXiv 1912.03817, who divide at random);
- `balanced` is k-means with a capacity over the users' item sets, after the user-based partition of RecEraser (Chen et
  al., "Recommendation Unlearning", WWW 2022, arXiv 2201.06820, algorithm 1): all pairs of user and shard are taken in
  the order of their similarity, a pair counts where the user has no shard yet and the shard has room, and the
  shards' centres move until nobody does. It is made from all that the base is trained on, the forgotten included, so
  which retained users are together may say something of them; `moved` measures it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from vestige import seeds
from vestige.data.sequences import IntArray, Sequences
from vestige_methods.sharding.affinity import centres, vectors_of, weights_of
from vestige_methods.sharding.config import ShardsConfig
from vestige_methods.uniform_on_f import scattered

BACKBONE = -1
"""Stands for the shard of those whom a common backbone is trained on."""

ROUNDS = 30
"""The centres move so often at most."""


@dataclass(frozen=True)
class Partition:
    """Who is in which shard.

    Attributes:
        users: int64 [users], ascending positions in the dataset.
        shards: int64 [users], from 0 on; `BACKBONE` for the backbone's users.
    """

    users: IntArray
    shards: IntArray

    def of(self, users: IntArray) -> IntArray:
        """int64: the shard of each of `users`, who must be in the partition."""
        return self.shards[np.searchsorted(self.users, users)]

    def only(self, users: IntArray) -> "Partition":
        """The same without those who are not among `users`."""
        kept = np.isin(self.users, users)
        return Partition(self.users[kept], self.shards[kept])


def divide(sequences: Sequences, n_items: int, config: ShardsConfig, seed: int, backbone: float = 0.0) -> Partition:
    """The partition of the users of `sequences`.

    Args:
        n_items: Of the catalogue.
        backbone: The share of users who are in no shard and train the backbone, drawn by a hash.
    """
    users = np.sort(sequences.users.astype(np.int64))
    shards = np.full(len(users), BACKBONE)
    rest = np.flatnonzero(drawn(users, seed, "backbone") >= backbone)
    if config.partition == "random":
        shards[rest] = (drawn(users[rest], seed, "shard") * config.shards).astype(np.int64)
    else:
        order = np.argsort(sequences.users, kind="stable")
        rows = sequences.take(order[rest])
        vectors = vectors_of(rows, weights_of(rows, n_items))
        shards[rest] = balanced(vectors, config.shards, drawn(users[rest], seed, "centre"))
    return Partition(users, shards)


def drawn(users: IntArray, seed: int, what: str) -> npt.NDArray[np.float64]:
    """float64 [users] in [0, 1): of each user by a hash, whoever else there is."""
    salt = scattered(np.asarray([seeds.derive(seed, what)], dtype=np.uint64))
    words = scattered(scattered(users.astype(np.uint64)) ^ salt)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def balanced(vectors: csr_array, shards: int, lots: npt.NDArray[np.float64]) -> IntArray:
    """int64 [users]: shards of as equal size as can be, of users with similar vectors [users, items] of unit length.

    Args:
        lots: float64 [users]; the users with the lowest are the first centres.
    """
    users = len(lots)
    if not users:
        return np.zeros(0, dtype=np.int64)
    middle = vectors[np.argsort(lots, kind="stable")[:shards]].toarray()
    capacity = -(-users // shards)
    found = np.full(users, -1)
    for _ in range(ROUNDS):
        again = matched(vectors @ middle.T, capacity)
        if np.array_equal(again, found):
            break
        found = again
        middle = centres(vectors, found, np.arange(len(middle)))
    return found


def matched(similarity: npt.NDArray[np.floating], capacity: int) -> IntArray:
    """int64 [users]: what taking all pairs in the order of `similarity` [users, shards] gives, each up to `capacity`.

    Found without a loop over pairs, by letting all users ask for their nearest shard at once, those who are turned away
    for their next (Gale and Shapley, American Mathematical Monthly 69, 1962): both sides like each pair equally well,
    so there is one stable matching. Among equals the lower number comes first.
    """
    users = np.arange(len(similarity))
    wishes = np.argsort(-similarity, axis=1, kind="stable")
    turn = np.zeros(len(users), dtype=np.int64)
    while True:
        wished = wishes[users, turn]
        order = np.lexsort((users, -similarity[users, wished], wished))
        queue = wished[order]
        place = np.arange(len(users)) - np.searchsorted(queue, queue)
        refused = order[place >= capacity]
        if not len(refused):
            return wished
        turn[refused] += 1


def moved(one: Partition, other: Partition) -> float:
    """The share of the users in both partitions whose shard is another one, shards matched as well as can be."""
    users = np.intersect1d(one.users, other.users)
    if not len(users):
        return 0.0
    a, b = one.of(users), other.of(users)
    size = int(max(a.max(), b.max())) + 2
    together = np.zeros((size, size))
    np.add.at(together, (a + 1, b + 1), 1)
    rows, columns = linear_sum_assignment(-together)
    return float(1 - together[rows, columns].sum() / len(users))
