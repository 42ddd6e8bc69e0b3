"""Collaborative indexing: items that people have together get names that begin alike.

Recursive spectral clustering of the items' co-occurrence graph, after Hua et al., SIGIR-AP 2023 (arXiv 2305.06569),
section 4.3.
"""

from typing import Any

import numpy as np

from vestige.data.sequences import IntArray, Sequences

CLUSTERS, LARGEST = 20, 500
"""A set of items is split into at most so many clusters; a cluster with more items than this is split again."""

THREAD = 1e-3
"""Weight of an edge from every item to the most connected one, which keeps the graph in one piece."""

Path = tuple[int, ...]


def cluster_paths(sequences: Sequences, items: int, seed: int) -> list[Path]:
    """The path of every item: its cluster, its part of that one where it was split again, …, and its place there.

    Two items are the closer, the more rows hold both. Items that occur in no row stand in clusters of their own, in
    catalogue order.
    """
    known = np.unique(sequences.items).astype(np.int64)
    together = _together(sequences, items)[known][:, known]
    groups = [known[group] for group in _split(together, seed)] if len(known) else []
    unknown = np.setdiff1d(np.arange(items), known)
    paths: list[Path] = [()] * items
    for number, group in enumerate(groups):
        inside = np.searchsorted(known, group)
        for item, path in zip(group.tolist(), _places(together[inside][:, inside], seed), strict=True):
            paths[item] = (number, *path)
    for rank, item in enumerate(unknown.tolist()):
        paths[item] = (len(groups) + rank // LARGEST, rank % LARGEST)
    return paths


def _together(sequences: Sequences, items: int) -> Any:
    """Sparse [items, items]: how many rows hold both; nothing on the diagonal."""
    from scipy.sparse import csr_array

    row = np.repeat(np.arange(len(sequences)), sequences.lengths)
    has = csr_array((np.ones(len(row)), (row, sequences.items)), shape=(len(sequences), items))
    has.data[:] = 1.0  # an item counts once a row
    together = (has.T @ has).tolil()
    together.setdiag(0.0)
    return together.tocsr()


def _places(together: Any, seed: int) -> list[Path]:
    """The paths [items] inside one cluster."""
    count = together.shape[0]
    if count <= LARGEST:
        return [(place,) for place in range(count)]
    paths: list[Path] = [()] * count
    for number, group in enumerate(_split(together, seed)):
        for item, path in zip(group.tolist(), _places(together[group][:, group], seed), strict=True):
            paths[item] = (number, *path)
    return paths


def _split(together: Any, seed: int) -> list[IntArray]:
    """Spectral clustering: the members of every cluster, in order; never the whole set where it holds two items."""
    count = together.shape[0]
    wanted = min(CLUSTERS, round(count**0.5))
    if wanted < 2:
        return [np.arange(count)]
    from scipy.sparse import csr_array
    from sklearn.cluster import SpectralClustering

    hub = int(np.asarray(together.sum(axis=1)).argmax())
    others = np.delete(np.arange(count), hub)
    thread = csr_array((np.full(count - 1, THREAD), (others, np.full(count - 1, hub))), shape=(count, count))
    model = SpectralClustering(wanted, affinity="precomputed", assign_labels="cluster_qr", random_state=seed)
    graph = csr_array(together + thread + thread.T)
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)  # scikit-learn asks so
    label = model.fit_predict(graph)
    groups: list[IntArray] = [np.flatnonzero(label == one) for one in np.unique(label)]
    # Where the graph has no structure, equal parts serve as well.
    return groups if len(groups) > 1 else list(np.array_split(np.arange(count), wanted))
