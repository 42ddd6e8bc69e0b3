"""The small world that plugins are checked in: some sixty users, some forty items, and canaries.

A canary is an item that occurs only where no method may look: as a test or validation item. `elsewhere` is the same
world with other held-out and never-trained interactions: whoever sees no more than the training data of R and F cannot
tell the two apart.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vestige.data.interactions import Interactions, from_columns
from vestige.data.request import HoldoutConfig, Kind, Part, RequestConfig, Split, draw, training
from vestige.data.sequences import IntArray, Sequences
from vestige.methods import Budget, Maker, Task, TrainsBase
from vestige.pipeline.inputs import save_data, save_split
from vestige.pipeline.keys import key_of
from vestige.pipeline.store import Artifact, Store
from vestige.pipeline.tasks import make_task
from vestige.progress import Progress, silent
from vestige.recommenders.contract import Catalogue, Recommender

if TYPE_CHECKING:
    from vestige.recommenders.t5 import T5Recommender

USERS, ITEMS, CANARIES = 60, 32, 8
"""`ITEMS` are trained on; items after them are canaries."""

FORGOTTEN, WITHDRAWN = 8, 5
"""So many users are forgotten, or have interactions that are; so many items are withdrawn."""


def interactions() -> Interactions:
    """60 users with 8 to 14 interactions each; an item is half of the time followed by the one after it."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(8, 15, USERS)
    items = []
    for length in lengths:
        row = [int(rng.integers(ITEMS))]
        while len(row) < length - 2:
            row.append((row[-1] + 1) % ITEMS if rng.random() < 0.5 else int(rng.integers(ITEMS)))
        items += [*row, *(ITEMS + rng.integers(0, CANARIES, 2)).tolist()]
    users = np.repeat(np.arange(USERS), lengths)
    return from_columns(users, np.asarray(items), None, np.arange(len(users)), "the world of vestige.testing")


def request(data: Interactions, kind: Kind) -> Split:
    """R, F and T of the small world."""
    count = WITHDRAWN if kind == "items" else FORGOTTEN
    return draw(data, RequestConfig(kind=kind, count=count, percent=20), HoldoutConfig(), seed=0)


def elsewhere(data: Interactions, split: Split) -> Interactions:
    """The same R and F; other held-out interactions, and other ones of T."""
    item = data.item.copy()
    held_out, unseen = split.part >= Part.VALIDATION, split.part == Part.UNSEEN
    item[held_out] = ITEMS + (item[held_out] - ITEMS + 1) % CANARIES
    item[unseen] = (item[unseen] + 1) % ITEMS
    return replace(data, item=item)


def only(split: Split, users: IntArray) -> Split:
    """The same split with only these users left in F; the others are retained."""
    kept = np.isin(split.forget_users, users)
    return replace(split, forget_users=split.forget_users[kept], unseen_users=split.unseen_users[kept])


def narrowed(data: Interactions, split: Split, users: IntArray) -> Split:
    """`only`, with the interactions of the others back in R."""
    part = split.part.copy()
    part[(part == Part.FORGET) & ~np.isin(data.user, users)] = Part.RETAINED
    return replace(only(split, users), part=part)


def tiny_t5(data: Interactions) -> "T5Recommender":
    """An untrained T5 that fits in a second, on one thread."""
    one_thread()
    from vestige.recommenders.t5 import T5Recommender
    from vestige.recommenders.t5_config import T5RecommenderConfig

    config = T5RecommenderConfig(
        d_model=16, d_ff=32, layers=1, heads=2, passes=3, window=8, context=8, recent=6, batch_size=16
    )
    return T5Recommender(config, catalogue(data), "cpu")


def maker(data: Interactions) -> Maker:
    """Makes the tiny T5, for a method that builds another recommender of it."""

    def load(folder: Path) -> Recommender:
        made = tiny_t5(data)
        return type(made).load(folder, made.config, made.catalogue, "cpu")

    return Maker(catalogue(data), "cpu", fresh=lambda: tiny_t5(data), load=load)


def one_thread() -> None:
    """Lets torch calculate on one thread: of tiny models, several only wait for each other."""
    import torch

    torch.set_num_threads(1)


def catalogue(data: Interactions) -> Catalogue:
    """All items."""
    return Catalogue(tuple(data.item_ids.tolist()))


