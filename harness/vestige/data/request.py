"""What must be forgotten: draws R, F and T (design: retained, to-be-forgotten, never-trained)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pydantic
from scipy.optimize import linear_sum_assignment

from vestige import seeds
from vestige.configs import Config
from vestige.data.interactions import Interactions
from vestige.data.interchange import Named, read_named, read_users
from vestige.data.sequences import BoolArray, IntArray, Sequences, offsets_of
from vestige.errors import InputError


class Part(IntEnum):
    """What an interaction is used for. Validation and test interactions are held out of all training."""

    RETAINED = 0
    FORGET = 1
    UNSEEN = 2
    VALIDATION = 3
    TEST = 4
    UNUSED = 5


class RequestConfig(Config):
    """The `[request]` table of a board.

    `users`: whole users, `count` of them or a `fraction` of all, chosen by `select`, or those in `file` (one id a line,
    or an interchange file `….json`, see `vestige.data.interchange`). `interactions`: of `count` users (or a
    `fraction`), the `latest` or `random` `percent` of each one's training interactions, or those in `file`
    (`user<TAB>item` a line, or an interchange file). What a file of interactions names must be there and be trained on,
    unless `missing` is `drop`: then the rest is left out and counted.
    """

    kind: Literal["users", "interactions"] = "users"
    count: int | None = pydantic.Field(default=None, ge=1)
    fraction: float | None = pydantic.Field(default=None, gt=0, lt=1)
    select: Literal["random", "longest", "shortest", "popular", "unpopular", "latest"] = "random"
    percent: float = pydantic.Field(default=5.0, gt=0, le=50)
    file: str | None = None
    missing: Literal["error", "drop"] = "error"

    @pydantic.model_validator(mode="after")
    def _one_size(self) -> "RequestConfig":
        given = [name for name in ("count", "fraction", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "a request needs exactly one of count, fraction and file" + (f" (it has {given})" if given else "")
            )
        if self.select == "latest" and self.kind == "users":
            raise ValueError("select = 'latest' is for kind = 'interactions'")
        if self.missing == "drop" and (self.kind == "users" or self.file is None):
            raise ValueError("missing = 'drop' is for kind = 'interactions' with a file")
        if self.kind == "interactions" and self.select not in ("latest", "random"):
            raise ValueError("select must be 'latest' or 'random' where kind = 'interactions'")
        return self


class HoldoutConfig(Config):
    """The `[holdout]` table of a board: what no model is trained on.

    `last`: each user's last interaction is the test, the one before the validation. `temporal`: everything after
    the time before which `1 − share` of all interactions lie; a user's first interaction after it is the
    test, the last one before it the validation.
    """

    rule: Literal["last", "temporal"] = "last"
    share: float = pydantic.Field(default=0.2, gt=0, lt=1)


@dataclass(frozen=True)
class Split:
    """Which interaction is used for what, and who is asked about.

    Attributes:
        kind: `users` or `interactions`.
        part: int8 [events], values of `Part`.
        forget_users: int32 [n], the users of F, or the affected users.
        unseen_users: int32 [n], the users of T, pair i with `forget_users[i]`; the affected users themselves
            for `interactions`.
        retained_users: int32 [m], the users whom the request does not touch and on whom every model trains.
        exchangeable: F and T were told apart by coins alone, so membership can be measured in one world; where
            False (a list from a file), only swap measures are reported.
        notes: What drawing did, for the record.
    """

    kind: Literal["users", "interactions"]
    part: npt.NDArray[np.int8]
    forget_users: IntArray
    unseen_users: IntArray
    exchangeable: bool
    retained_users: IntArray
    notes: dict[str, str | int | float]

    def events(self, part: Part) -> IntArray:
        """The interactions of a part, ascending."""
        return np.flatnonzero(self.part == part)


def hold_out(data: Interactions, config: HoldoutConfig) -> npt.NDArray[np.int8]:
    """int8 [events] of `Part`: RETAINED where training may look, else VALIDATION, TEST or UNUSED.

    Raises:
        InputError: The rule is `temporal` and the data have no timestamps.
    """
    part = np.full(len(data), Part.RETAINED, dtype=np.int8)
    ends = data.offsets[1:]
    if config.rule == "last":
        part[ends - 1] = Part.TEST
        part[ends - 2] = Part.VALIDATION
        return part
    if not data.timed:
        raise InputError(
            f"holdout: rule = 'temporal' needs timestamps, and {data.notes['source']} has none; use rule = 'last'."
        )
    # Rounded, since 10 · (1 − 0.7) is a hair more than 3.
    first = int(np.ceil(round(len(data) * (1 - config.share), 6)))
    cut = np.sort(data.timestamp, kind="stable")[first - 1]
    after = data.timestamp > cut
    part[after] = Part.UNUSED
    late = ends - np.bincount(data.user[after], minlength=data.n_users)
    has_test = late < ends
    part[late[has_test]] = Part.TEST
    has_both = has_test & (late - data.offsets[:-1] >= 2)
    part[late[has_both] - 1] = Part.VALIDATION
    return part


def draw(data: Interactions, request: RequestConfig, holdout: HoldoutConfig, seed: int) -> Split:
    """R, F and T by seed.

    For `users`, a pool of 2n users is sorted by history length, consecutive users form pairs, and a coin a pair
    sends one to F and one to T. For `interactions`, the coin falls for each pair of adjacent positions of an
    affected user. A list from a file fixes F; T is matched to it (`exchangeable` is then False).

    Raises:
        InputError: The request is empty, takes more users than there are, or names unknown ones.
    """
    part = hold_out(data, holdout)
    rng = seeds.generator(seed, "split")
    if request.kind == "users":
        return _draw_users(data, part, request, rng)
    return _draw_interactions(data, part, request, rng)


def training(data: Interactions, split: Split, parts: Iterable[Part]) -> Sequences:
    """The training sequences of the given parts, one row for each user who has any; users ascending."""
    return select(data, np.isin(split.part, np.asarray(sorted(parts), dtype=np.int8)))


def shadow_coins(split: Split, index: int, seed: int) -> BoolArray:
    """bool [pairs]: whether shadow model `index` is trained on each pair's member in F, or else on the one in T.

    For `users`, pair i is `forget_users[i]` and `unseen_users[i]`; for `interactions`, the i-th interactions of F and
    of T. Shadows 2j and 2j + 1 are complementary.
    """
    pairs = len(split.forget_users) if split.kind == "users" else len(split.events(Part.FORGET))
    coins: BoolArray = seeds.generator(seed, "shadow", str(index // 2)).integers(0, 2, pairs) == 1
    return coins if index % 2 == 0 else ~coins


def shadow_training(data: Interactions, split: Split, has_forget: BoolArray) -> Sequences:
    """R and one member of each pair of F and T: what a shadow model is trained on; see `shadow_coins`."""
    taken = split.part == Part.RETAINED
    if split.kind == "users":
        users = np.where(has_forget, split.forget_users, split.unseen_users)
        taken |= np.isin(data.user, users) & np.isin(split.part, (Part.FORGET, Part.UNSEEN))
    else:
        taken[np.where(has_forget, split.events(Part.FORGET), split.events(Part.UNSEEN))] = True
    return select(data, taken)


def select(data: Interactions, mask: BoolArray) -> Sequences:
    """The interactions under `mask` as sequences, one row for each user who has any; users ascending."""
    counts = np.bincount(data.user[mask], minlength=data.n_users)
    users = np.flatnonzero(counts)
    return Sequences(data.item[mask], offsets_of(counts[users]), users.astype(np.int32))


def training_counts(data: Interactions, part: npt.NDArray[np.int8]) -> IntArray:
    """int64 [users]: how many interactions of each user training may look at."""
    return np.bincount(data.user[part <= Part.UNSEEN], minlength=data.n_users)


def popularity_of_taste(data: Interactions, part: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """float64 [users]: the mean log count of the items a user trained on."""
    free = part <= Part.UNSEEN
    count = np.bincount(data.item[free], minlength=data.n_items)
    taste = np.bincount(data.user[free], weights=np.log1p(count[data.item[free]]), minlength=data.n_users)
    return taste / np.maximum(training_counts(data, part), 1)


def _draw_users(
    data: Interactions, part: npt.NDArray[np.int8], request: RequestConfig, rng: np.random.Generator
) -> Split:
    lengths = training_counts(data, part)
    if request.file is not None:
        forget = listed_users(data, request.file)
        unseen = _matched_users(lengths, forget, rng, request.file)
        return _users_split(data, part, forget, unseen, exchangeable=False)
    # A user must have a transition (two training interactions) to be asked about.
    able = np.flatnonzero(lengths >= 2)
    n = _count(request, data.n_users)
    if 2 * n >= len(able):
        raise InputError(
            f"request: forgetting {n} users takes {2 * n} (as many again are never trained, to compare with), and "
            f"some must be retained, but only {len(able)} have two training interactions; "
            f"count can be at most {max((len(able) - 1) // 2, 0)}."
        )
    shuffled = able[rng.permutation(len(able))]
    if request.select == "random":
        pool = shuffled[: 2 * n]
    else:
        taste = popularity_of_taste(data, part) if "popular" in request.select else lengths
        sign = 1 if request.select in ("shortest", "unpopular") else -1
        pool = shuffled[np.argsort(sign * taste[shuffled], kind="stable")][: 2 * n]
    pairs = pool[np.argsort(lengths[pool], kind="stable")].reshape(n, 2)
    coin = rng.integers(0, 2, n)
    rows = np.arange(n)
    return _users_split(data, part, pairs[rows, coin], pairs[rows, 1 - coin], exchangeable=True)


def _users_split(
    data: Interactions, part: npt.NDArray[np.int8], forget: IntArray, unseen: IntArray, exchangeable: bool
) -> Split:
    part = part.copy()
    for users, label in ((forget, Part.FORGET), (unseen, Part.UNSEEN)):
        part[np.isin(data.user, users) & (part == Part.RETAINED)] = label
    notes: dict[str, str | int | float] = {
        "forgotten users": len(forget),
        "never-trained users": len(unseen),
        "forgotten interactions": int((part == Part.FORGET).sum()),
    }
    return _split("users", data, part, forget, unseen, exchangeable, notes)


def _draw_interactions(
    data: Interactions, part: npt.NDArray[np.int8], request: RequestConfig, rng: np.random.Generator
) -> Split:
    part = part.copy()
    if request.file is not None:
        listed = listed_events(data, part, request.file, drop=request.missing == "drop")
        forget, unseen = listed.events, _events_before(data, part, listed.events)
        affected = np.unique(data.user[forget])
        part[forget], part[unseen] = Part.FORGET, Part.UNSEEN
        notes: dict[str, str | int | float] = {"never-trained interactions": len(unseen), **listed.notes}
        exchangeable = False
    else:
        lengths = training_counts(data, part)
        pairs_of = np.maximum(np.round(lengths * request.percent / 100), 1).astype(np.int64)
        # The first position has no history, and somebody must keep something to be asked from.
        able = np.flatnonzero(lengths >= 2 * pairs_of + 1)
        n = _count(request, data.n_users)
        if n > len(able):
            raise InputError(
                f"request: it takes {n} users, but only {len(able)} have enough training interactions to give "
                f"{request.percent:g} % to F and as many to T; count can be at most {len(able)}."
            )
        affected = np.sort(able[rng.permutation(len(able))[:n]])
        first = np.concatenate([_pair_positions(lengths[u], pairs_of[u], request.select, rng) for u in affected])
        first = first + np.repeat(data.offsets[affected], pairs_of[affected])
        coin = rng.integers(0, 2, len(first))
        part[first + coin], part[first + 1 - coin] = Part.FORGET, Part.UNSEEN
        notes = {"never-trained interactions": len(first)}
        exchangeable = True
    notes = {"affected users": len(affected), "forgotten interactions": int((part == Part.FORGET).sum()), **notes}
    return _split("interactions", data, part, affected, affected, exchangeable, notes)


def _split(
    kind: Literal["users", "interactions"],
    data: Interactions,
    part: npt.NDArray[np.int8],
    forget: IntArray,
    unseen: IntArray,
    exchangeable: bool,
    notes: dict[str, str | int | float],
) -> Split:
    forgotten = part == Part.FORGET
    stays = part < Part.VALIDATION if kind == "users" else part == Part.RETAINED
    seen = np.concatenate([[0], np.cumsum(stays)])
    if not (forgotten & (seen[:-1] > seen[data.offsets[data.user]])).any():
        raise InputError(
            "the request is empty: nothing it names has a training interaction before it, so no model can be asked."
        )
    touched = np.union1d(forget, unseen)
    retained = np.setdiff1d(np.unique(data.user[part == Part.RETAINED]), touched)
    return Split(
        kind=kind,
        part=part,
        forget_users=forget.astype(np.int32),
        unseen_users=unseen.astype(np.int32),
        retained_users=retained.astype(np.int32),
        exchangeable=exchangeable,
        notes=notes,
    )


def _pair_positions(length: int, pairs: int, how: str, rng: np.random.Generator) -> IntArray:
    """The first positions of `pairs` disjoint adjacent pairs among positions 1 … length − 1."""
    if how == "latest":
        return length - 2 * pairs + 2 * np.arange(pairs)
    slots = (length - 1) // 2
    return 1 + 2 * np.sort(rng.permutation(slots)[:pairs])


def _count(request: RequestConfig, n_users: int) -> int:
    if request.count is not None:
        return request.count
    assert request.fraction is not None
    n = round(request.fraction * n_users)
    if n == 0:
        raise InputError(f"request: fraction = {request.fraction:g} of {n_users} users is nobody; ask for more.")
    return n


def listed_users(data: Interactions, file: str) -> IntArray:
    """int64 [users], ascending: the users whom a file names; one who is unknown is an error, as are too many."""
    index = {user: position for position, user in enumerate(data.user_ids.tolist())}
    users: list[int] = []
    for place, name in read_users(Path(file)):
        if name not in index:
            raise InputError(f"{file}, {place}: user {name!r} is not in the dataset.")
        users.append(index[name])
    unique = np.unique(np.asarray(users, dtype=np.int64))
    if 2 * len(unique) >= data.n_users:
        raise InputError(
            f"{file}: forgetting {len(unique)} users takes {2 * len(unique)} (as many again are never trained), "
            f"and some must be retained, but the dataset has {data.n_users}."
        )
    return unique


def _matched_users(lengths: IntArray, forget: IntArray, rng: np.random.Generator, file: str) -> IntArray:
    """For each user of F another one with nearly as long a history, by assignment; ties by chance."""
    others = np.setdiff1d(np.flatnonzero(lengths >= 2), forget)
    if len(others) <= len(forget):
        raise InputError(f"{file}: too few other users are left to match {len(forget)} forgotten ones.")
    others = others[rng.permutation(len(others))]
    gap = np.abs(np.log1p(lengths[forget])[:, None] - np.log1p(lengths[others])[None, :])
    _, columns = linear_sum_assignment(gap)
    return others[columns]


@dataclass(frozen=True)
class Listed:
    """What a file of interactions comes to: the training interactions it names [n], and notes on what it named."""

    events: IntArray
    notes: dict[str, str | int | float]


def listed_events(data: Interactions, part: npt.NDArray[np.int8], file: str, drop: bool) -> Listed:
    """The training interactions that a file names; those that are none are an error, or are dropped and counted."""
    named = read_named(Path(file))
    users = {user: position for position, user in enumerate(data.user_ids.tolist())}
    items = {item: position for position, item in enumerate(data.item_ids.tolist())}
    asked = np.asarray(sorted({users[one.user] for one in named if one.user in users}), dtype=np.int64)
    events_of: dict[tuple[int, int], list[int]] = {}
    for event in np.flatnonzero(np.isin(data.user, asked)).tolist():
        events_of.setdefault((int(data.user[event]), int(data.item[event])), []).append(event)
    events: list[int] = []
    absent = held_out = 0
    for one in named:
        had = events_of.get((users.get(one.user, -1), items.get(one.item, -1)), [])
        trained = [event for event in had if part[event] == Part.RETAINED]
        absent += not had
        held_out += bool(had) and not trained
        if not trained and not drop:
            raise InputError(f"{file}, {one.place}: {_why_not(one, users, items, bool(had))}")
        events += trained  # an item had more than once is forgotten wherever it was trained on
    if not events:
        raise InputError(f"{file}: none of the {len(named)} interactions that it names is a training interaction.")
    notes: dict[str, str | int | float] = {}
    if drop:
        notes = {
            "users named by the file": len({one.user for one in named}),
            "interactions named by the file": len(named),
            "of them not in the dataset": absent,
            "of them held out of training": held_out,
        }
    return Listed(np.unique(np.asarray(events, dtype=np.int64)), notes)


def _why_not(one: Named, users: Mapping[str, int], items: Mapping[str, int], held_out: bool) -> str:
    """Why an interaction that a file names cannot be forgotten."""
    hint = "missing = 'drop' leaves out what does not exist."
    if one.user not in users:
        return f"user {one.user!r} is not in the dataset; {hint}"
    if one.item not in items:
        return f"item {one.item!r} is not in the dataset; {hint}"
    if not held_out:
        return f"user {one.user!r} never had item {one.item!r}; {hint}"
    return (
        f"the interaction of user {one.user!r} with item {one.item!r} is held out for validation or test, so no model "
        "learns it and none can forget it; name training interactions only, or leave such out with missing = 'drop'."
    )


def _events_before(data: Interactions, part: npt.NDArray[np.int8], forget: IntArray) -> IntArray:
    """For every event of F the nearest training event before it that is not taken yet, where there is one."""
    taken = set(forget.tolist())
    out: list[int] = []
    for event in forget.tolist():
        first = int(data.offsets[data.user[event]])
        candidate = event - 1
        while candidate > first and (candidate in taken or part[candidate] != Part.RETAINED):
            candidate -= 1
        if candidate > first:
            taken.add(candidate)
            out.append(candidate)
    return np.sort(np.asarray(out, dtype=np.int64))
