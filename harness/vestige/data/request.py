"""What must be forgotten: draws R, F and T (design: retained, to-be-forgotten, never-trained)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
from scipy.optimize import linear_sum_assignment

from vestige import seeds
from vestige.configs import Config
from vestige.data.interactions import Interactions
from vestige.data.interchange import Named, read_items, read_named, read_samples, read_users
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


Kind = Literal["users", "interactions", "items"]
"""What one request names: whole users, single interactions, or items that are withdrawn from everybody."""

Notes = dict[str, str | int | float]
"""What must be known about a request, for the record."""

USERS_NAMED, INTERACTIONS_NAMED = "users named by the file", "interactions named by the file"
NOT_THERE, HELD_OUT = "of them not in the dataset", "of them held out of training"
COUNTED = ("forgotten users", "affected users", "withdrawn items", "forgotten interactions")
LISTED = "interactions of the list that it stands in for"
STANDS_IN = "in a study another list stands in for it, and "


class RequestConfig(Config):
    """The `[request]` table of a board.

    `users`: whole users, `count` of them or a `fraction` of all, chosen by `select`, or those in `file` (one id a line,
    or an interchange file `….json`, see `vestige.data.interchange`). `interactions`: of `count` users (or a
    `fraction`), the `latest` or `random` `percent` of each one's training interactions, or those in `file`
    (`user<TAB>item` a line, or an interchange file). What a file of interactions names must be there and be trained on,
    unless `missing` is `drop`: then the rest is left out and counted. `items`: `count` items, or a `fraction` of the
    catalogue, chosen at `random` or as the most or least `popular`, or those in `file` (one id a line); whatever
    anybody did with them is forgotten. `stream`: `steps` requests one after another, each of `count` (or a `fraction`)
    as `of` says.
    """

    kind: Literal["users", "interactions", "items", "stream"] = "users"
    of: Kind = "users"
    steps: int = pydantic.Field(default=5, ge=2, le=100)
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
        if self.kind == "stream" and self.file is not None:
            raise ValueError("a stream draws its requests: give count or fraction of one step, not file")
        strange = sorted({"of", "steps"} & self.model_fields_set)
        if self.kind != "stream" and strange:
            raise ValueError(f"{strange[0]} is for kind = 'stream'")
        if self.missing == "drop" and (self.kind != "interactions" or self.file is None):
            raise ValueError("missing = 'drop' is for kind = 'interactions' with a file")
        if self.select not in SELECTS[self.names]:
            listed = ", ".join(repr(select) for select in SELECTS[self.names])
            which = "of" if self.kind == "stream" else "kind"
            raise ValueError(f"select must be one of {listed} where {which} = {self.names!r}")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _single(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A single request says nothing of a stream."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if self.kind == "stream" or name not in ("of", "steps")}

    @property
    def names(self) -> Kind:
        """What each request names."""
        return self.of if self.kind == "stream" else self.kind

    def idle(self, given: Iterable[str]) -> Iterator[str]:
        """Of the settings that were given those that change nothing, each with what it is for."""
        if "percent" in given and (self.names != "interactions" or self.file is not None):
            yield "percent: it is for interactions that are drawn"
        if "select" in given and self.file is not None:
            yield "select: it is for what is drawn, and a file names what is forgotten"

    @property
    def requests(self) -> int:
        """How many requests follow one another."""
        return self.steps if self.kind == "stream" else 1


SELECTS: Mapping[Kind, tuple[str, ...]] = {
    "users": ("random", "longest", "shortest", "popular", "unpopular"),
    "interactions": ("latest", "random"),
    "items": ("random", "popular", "unpopular"),
}
"""How each kind may be chosen."""


class HoldoutConfig(Config):
    """The `[holdout]` table of a board: what no model is trained on.

    `last`: each user's last interaction is the test, the one before the validation. `temporal`: everything after
    the time before which `1 − share` of all interactions lie; a user's first interaction after it is the
    test, the last one before it the validation.
    """

    rule: Literal["last", "temporal"] = "last"
    share: float = pydantic.Field(default=0.2, gt=0, lt=1)

    def idle(self, given: Iterable[str]) -> Iterator[str]:
        """As of a request."""
        if "share" in given and self.rule != "temporal":
            yield "share: it is for rule = 'temporal'"


@dataclass(frozen=True)
class Split:
    """Which interaction is used for what, and who is asked about.

    Attributes:
        kind: `users`, `interactions` or `items`.
        part: int8 [events], values of `Part`.
        forget_users: int32 [n], the users of F, or the affected users (for `items`, who had one of F or T in training).
        unseen_users: int32 [n], the users of T, pair i with `forget_users[i]`; the affected users themselves
            for `interactions` and `items`.
        retained_users: int32 [m], the users whom the request does not touch and on whom every model trains; for `items`
            all on whom every model trains.
        exchangeable: F and T were told apart by coins alone, so membership can be measured in one world; where
            False (a list from a file), only swap measures are reported.
        notes: What drawing did, for the record.
        forget_items, unseen_items: int32 [pairs], for `items` those of F and of T, pair by pair; else empty.
        steps: int32 [pairs], the step of a stream that each pair (of `forget_users`, or of `forget_items`) is asked for
            at, from 1 on; empty for a single request. See `vestige.data.stream`.
    """

    kind: Kind
    part: npt.NDArray[np.int8]
    forget_users: IntArray
    unseen_users: IntArray
    exchangeable: bool
    retained_users: IntArray
    notes: Notes
    forget_items: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    unseen_items: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    steps: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    @property
    def pairs(self) -> int:
        """How many pairs of F and T there are; of a list of interactions, the interactions of F."""
        sizes = {"users": len(self.forget_users), "items": len(self.forget_items)}
        return sizes.get(self.kind, len(self.events(Part.FORGET)))

    @property
    def asked_as_trained(self) -> bool:
        """Whether each interaction of F and T is asked for after all that stood before it in training, F (of T: T) too.

        Where a coin told adjacent interactions apart, and where items are withdrawn, it is after what is retained of
        that: then both of a pair are asked after the same history, whatever the coins said. A list takes many in a row,
        and after what stays of such a history no model ever answered with them: that question finds no memory.
        """
        return _asked_as_trained(self.kind, self.exchangeable)

    @property
    def asked_alike(self) -> bool:
        """Whether both of a pair are asked for after the same history: then nothing that sees the history alone, such
        as a router or the time of an answer, can tell them apart, whatever it knows.
        """
        return self.kind == "interactions" and self.exchangeable

    def events(self, part: Part) -> IntArray:
        """The interactions of a part, ascending."""
        return np.flatnonzero(self.part == part)


def _asked_as_trained(kind: Kind, exchangeable: bool) -> bool:
    return kind == "users" or (kind == "interactions" and not exchangeable)


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
        raise without_times(str(data.notes["source"]))
    # Rounded, since 10 · (1 − 0.7) is a hair more than 3.
    first = int(np.ceil(round(len(data) * (1 - config.share), 6)))
    cut = np.sort(data.timestamp, kind="stable")[first - 1]
    after = data.timestamp > cut
    part[after] = Part.UNUSED
    late = ends - np.bincount(data.user[after], minlength=data.n_users)
    has_test = late < ends
    if not has_test.any():
        raise InputError(
            f"holdout: rule = 'temporal' leaves nothing to test on: no interaction of {data.notes['source']} is later "
            f"than the first {1 - config.share:.0%} of them (timestamp {cut}); use rule = 'last'."
        )
    part[late[has_test]] = Part.TEST
    has_both = has_test & (late - data.offsets[:-1] >= 2)
    part[late[has_both] - 1] = Part.VALIDATION
    return part


def without_times(source: str) -> InputError:
    """What is wrong with a temporal rule for data that do not say when."""
    return InputError(f"holdout: rule = 'temporal' needs timestamps, and {source} has none; use rule = 'last'.")


def draw(
    data: Interactions, request: RequestConfig, holdout: HoldoutConfig, seed: int, stand_in_for: Iterable[int] = ()
) -> Split:
    """R, F and T by seed.

    For `users`, a pool of 2n users is sorted by history length, consecutive users form pairs, and a coin a pair
    sends one to F and one to T. For `interactions`, the coin falls for each pair of adjacent positions of an
    affected user. For `items`, pairs are of items, sorted by popularity. A list from a file fixes F; T is matched to it
    (`exchangeable` is then False). The requests of a stream are drawn as one; `vestige.data.stream.deal` parts them.

    Args:
        stand_in_for: Seeds of a board whose request is a list; another list is then forgotten in its place, which is
            like it and has nobody (of items, nothing) of its F and of T on these seeds: for each user or item another
            of nearly the same size, and of single interactions those that stand as far from the end of the other's
            training. It is for choosing settings, which must not be chosen on what they are judged by.

    Raises:
        InputError: The request is empty, takes more than there is, or names what does not exist.
    """
    part = hold_out(data, holdout)
    rng = seeds.generator(seed, "split")
    draw_kind = {"users": _draw_users, "interactions": _draw_interactions, "items": _draw_items}
    spared = tuple(draw(data, request, holdout, other) for other in stand_in_for)
    return draw_kind[request.names](data, part, request, rng, spared)


def training(data: Interactions, split: Split, parts: Iterable[Part]) -> Sequences:
    """The training sequences of the given parts, one row for each user who has any; users ascending."""
    return select(data, np.isin(split.part, np.asarray(sorted(parts), dtype=np.int8)))


def shadow_coins(split: Split, index: int, seed: int) -> BoolArray:
    """bool [pairs]: whether shadow model `index` is trained on each pair's member in F, or else on the one in T.

    For `users`, pair i is `forget_users[i]` and `unseen_users[i]`; for `interactions`, the i-th interactions of F and
    of T; for `items`, `forget_items[i]` and `unseen_items[i]`. Shadows 2j and 2j + 1 are complementary.
    """
    coins: BoolArray = seeds.generator(seed, "shadow", str(index // 2)).integers(0, 2, split.pairs) == 1
    return coins if index % 2 == 0 else ~coins


def shadow_training(data: Interactions, split: Split, has_forget: BoolArray) -> Sequences:
    """R and one member of each pair of F and T: what a shadow model is trained on; see `shadow_coins`."""
    taken = split.part == Part.RETAINED
    if split.kind == "users":
        users = np.where(has_forget, split.forget_users, split.unseen_users)
        taken |= np.isin(data.user, users) & np.isin(split.part, (Part.FORGET, Part.UNSEEN))
    elif split.kind == "items":
        items = np.where(has_forget, split.forget_items, split.unseen_items)
        taken |= np.isin(data.item, items) & np.isin(split.part, (Part.FORGET, Part.UNSEEN))
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
    data: Interactions,
    part: npt.NDArray[np.int8],
    request: RequestConfig,
    rng: np.random.Generator,
    spared: tuple[Split, ...],
) -> Split:
    lengths = training_counts(data, part)
    # A user must have a transition (two training interactions) to be asked about.
    able = np.flatnonzero(lengths >= 2)
    if request.file is not None:
        forget, _ = listed_users(data, part, request.file)
        if 2 * len(forget) >= data.n_users:
            raise InputError(
                f"{request.file}: forgetting {len(forget)} users takes {2 * len(forget)} (as many again are never "
                f"trained), and some must be retained, but the dataset has {data.n_users}."
            )
        too_few = f"{request.file}: {STANDS_IN if spared else ''}too few other users"
        if spared:
            able = np.setdiff1d(able, [user for one in spared for user in (*one.forget_users, *one.unseen_users)])
            forget = np.sort(_matched(lengths, able, forget, rng, too_few))
        unseen = _matched(lengths, able, forget, rng, too_few)
        return _users_split(data, part, forget, unseen, exchangeable=False)
    n = _count(request, data.n_users, "users is nobody")
    if 2 * n >= len(able):
        raise InputError(
            f"request: forgetting {n} users takes {2 * n} (as many again are never trained, to compare with), and "
            f"some must be retained, but only {len(able)} have two training interactions; "
            f"{_at_most(request, max((len(able) - 1) // 2, 0))}."
        )
    taste = popularity_of_taste(data, part) if "popular" in request.select else lengths
    forget, unseen = _paired(able, n, request.select, taste, lengths, rng)
    return _users_split(data, part, forget, unseen, exchangeable=True)


def _paired(
    able: IntArray,
    n: int,
    select: str,
    order: npt.NDArray[np.generic],
    sizes: IntArray,
    rng: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """n pairs of users or items alike in size, of each pair one for F and one for T by a coin.

    Args:
        able: Who may be drawn; at least 2n.
        select: `random`, or the 2n with the highest (or, for `shortest` and `unpopular`, lowest) `order` [all].
        sizes: [all], by which neighbours form pairs.
    """
    shuffled = able[rng.permutation(len(able))]
    if select == "random":
        pool = shuffled[: 2 * n]
    else:
        sign = 1 if select in ("shortest", "unpopular") else -1
        pool = shuffled[np.argsort(sign * order[shuffled], kind="stable")][: 2 * n]
    pairs = pool[np.argsort(sizes[pool], kind="stable")].reshape(n, 2)
    coin = rng.integers(0, 2, n)
    rows = np.arange(n)
    return pairs[rows, coin], pairs[rows, 1 - coin]


def _users_split(
    data: Interactions, part: npt.NDArray[np.int8], forget: IntArray, unseen: IntArray, exchangeable: bool
) -> Split:
    part = part.copy()
    for users, label in ((forget, Part.FORGET), (unseen, Part.UNSEEN)):
        part[np.isin(data.user, users) & (part == Part.RETAINED)] = label
    notes: Notes = {
        "forgotten users": len(forget),
        "never-trained users": len(unseen),
        "forgotten interactions": int((part == Part.FORGET).sum()),
    }
    return _split("users", data, part, forget, unseen, exchangeable, notes)


def _draw_interactions(
    data: Interactions,
    part: npt.NDArray[np.int8],
    request: RequestConfig,
    rng: np.random.Generator,
    spared: tuple[Split, ...],
) -> Split:
    part = part.copy()
    if request.file is not None:
        listed = listed_events(data, part, request.file, drop=request.missing == "drop")
        if spared:
            alike = _events_alike(data, part, listed.events, rng, f"{request.file}: {STANDS_IN}")
            listed = Listed(alike, {LISTED: len(listed.events)})
        forget, unseen = listed.events, _events_before(data, part, listed.events)
        affected = np.unique(data.user[forget])
        part[forget], part[unseen] = Part.FORGET, Part.UNSEEN
        notes: Notes = {"never-trained interactions": len(unseen), **listed.notes}
        exchangeable = False
    else:
        lengths = training_counts(data, part)
        pairs_of = np.maximum(np.round(lengths * request.percent / 100), 1).astype(np.int64)
        # The first position has no history, and somebody must keep something to be asked from.
        able = np.flatnonzero(lengths >= 2 * pairs_of + 1)
        n = _count(request, data.n_users, "users is nobody")
        if n > len(able):
            raise InputError(
                f"request: it takes {n} users, but only {len(able)} have enough training interactions to give "
                f"{request.percent:g} % to F and as many to T; {_at_most(request, len(able))}."
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


def _draw_items(
    data: Interactions,
    part: npt.NDArray[np.int8],
    request: RequestConfig,
    rng: np.random.Generator,
    spared: tuple[Split, ...],
) -> Split:
    trained = part == Part.RETAINED
    counts = np.bincount(data.item[trained], minlength=data.n_items)
    # Somebody must have had it after something else, to be asked about it.
    follows = trained & (np.arange(len(data)) > data.offsets[data.user])
    able = np.unique(data.item[follows])
    if request.file is not None:
        forget = _listed_items(data, counts, request.file)
        too_few = f"{request.file}: {STANDS_IN if spared else ''}too few other items"
        if spared:
            able = np.setdiff1d(able, [item for one in spared for item in (*one.forget_items, *one.unseen_items)])
            forget = np.sort(_matched(counts, able, forget, rng, too_few))
        unseen = _matched(counts, able, forget, rng, too_few)
    else:
        n = _count(request, data.n_items, "items is none")
        if 2 * n >= len(able):
            raise InputError(
                f"request: withdrawing {n} items takes {2 * n} (as many again are never trained, to compare with), and "
                f"some must be retained, but of the {data.n_items} items of the catalogue only {len(able)} have a "
                "training interaction with another one before it; "
                f"{_at_most(request, max((len(able) - 1) // 2, 0))}."
            )
        forget, unseen = _paired(able, n, request.select, counts, counts, rng)
    part = part.copy()
    for items, label in ((forget, Part.FORGET), (unseen, Part.UNSEEN)):
        theirs = np.isin(data.item, items)
        # Nobody is asked for what is withdrawn, nor does it stand in a history.
        part[theirs & ~trained] = Part.UNUSED
        part[theirs & trained] = label
    affected = np.unique(data.user[np.isin(part, (Part.FORGET, Part.UNSEEN))])
    notes: Notes = {
        "withdrawn items": len(forget),
        "never-trained items": len(unseen),
        "forgotten interactions": int((part == Part.FORGET).sum()),
        "never-trained interactions": int((part == Part.UNSEEN).sum()),
        "users who had a withdrawn item": len(np.unique(data.user[part == Part.FORGET])),
    }
    split = _split("items", data, part, affected, affected, request.file is None, notes)
    return replace(split, forget_items=forget.astype(np.int32), unseen_items=unseen.astype(np.int32))


def _split(
    kind: Kind,
    data: Interactions,
    part: npt.NDArray[np.int8],
    forget: IntArray,
    unseen: IntArray,
    exchangeable: bool,
    notes: Notes,
) -> Split:
    forgotten = part == Part.FORGET
    stays = part < Part.VALIDATION if _asked_as_trained(kind, exchangeable) else part == Part.RETAINED
    seen = np.concatenate([[0], np.cumsum(stays)])
    if not (forgotten & (seen[:-1] > seen[data.offsets[data.user]])).any():
        raise InputError(
            "the request is empty: nothing it names has a training interaction before it, so no model can be asked."
        )
    # A withdrawn item is missing in many histories, and whoever had it stays a customer.
    touched = np.zeros(0, np.int64) if kind == "items" else np.union1d(forget, unseen)
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


def _count(request: RequestConfig, among: int, none: str) -> int:
    """How many are asked for, by all requests together; `none` is what no user or no item is called."""
    if request.count is not None:
        return request.count * request.requests
    assert request.fraction is not None
    n = round(request.fraction * among)
    if n == 0:
        raise InputError(f"request: fraction = {request.fraction:g} of {among} {none}; ask for more.")
    return n * request.requests


def _at_most(request: RequestConfig, most: int) -> str:
    several = f" in each of {request.requests} steps" if request.requests > 1 else ""
    return f"count can be at most {most // request.requests}{several}"


def listed_users(
    data: Interactions, part: npt.NDArray[np.int8], file: str, drop: bool = False
) -> tuple[IntArray, Notes]:
    """int64 [users], ascending: whom a file names, with notes; one who is unknown, or of whom nothing is trained on, is
    an error, or is dropped and counted.
    """
    index = {user: position for position, user in enumerate(data.user_ids.tolist())}
    named = read_users(Path(file))
    unknown = [(place, name) for place, name in named if name not in index]
    if unknown and not drop:
        raise InputError(f"{file}, {unknown[0][0]}: user {unknown[0][1]!r} is not in the dataset.")
    trained = training_counts(data, part) > 0
    idle = [(place, name) for place, name in named if name in index and not trained[index[name]]]
    if idle and not drop:
        raise InputError(f"{file}, {idle[0][0]}: nothing of user {idle[0][1]!r} is trained on; all is held out.")
    users = np.unique(np.asarray([index[name] for _, name in named if name in index], dtype=np.int64))
    notes: Notes = {}
    if drop:
        told = {USERS_NAMED: named, NOT_THERE: unknown, HELD_OUT: idle}
        notes = {said: len({name for _, name in of}) for said, of in told.items()}
    return users[trained[users]], notes


def left_out(file: str, notes: Mapping[str, str | int | float]) -> str:
    """What of a list was dropped, with both counts, in one sentence; empty where nothing might be."""
    if NOT_THERE not in notes:
        return ""
    users, absent = int(notes[USERS_NAMED]), int(notes[NOT_THERE])
    if INTERACTIONS_NAMED not in notes:
        idle = int(notes[HELD_OUT])
        none = f", of {idle} all is held out of training" if idle else ""
        taken = f"{users - absent - idle} are taken; {absent} are not in the dataset{none}"
        return f"{file}: of {users} users that it names, {taken}."
    named, held_out = int(notes[INTERACTIONS_NAMED]), int(notes[HELD_OUT])
    theirs = f" of {notes['affected users']} users" if "affected users" in notes else ""
    return (
        f"{file}: of {named} interactions of {users} users that it names, {named - absent - held_out}{theirs} are "
        f"taken; {absent} are not in the dataset, {held_out} are held out of training."
    )


def _check_kept(file: Path, items: Mapping[str, int]) -> None:
    """Checks that what users keep, of which an interchange file tells too, is in the dataset."""
    if file.suffix.lower() != ".json":
        return
    for number, sample in enumerate(read_samples(file, "forget"), start=1):
        for item in sample.seq_items:
            if item not in items:
                raise InputError(
                    f"{file}, entry {number} (user {sample.user_id!r}): seq_items: item {item!r} is not in the "
                    "dataset; missing = 'drop' (or --missing drop) leaves out what does not exist."
                )


def _listed_items(data: Interactions, counts: IntArray, file: str) -> IntArray:
    index = {item: position for position, item in enumerate(data.item_ids.tolist())}
    items: list[int] = []
    for place, name in read_items(Path(file)):
        if name not in index:
            raise InputError(f"{file}, {place}: item {name!r} is not in the dataset.")
        if not counts[index[name]]:
            raise InputError(
                f"{file}, {place}: nobody has item {name!r} in training, so no model learns it and none can forget it; "
                "leave it out."
            )
        items.append(index[name])
    unique = np.unique(np.asarray(items, dtype=np.int64))
    trained = int((counts > 0).sum())
    if 2 * len(unique) >= trained:
        raise InputError(
            f"{file}: withdrawing {len(unique)} items takes {2 * len(unique)} (as many again are never trained), and "
            f"some must be retained, but only {trained} items have training interactions."
        )
    return unique


def _matched(sizes: IntArray, able: IntArray, forget: IntArray, rng: np.random.Generator, too_few: str) -> IntArray:
    """For each user or item of F another one of nearly the same size, by assignment; ties by chance.

    Args:
        sizes: [all], how many interactions each has.
        able: Who may be matched.
        too_few: How the sentence begins where there are not enough.
    """
    others = np.setdiff1d(able, forget)
    if len(others) <= len(forget):
        raise InputError(f"{too_few} are left to match {len(forget)} forgotten ones.")
    others = others[rng.permutation(len(others))]
    gap = np.abs(np.log1p(sizes[forget])[:, None] - np.log1p(sizes[others])[None, :])
    _, columns = linear_sum_assignment(gap)
    return others[columns]


def _events_alike(
    data: Interactions, part: npt.NDArray[np.int8], events: IntArray, rng: np.random.Generator, where: str
) -> IntArray:
    """Training events of other users, one a user, with as many after each in training as after the given ones.

    Of a history that is shorter those are left out that would stand before its beginning. An item that the other had
    more than once is taken wherever it was trained on, as a list takes it.
    """
    lengths = training_counts(data, part)
    users, row = np.unique(data.user[events], return_inverse=True)
    others = _matched(lengths, np.flatnonzero(lengths >= 2), users, rng, f"{where}too few other users")
    after = data.offsets[users][row] + lengths[users][row] - events  # 1 for the latest
    position = lengths[others][row] - after
    alike = (data.offsets[others][row] + position)[position >= 0]
    if not (position > 0).any():
        raise InputError(f"{where}no other history reaches as far back as what the list names.")
    had = data.user.astype(np.int64) * data.n_items + data.item
    return np.flatnonzero(np.isin(had, had[alike]) & (part == Part.RETAINED))


@dataclass(frozen=True)
class Listed:
    """What a file of interactions comes to: the training interactions it names [n], and notes on what it named."""

    events: IntArray
    notes: Notes


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
    if not drop:
        _check_kept(Path(file), items)
    if not events:
        raise InputError(f"{file}: none of the {len(named)} interactions that it names is a training interaction.")
    notes: Notes = {}
    if drop:
        notes = {
            USERS_NAMED: len({one.user for one in named}),
            INTERACTIONS_NAMED: len(named),
            NOT_THERE: absent,
            HELD_OUT: held_out,
        }
    return Listed(np.unique(np.asarray(events, dtype=np.int64)), notes)


def _why_not(one: Named, users: Mapping[str, int], items: Mapping[str, int], held_out: bool) -> str:
    """Why an interaction that a file names cannot be forgotten."""
    hint = "missing = 'drop' (or --missing drop) leaves out what does not exist."
    if one.user not in users:
        return f"user {one.user!r} is not in the dataset; {hint}"
    if one.item not in items:
        return f"item {one.item!r} is not in the dataset; {hint}"
    if not held_out:
        return f"user {one.user!r} never had item {one.item!r}; {hint}"
    return (
        f"the interaction of user {one.user!r} with item {one.item!r} is held out for validation or test, so no model "
        "learns it and none can forget it; name training interactions only, or leave such out with missing = 'drop' "
        "(or --missing drop)."
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
