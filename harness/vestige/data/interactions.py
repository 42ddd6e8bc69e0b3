"""One validated columnar form for every dataset."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vestige.data.sequences import IntArray, offsets_of
from vestige.errors import InputError

MIN_EVENTS = 3
"""A user needs one interaction to train on, one to validate and one to test."""

StrArray = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Interactions:
    """All interactions, sorted by (user, timestamp, row order).

    A user or an item is its position in `user_ids` or `item_ids`. Both are sorted by id, so neither order
    tells when or through whom an item entered the data; the catalogue is the shop's list and belongs to
    every model, gold included.

    Attributes:
        user, item: int32 [events].
        rating: float32 [events].
        timestamp: int64 [events].
        user_ids, item_ids: the original ids as text.
        notes: what reading did, such as how many rows were dropped and why.
    """

    user: IntArray
    item: IntArray
    rating: npt.NDArray[np.float32]
    timestamp: IntArray
    user_ids: StrArray
    item_ids: StrArray
    notes: Mapping[str, str | int | float]

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """How many items the catalogue has."""
        return len(self.item_ids)

    @property
    def timed(self) -> bool:
        """Whether the source says when; else `timestamp` is an order that means something within a user only."""
        return "timestamps" not in self.notes

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def offsets(self) -> IntArray:
        """int64 [users + 1]: the events of user u are `offsets[u]:offsets[u + 1]`."""
        return offsets_of(np.bincount(self.user, minlength=self.n_users))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over all columns and ids; equal data has an equal hash wherever it was read from."""
        digest = hashlib.sha256()
        columns: list[tuple[npt.NDArray[np.generic], str]] = [
            (self.user, "<i4"),
            (self.item, "<i4"),
            (self.rating, "<f4"),
            (self.timestamp, "<i8"),
        ]
        for column, dtype in columns:
            digest.update(np.ascontiguousarray(column, dtype=dtype).tobytes())
        for ids in (self.user_ids, self.item_ids):
            digest.update("\x1f".join(ids.tolist()).encode() + b"\x1e")
        return digest.hexdigest()


def from_columns(
    users: npt.NDArray[np.generic],
    items: npt.NDArray[np.generic],
    ratings: npt.NDArray[np.generic] | None,
    timestamps: npt.NDArray[np.generic] | None,
    source: str,
    core: int = 0,
) -> Interactions:
    """Validates and sorts raw columns.

    Exact repeats (same user, item and timestamp) are dropped, the first one kept; a user who returns to an item
    at another time keeps both. Then the `core`-core is taken to its fixed point, and users with fewer than
    3 interactions are dropped. All counts go to `notes`.

    Args:
        users, items: Ids [rows], of any type that turns into text.
        ratings: [rows], or None where the source has none (all 1).
        timestamps: [rows] seconds, or None where the row order is the order in time; where one has a fraction, all are
            kept as microseconds.
        source: The name used in error messages.
        core: Users and items with fewer interactions are dropped, until none is left; 0 for no filter.

    Raises:
        InputError: Nothing is left, or a timestamp is no time.
    """
    rows = len(users)
    if rows == 0:
        raise InputError(f"{source}: it holds no interactions.")
    user_ids, user = _factorise(users)
    item_ids, item = _factorise(items)
    rating = np.ones(rows, np.float32) if ratings is None else ratings.astype(np.float32)
    time = np.arange(rows, dtype=np.int64) if timestamps is None else _whole(timestamps, source)
    order = np.lexsort((np.arange(rows), time, user))
    # `order` shrinks to the rows that are kept; the columns stay as they were read.
    repeated = _repeats(user[order], item[order], time[order])
    order = order[~repeated]
    in_core = _core(user[order], item[order], core)
    order, core_dropped = order[in_core], int((~in_core).sum())
    counts = np.bincount(user[order], minlength=len(user_ids))
    long_enough = counts[user[order]] >= MIN_EVENTS
    order, short_rows = order[long_enough], int((~long_enough).sum())
    short_users = int(((counts > 0) & (counts < MIN_EVENTS)).sum())
    user, item, rating, time = user[order], item[order], rating[order], time[order]
    if len(user) == 0:
        raise InputError(
            f"{source}: no user has the {MIN_EVENTS} interactions that training, validation and test need."
        )
    ties = float(np.mean((np.diff(time) == 0)[np.diff(user) == 0])) if len(user) > 1 else 0.0
    notes: dict[str, str | int | float] = {
        "source": source,
        "sorted by": "user, timestamp, row order (stable)",
        "rows read": rows,
        "duplicate interactions dropped": int(repeated.sum()),
        "users with fewer than 3 interactions dropped": short_users,
        "interactions of those users": short_rows,
        "neighbouring events with equal timestamps": round(ties, 4),
    }
    if core:
        notes[f"interactions outside the {core}-core"] = core_dropped
    if timestamps is None:
        notes["timestamps"] = "none in the source; the order of rows is the order in time"
    return _compact(Interactions(user, item, rating, time, user_ids, item_ids, notes))


