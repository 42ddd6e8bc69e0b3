"""Histories changed so that they still tell the taste, but are no longer recognised.

Every function returns new rows, one for each given one and with its user; none is empty unless it was so before.
Items are drawn so that none is the query's own target, which would give the answer away. Flat arrays throughout: no
loop over queries.
"""

import numpy as np

from vestige.data.sequences import BoolArray, IntArray, Sequences, offsets_of


def drop(histories: Sequences, share: float, rng: np.random.Generator) -> Sequences:
    """Every row without a random `share` of its items; the others stay in order, and one always does."""
    stay = np.maximum(np.round(histories.lengths * (1 - share)), 1)
    return _filtered(histories, _random_places(histories, rng) < np.repeat(stay, histories.lengths))


def swap(histories: Sequences) -> Sequences:
    """Every row with neighbouring items exchanged: the last with the one before it, and so on towards the first."""
    lengths = histories.lengths
    ends = np.repeat(histories.offsets[1:], lengths)
    from_end = ends - 1 - np.arange(len(ends))
    partner = from_end ^ 1
    partner = np.where(partner < np.repeat(lengths, lengths), partner, from_end)  # the first of an odd row stays
    return Sequences(histories.items[ends - 1 - partner], histories.offsets, histories.users)


def replaced(
    histories: Sequences, targets: IntArray, pool: IntArray, share: float, rng: np.random.Generator
) -> Sequences:
    """Every row with a `share` of its items, rounded down, at random places replaced by items drawn from `pool`.

    Args:
        histories: The rows.
        targets: int [rows], what must not be drawn.
        pool: int [n], different items, at least two.
        share: Under 1, so that something of the row's own is left.
        rng: Where chance comes from.
    """
    lengths = histories.lengths
    places = _random_places(histories, rng) < np.repeat(np.floor(lengths * share), lengths)
    items = histories.items.copy()
    items[places] = _drawn(pool, targets[_row_of(histories)[places]], rng)
    return Sequences(items, histories.offsets, histories.users)


def with_decoys(
    histories: Sequences, targets: IntArray, pool: IntArray, share: float, rng: np.random.Generator
) -> Sequences:
    """Every row with `share` times as many items from `pool`, rounded up, put before random items of its own.

    So the last item stays the last one. For the arguments see `replaced`.
    """
    lengths = histories.lengths
    more = np.ceil(lengths * share).astype(np.int64)
    row_of = np.repeat(np.arange(len(histories)), more)
    before = histories.offsets[row_of] + np.floor(rng.random(len(row_of)) * lengths[row_of]).astype(np.int64)
    items = np.insert(histories.items, before, _drawn(pool, targets[row_of], rng))
    return Sequences(items, offsets_of(lengths + more), histories.users)


def concatenated(histories: Sequences, targets: IntArray, others: Sequences, rng: np.random.Generator) -> Sequences:
    """Every row after a row of `others`, drawn at random, of another user where there is one.

    Args:
        histories: The rows.
        targets: int [rows], what is left out of the other's row.
        others: Whose histories are put in front.
        rng: Where chance comes from.
    """
    chosen = rng.integers(0, len(others), len(histories))
    chosen = (chosen + (others.users[chosen] == histories.users)) % len(others)
    drawn = others.take(chosen)
    front = _filtered(drawn, drawn.items != np.repeat(targets, drawn.lengths))
    items = np.insert(histories.items, np.repeat(histories.offsets[:-1], front.lengths), front.items)
    return Sequences(items, offsets_of(front.lengths + histories.lengths), histories.users)


def _row_of(rows: Sequences) -> IntArray:
    """int64 [items]: the row of each item."""
    return np.repeat(np.arange(len(rows)), rows.lengths)


def _filtered(rows: Sequences, kept: BoolArray) -> Sequences:
    """The rows with only those items that are `kept` [items]."""
    lengths = np.bincount(_row_of(rows)[kept], minlength=len(rows))
    return Sequences(rows.items[kept], offsets_of(lengths), rows.users)


def _random_places(rows: Sequences, rng: np.random.Generator) -> IntArray:
    """int64 [items]: for each row a random order of its items, as numbers 0 … length − 1."""
    order = np.lexsort((rng.random(len(rows.items)), _row_of(rows)))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order)) - np.repeat(rows.offsets[:-1], rows.lengths)
    return places


def _drawn(pool: IntArray, excluded: IntArray, rng: np.random.Generator) -> IntArray:
    """int [n]: random items of `pool`, the i-th another one than `excluded[i]`."""
    index = rng.integers(0, len(pool), len(excluded))
    items: IntArray = pool[(index + (pool[index] == excluded)) % len(pool)]
    return items
