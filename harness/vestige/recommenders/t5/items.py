"""Which name spells each item: one token of its own, or an index in which names share tokens.

Indexing after Hua et al., "How to Index Item IDs for Recommendation Foundation Models" (SIGIR-AP 2023, arXiv
2305.06569), whose files (`original new` a line) are read as they are. Indexes that are made here see the sequences they
are given and nothing else, so that gold's index has not seen F.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vestige.data.sequences import IntArray, Sequences
from vestige.errors import InputError
from vestige.recommenders.contract import Catalogue

FIRST_NUMBER = 1001
"""Numbers begin here, so that the first 8,999 items have four digits."""

FILE = "item_indexing.txt"
"""Beside a checkpoint: the names of its items."""


def item_names(kind: str, catalogue: Catalogue, sequences: Sequences, seed: int) -> list[str]:
    """The name of every item of the catalogue.

    Args:
        kind: `tokens`, `sequential`, `random`, `collaborative`, or a file.
        sequences: What an index may be made from.
        seed: Of `random` and `collaborative`.

    Raises:
        InputError: The file cannot be read, or does not name every item.
    """
    if kind == "tokens":
        return token_names(catalogue)
    if kind == "sequential":
        return _numbers(first_seen(sequences, len(catalogue)))
    if kind == "random":
        return _numbers(np.random.default_rng(seed).permutation(len(catalogue)))
    if kind == "collaborative":
        from vestige.recommenders.t5.clusters import cluster_paths

        return ["".join(f"<CI{part}>" for part in path) for path in cluster_paths(sequences, len(catalogue), seed)]
    return names_from(Path(kind).expanduser(), catalogue)


def token_names(catalogue: Catalogue) -> list[str]:
    """`item_<id>`: a token for each."""
    return [f"item_{item}" for item in catalogue.item_ids]


def _numbers(order: IntArray) -> list[str]:
    """Numbers as names, in the order of `order` [items]."""
    names = np.empty(len(order), dtype=object)
    names[order] = [str(FIRST_NUMBER + rank) for rank in range(len(order))]
    return list(names)


def first_seen(sequences: Sequences, items: int) -> IntArray:
    """int64 [items]: the items as they appear in the sequences, row by row; then the others, in catalogue order."""
    seen, at = np.unique(sequences.items, return_index=True)
    return np.concatenate([seen[np.argsort(at)], np.setdiff1d(np.arange(items), seen)]).astype(np.int64)


# -- files ----------------------------------------------------------------------------------------------------


def read_indexing(file: Path) -> dict[str, str]:
    """The new name of every original id of an indexing file: `original new` a line, of items or of users.

    Raises:
        InputError: It cannot be read; a line has no two words; an id stands twice.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: the indexing cannot be read ({error}).") from None
    out: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        words = line.rsplit(maxsplit=1)
        if len(words) != 2:
            raise InputError(f"{file}, line {number}: 'original new' is needed, not {line.strip()!r}.")
        original, new = words[0].strip(), words[1]
        if original in out:
            raise InputError(f"{file}, line {number}: {original!r} stands there twice.")
        out[original] = new
    return out


def names_from(file: Path, catalogue: Catalogue) -> list[str]:
    """The catalogue's names in an indexing file; ids that are not in the catalogue are passed over.

    Raises:
        InputError: An item has no name, or the file cannot be read.
    """
    named = read_indexing(file)
    for item in catalogue.item_ids:
        if item not in named:
            raise InputError(f"{file}: the item {item!r} of the catalogue has no line; every item needs one.")
    return [named[item] for item in catalogue.item_ids]


def write_indexing(file: Path, catalogue: Catalogue, names: Sequence[str]) -> None:
    """Writes what `names_from` reads."""
    lines = [f"{item} {name}\n" for item, name in zip(catalogue.item_ids, names, strict=True)]
    file.write_text("".join(lines), encoding="utf-8")