def _whole(timestamps: npt.NDArray[np.generic], source: str) -> IntArray:
    """int64 [rows]: seconds, or where one has a fraction microseconds, so that the order stays."""
    if np.issubdtype(timestamps.dtype, np.integer):
        return timestamps.astype(np.int64)
    seconds = timestamps.astype(np.float64)
    factor = 1 if (seconds == np.floor(seconds)).all() else 1_000_000
    wrong = ~(np.abs(seconds) * factor < 2.0**63)
    if wrong.any():
        raise InputError(f"{source}: the timestamp {seconds[wrong][0]:g} is no time in seconds.")
    whole: IntArray = np.rint(seconds * factor).astype(np.int64)
    return whole


def natural_order(ids: list[str]) -> list[int]:
    """The order of ids: numbers by value, everything else as text after them."""
    return sorted(range(len(ids)), key=lambda i: _natural_key(ids[i]))


def _natural_key(text: str) -> tuple[int, int, str]:
    return (0, int(text), text) if re.fullmatch(r"[0-9]{1,18}", text) else (1, 0, text)


def _factorise(values: npt.NDArray[np.generic]) -> tuple[StrArray, IntArray]:
    unique, codes = np.unique(values, return_inverse=True)
    # Columns may be padded, and lists of what to forget are read without blanks around an id.
    stripped, alike = np.unique([str(value).strip() for value in unique.tolist()], return_inverse=True)
    texts, codes = stripped.tolist(), alike[codes]
    order = natural_order(texts)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return np.asarray([texts[i] for i in order], dtype=np.str_), rank[codes]


def _repeats(user: IntArray, item: IntArray, time: IntArray) -> npt.NDArray[np.bool_]:
    """True where an equal (user, item, timestamp) stands earlier; the input is sorted by (user, time, row)."""
    order = np.lexsort((np.arange(len(user)), item, time, user))
    same = np.zeros(len(user), dtype=np.bool_)
    u, i, t = user[order], item[order], time[order]
    same[1:] = (u[1:] == u[:-1]) & (i[1:] == i[:-1]) & (t[1:] == t[:-1])
    out = np.zeros(len(user), dtype=np.bool_)
    out[order] = same
    return out


def _core(user: IntArray, item: IntArray, core: int) -> npt.NDArray[np.bool_]:
    kept = np.ones(len(user), dtype=np.bool_)
    while core and len(user):
        users = np.bincount(user[kept], minlength=int(user.max()) + 1)
        items = np.bincount(item[kept], minlength=int(item.max()) + 1)
        still = kept & (users[user] >= core) & (items[item] >= core)
        if still.sum() == kept.sum():
            break
        kept = still
    return kept


def _compact(data: Interactions) -> Interactions:
    """Renumbers users and items that lost all their rows away."""
    used_users, user = np.unique(data.user, return_inverse=True)
    used_items, item = np.unique(data.item, return_inverse=True)
    return replace(
        data,
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        user_ids=data.user_ids[used_users],
        item_ids=data.item_ids[used_items],
    )