def histories(data: Interactions, split: Split) -> Sequences:
    """What models are asked: the training sequence of every user, forgotten and never trained on included."""
    return training(data, split, [Part.RETAINED, Part.FORGET, Part.UNSEEN])


def scratch(owner: object) -> Path:
    """A folder that goes when `owner` does."""
    folder = Path(tempfile.mkdtemp(prefix="vestige-testing-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


class Place:
    """A world as a board's run lays it out: data, split and base in a store of its own.

    Args:
        root: The cache folder it lies in.
        base: What is kept as the base; trained on R ∪ F unless given.
        own: A method that trains its own base.
    """

    def __init__(
        self,
        root: Path,
        data: Interactions,
        split: Split,
        base: "Place | None" = None,
        own: TrainsBase | None = None,
    ) -> None:
        self.root, self.data, self.split, self.own = root, data, split, own
        self.store = Store(root / "store")
        self.store.make("data", data.content_hash, lambda folder: save_data(folder, data))
        key = key_of({"data": data.content_hash, "kind": split.kind})
        self.store.make("split", key, lambda folder: save_split(folder, split))
        fill: Callable[[Path], dict[str, Any]] = self._train if base is None else partial_copy(base.base)
        self.base: Artifact = self.store.make("train", key, fill)[0]

    def _train(self, folder: Path) -> dict[str, Any]:
        model = self.fresh()
        model.fit(self.trained_on(), 0, silent)
        model.save(folder)
        return {}

    def trained_on(self) -> Sequences:
        """R ∪ F."""
        return training(self.data, self.split, [Part.RETAINED, Part.FORGET])

    def fresh(self) -> Recommender:
        """An untrained recommender: the tiny T5, or what the method makes of it."""
        return tiny_t5(self.data) if self.own is None else self.own.recommender(maker(self.data))

    def read(self, folder: Path) -> Recommender:
        """What such a recommender has saved in a folder."""
        known = maker(self.data)
        return known.load(folder) if self.own is None else self.own.load_recommender(folder, known)

    def recommender(self) -> Recommender:
        """A private copy of the base."""
        return self.read(self.base.folder)

    def task(
        self,
        seed: int = 1,
        split: Split | None = None,
        budget: Budget | None = None,
        progress: Progress = silent,
    ) -> Task:
        """The task of forgetting F, as the pipeline makes it."""
        return make_task(
            self.data,
            split or self.split,
            Part.FORGET,
            recommender=self.recommender(),
            seed=seed,
            device="cpu",
            budget=budget or Budget(passes=3, seconds=1.0),
            progress=progress,
            fresh=self.fresh,
        )

    @contextlib.contextmanager
    def as_cache(self) -> Iterator[None]:
        """While it lasts, this is the user's cache: whoever looks for the board's data finds this world's."""
        before = os.environ.get("VESTIGE_CACHE")
        os.environ["VESTIGE_CACHE"] = str(self.root)
        try:
            yield
        finally:
            if before is None:
                del os.environ["VESTIGE_CACHE"]
            else:
                os.environ["VESTIGE_CACHE"] = before

    def digest(self) -> str:
        """Of the base's files."""
        digest = hashlib.sha256()
        for file in sorted(self.base.folder.rglob("*")):
            if file.is_file():
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def partial_copy(base: Artifact) -> Callable[[Path], dict[str, Any]]:
    """Fills a folder with the files of an artifact, its manifest left out."""

    def fill(folder: Path) -> dict[str, Any]:
        shutil.copytree(base.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        return {}

    return fill


def array_digest(value: Any) -> str:
    """Of all arrays inside dataclasses, mappings and sequences."""
    digest = hashlib.sha256()
    for array in _arrays(value):
        digest.update(str(array.dtype).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from _arrays(value[key])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _arrays(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            yield from _arrays(getattr(value, part.name))


def tiny_task(kind: Kind = "users", own: TrainsBase | None = None) -> Task:
    """A task of the small world, with a trained tiny T5 (or what `own` makes of it): what a method's own tests can
    begin with.
    """
    data = interactions()
    split = request(data, kind)

    def fresh() -> Recommender:
        return tiny_t5(data) if own is None else own.recommender(maker(data))

    model = fresh()
    model.fit(training(data, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return make_task(
        data,
        split,
        Part.FORGET,
        recommender=model,
        seed=1,
        device="cpu",
        budget=Budget(passes=3, seconds=1.0),
        progress=silent,
        fresh=fresh,
    )
