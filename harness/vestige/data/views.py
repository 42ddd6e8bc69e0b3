"""The views: lists of queries `history → target` that every model is asked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from vestige import seeds
from vestige.data.interactions import Interactions
from vestige.data.request import Part, Split, popularity_of_taste, select, training_counts
from vestige.data.sequences import BoolArray, IntArray, Sequences, offsets_of, ragged
from vestige.data.stream import asked_at

PER_USER = 10
"""At most so many training transitions of one user are asked."""

NEAREST = 5
"""So many nearest retained users of each forgotten user are its neighbours."""

MOST_AFFECTED = 0.25
"""Where items are withdrawn, `neighbours` are the users who lose most; at most this share of all."""

SIMILAR = ("neighbours", "controls")

VIEWS = ("retain", "unseen", "affected", "forget", "unseen_train", *SIMILAR)


@dataclass(frozen=True)
class Queries:
    """Questions to a recommender: given `histories`, how high is `targets`?

    Attributes:
        histories: One row a query.
        targets: int32 [queries].
        users: int32 [queries], positions in the dataset.
    """

    histories: Sequences
    targets: IntArray
    users: IntArray

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: IntArray) -> "Queries":
        """The given queries, in the given order."""
        return Queries(self.histories.take(rows), self.targets[rows], self.users[rows])


@dataclass(frozen=True)
class Views:
    """What is asked, and which rows of it each view consists of.

    Attributes:
        queries: The views that are scored, by name.
        rows: For every view, the scored view that holds it and its rows there.
        events: For `forget` and `unseen_train`, which interaction of the data each query asks for.
    """

    queries: Mapping[str, Queries]
    rows: Mapping[str, tuple[str, IntArray]]
    events: Mapping[str, IntArray] = field(default_factory=dict)

    def users(self, view: str) -> IntArray:
        """int32 [queries of the view]."""
        parent, rows = self.rows[view]
        return self.queries[parent].users[rows]


def build(
    data: Interactions,
    split: Split,
    seed: int,
    reach: int | None = None,
    held_out: Part = Part.TEST,
    whole: Split | None = None,
    world: Split | None = None,
) -> Views:
    """All views of a split.

    `retain` (and `unseen`, or `affected` for an interactions request): the test item after all earlier
    interactions that were not taken away; where items are withdrawn, of everybody whose test item is none of them, so
    that there is no other. `forget` and `unseen_train`: training transitions of F and T (`Split.asked_as_trained`),
    at most `PER_USER` a user (of a stream, of what they ask for at each step), drawn by seed; where interactions were
    drawn in pairs, both of a pair are asked, at the same place of both views. `neighbours` and `controls`:
    rows of `retain`.

    Args:
        reach: How many of a user's last training transitions the recommender's training can touch; None for all.
        held_out: `VALIDATION` asks for the validation item wherever the test item is asked for otherwise: of test items
            nothing is then left in any query.
        whole: Of a stream, the split after its last step: what is asked must be possible to ask there, too.
        world: The split as it is in the second world, whose models are asked the same after what stands in histories
            there. It is another in a stream of items only, until its last step.
    """
    draw = _drawing(data, split, seeds.generator(seed, "views"))
    queries = {"retain": _held_out(data, split, split.retained_users, held_out)}
    if split.kind != "items":  # there everybody is asked, and stands in `retain`
        other = "unseen" if split.kind == "users" else "affected"
        queries[other] = _held_out(data, split, split.unseen_users, held_out)
    forgotten, unseen = (_askable(data, split, part, reach, whole or split) for part in (Part.FORGET, Part.UNSEEN))
    if split.asked_alike:
        # Pairs are adjacent and apart from each other, so the nth of F and the nth of T are one.
        able = np.isin(split.events(Part.FORGET), forgotten) & np.isin(split.events(Part.UNSEEN), unseen)
        chosen = draw(split.events(Part.FORGET), np.flatnonzero(able))
        events = {"forget": split.events(Part.FORGET)[chosen], "unseen_train": split.events(Part.UNSEEN)[chosen]}
    else:
        events = {
            view: of[draw(of, np.arange(len(of)))] for view, of in (("forget", forgotten), ("unseen_train", unseen))
        }
    for view, part in (("forget", Part.FORGET), ("unseen_train", Part.UNSEEN)):
        asked = events[view]
        queries[view] = Queries(
            _histories(data, _before(world or split, part), asked), data.item[asked], data.user[asked]
        )
    rows = {view: (view, np.arange(len(q))) for view, q in queries.items()}

    def similar() -> Mapping[str, tuple[str, IntArray]]:
        own = queries["retain"].users
        found = zip(SIMILAR, neighbours(data, split), strict=True)
        return {view: ("retain", np.flatnonzero(np.isin(own, users))) for view, users in found}

    return Views(queries, _Rows(rows, similar), events)


class _Rows(Mapping[str, tuple[str, IntArray]]):
    """`Views.rows`; those of similar users are looked for when somebody first asks, since that takes a while among
    many users, and who only scores models never does.
    """

    def __init__(
        self,
        known: Mapping[str, tuple[str, IntArray]],
        similar: Callable[[], Mapping[str, tuple[str, IntArray]]],
    ) -> None:
        self._known, self._look = known, similar

    @cached_property
    def _similar(self) -> Mapping[str, tuple[str, IntArray]]:
        return self._look()

    def __getitem__(self, view: str) -> tuple[str, IntArray]:
        return self._similar[view] if view in SIMILAR else self._known[view]

    def __iter__(self) -> Iterator[str]:
        yield from self._known
        yield from SIMILAR

    def __len__(self) -> int:
        return len(self._known) + len(SIMILAR)


def neighbours(data: Interactions, split: Split) -> tuple[IntArray, IntArray]:
    """The users of R most similar to F, and as many users who are nobody's neighbour, matched to them.

    Similarity is Jaccard of training item sets, the `NEAREST` nearest of each user of F, without repeats; no
    model is involved, so every model is asked about the same users. Controls are assigned one to one by
    distance in standardised log history length and popularity of taste. Where items are withdrawn, it is the users who
    lose the largest share of their history that stand near; see `MOST_AFFECTED`.
    """
    r = split.retained_users
    near = _most_affected(data, split) if split.kind == "items" else _most_similar(data, split)
    rest = np.setdiff1d(r, near)
    if not len(rest):
        return near, rest
    length = np.log1p(training_counts(data, split.part))
    taste = popularity_of_taste(data, split.part)
    features = np.stack([length, taste], axis=1)
    features = (features - features[r].mean(axis=0)) / np.maximum(features[r].std(axis=0), 1e-12)
    distance = np.zeros((len(near), len(rest)))
    for of in features.T:  # not both at once: one table of everybody by everybody is large enough
        distance += (of[near][:, None] - of[rest]) ** 2
    _, columns = linear_sum_assignment(distance)
    return near, np.sort(rest[columns])


def _most_similar(data: Interactions, split: Split) -> IntArray:
    r = split.retained_users
    forget, retained = (select(data, _training_of(data, split, users)) for users in (split.forget_users, r))
    similar = jaccard(forget, retained, data.n_items)
    return np.unique(r[np.argsort(-similar, axis=1, kind="stable")[:, :NEAREST]])


def _most_affected(data: Interactions, split: Split) -> IntArray:
    r = split.retained_users
    kept, lost = (
        np.bincount(data.user[split.part == part], minlength=data.n_users)[r] for part in (Part.RETAINED, Part.FORGET)
    )
    share = lost / np.maximum(kept + lost, 1)
    most = np.argsort(-share, kind="stable")[: int(MOST_AFFECTED * len(r))]
    return np.sort(r[most[share[most] > 0]])


def _training_of(data: Interactions, split: Split, users: IntArray) -> BoolArray:
    mask: BoolArray = np.isin(data.user, users) & (split.part <= Part.FORGET)
    return mask


def jaccard(a: Sequences, b: Sequences, n_items: int) -> npt.NDArray[np.float64]:
    """float64 [rows of a, rows of b]: the similarity of the sets of items."""
    sets_a, sets_b = (_incidence(rows, n_items) for rows in (a, b))
    shared = (sets_a @ sets_b.T).toarray()
    sizes_a, sizes_b = (np.asarray(sets.sum(axis=1)) for sets in (sets_a, sets_b))
    out: npt.NDArray[np.float64] = shared / np.maximum(sizes_a[:, None] + sizes_b[None, :] - shared, 1)
    return out


def _incidence(rows: Sequences, n_items: int) -> csr_array:
    """0/1 [rows, items]."""
    # Merging repeats works in place, so the matrix must not share the rows' own arrays.
    content = (np.ones(len(rows.items)), rows.items, rows.offsets)
    matrix = csr_array(content, shape=(len(rows), n_items), copy=True)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _visible(split: Split) -> BoolArray:
    """The interactions that may stand in a history: what was taken away, by its user or from everybody, may not."""
    if split.kind == "users":
        return np.ones(len(split.part), dtype=np.bool_)
    stays: BoolArray = ~np.isin(split.part, (Part.FORGET, Part.UNSEEN, Part.UNUSED))
    return stays


def _before(split: Split, part: Part) -> BoolArray:
    """The interactions that may stand before one of F (or T) that is asked for: see `Split.asked_as_trained`."""
    if not split.asked_as_trained:
        return _visible(split)
    other = () if split.kind == "users" else ({Part.FORGET: Part.UNSEEN, Part.UNSEEN: Part.FORGET}[part], Part.UNUSED)
    stands: BoolArray = ~np.isin(split.part, other)
    return stands


def _histories(data: Interactions, visible: BoolArray, events: IntArray) -> Sequences:
    """For each event, the visible items of the same user that stand before it."""
    before = np.concatenate([[0], np.cumsum(visible)])
    kept_items = data.item[visible]
    starts = before[data.offsets[data.user[events]]]
    lengths = before[events] - starts
    return Sequences(kept_items[ragged(starts, lengths)], offsets_of(lengths), data.user[events])


def _held_out(data: Interactions, split: Split, users: IntArray, part: Part) -> Queries:
    events = np.flatnonzero((split.part == part) & np.isin(data.user, users))
    histories = _histories(data, _visible(split), events)
    some = np.flatnonzero(histories.lengths > 0)
    return Queries(histories.take(some), data.item[events][some], data.user[events][some])


def _askable(data: Interactions, split: Split, part: Part, reach: int | None, last: Split) -> IntArray:
    """The interactions of a part that have a history (also after the last step), and that training can reach.

    Both are told by the last step, so that at every step the same are asked about.
    """
    events = split.events(part)
    able = _histories(data, _before(last, part), events).lengths > 0
    if reach is not None:
        before = np.concatenate([[0], np.cumsum(last.part <= Part.UNSEEN)])
        able &= before[data.offsets[data.user[events] + 1]] - before[events] <= reach
    return events[able]


def _drawing(data: Interactions, split: Split, rng: np.random.Generator) -> Callable[[IntArray, IntArray], IntArray]:
    """What draws at most `PER_USER` of each user's events: given events, and the places among them that may be drawn.

    Of a stream, as many of each user and step, by lots that hang on nothing else: what was drawn at one step is drawn
    at all later ones, so that what changes from step to step is the model.
    """
    if not len(split.steps):
        return lambda events, able: _first_of_each(data.user[events], rng.permutation(able))
    lots = rng.random(len(data.item))
    owner = data.user.astype(np.int64) * (int(split.steps.max()) + 1) + asked_at(data, split)
    return lambda events, able: _first_of_each(owner[events], able[np.argsort(lots[events[able]], kind="stable")])


def _first_of_each(owner: IntArray, order: IntArray) -> IntArray:
    """The first `PER_USER` rows of each owner in an order of rows; ascending."""
    order = order[np.argsort(owner[order], kind="stable")]
    of = owner[order]
    first = np.searchsorted(of, of, side="left")
    return np.sort(order[np.arange(len(order)) - first < PER_USER])
