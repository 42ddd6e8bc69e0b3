"""MovieLens: Harper and Konstan, "The MovieLens Datasets", ACM TiiS 5(4), 2015.

MovieLens-100K is fetched once into the user's cache: from the package index, where the wheel `recbole==1.2.1` carries
it, or from GroupLens' archive; whatever the source, the table's own checksum decides. MovieLens-1M is read from a local
folder, or fetched from GroupLens' archive and verified by what it must hold, since no checksum of it is pinned.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vestige.data.interactions import Interactions
from vestige.data.textfiles import read_lines
from vestige.errors import InputError
from vestige.pipeline.store import write_atomically
from vestige.progress import Progress
from vestige_datasets import fetching, readers
from vestige_datasets.configs import MovieLens1MConfig, MovieLens100KConfig

WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
INSIDE_WHEEL = "recbole/dataset_example/ml-100k/ml-100k.inter"
ARCHIVE = "https://files.grouplens.org/datasets/movielens/"
TABLE_SHA256 = "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"

ROWS, USERS, ITEMS = 1_000_209, 6_040, 3_706
"""What MovieLens-1M holds, by its own README."""

IN_FOLDER = ("ml-1m.inter", "ratings.dat")
"""Files that a local MovieLens-1M may be, in the order in which they are looked for."""

USER_INDEX = "user_indexing.txt"


class MovieLens100K:
    """100,000 ratings of 943 users and 1,682 films."""

    def __init__(self, config: MovieLens100KConfig, cache: Path) -> None:
        self.config = config
        self.folder = cache
        self.file = cache / "ml-100k.inter"

    def fingerprint(self) -> Mapping[str, str]:
        """The table's checksum, the same on every machine."""
        return {"sha256": TABLE_SHA256}

    def is_local(self) -> bool:
        """Whether the verified table lies in the cache."""
        return self.file.exists() and readers.sha256(self.file) == TABLE_SHA256

    def fetch(self, progress: Progress) -> None:
        """Downloads and verifies the table; a table that was damaged is fetched again."""
        if self.is_local():
            return
        sources: dict[str, fetching.Source] = {
            "package-index": lambda: fetching.from_wheel(WHEEL, WHEEL_SHA256, INSIDE_WHEEL),
            "grouplens": lambda: HEADER + fetching.from_archive(ARCHIVE + "ml-100k.zip", "ml-100k/u.data"),
        }
        if self.config.source != "auto":
            sources = {self.config.source: sources[self.config.source]}
        instead = "give a local copy with [dataset] name = 'interactions', path = '…/u.data'."
        fetching.fetch_first("ml-100k", sources, _not_100k, self.file, progress, instead)

    def load(self) -> Interactions:
        """All ratings, or those that the filters keep."""
        if not self.is_local():
            raise InputError("ml-100k is not on this machine yet; run: vestige data fetch ml-100k")
        return readers.read(self.file, "inter", self.config.core, self.config.min_rating)


def _not_100k(table: bytes) -> str:
    right = hashlib.sha256(table).hexdigest() == TABLE_SHA256
    return "" if right else f"the table's checksum is not {TABLE_SHA256[:12]}…"


class MovieLens1M:
    """1,000,209 ratings of 6,040 users and 3,706 films, from `config.folder` or GroupLens."""

    def __init__(self, config: MovieLens1MConfig, cache: Path) -> None:
        self.config = config
        self.folder = None if config.folder is None else Path(config.folder).expanduser()
        self.fetched = cache / "ratings.dat"
        self.verified = cache / "verified.json"

    def fingerprint(self) -> Mapping[str, str]:
        """The checksum of the file that is read, and of the user index beside it."""
        file = self._file()
        found = {"sha256": readers.sha256(file), "file": file.name}
        index = file.parent / USER_INDEX
        return {**found, USER_INDEX: readers.sha256(index)} if index.exists() else found

    def is_local(self) -> bool:
        """Whether the folder, or the verified table in the cache, is there."""
        if self.folder is not None:
            return any((self.folder / name).is_file() for name in IN_FOLDER)
        try:
            known = json.loads(self.verified.read_bytes())["sha256"]
        except (OSError, ValueError, KeyError):
            return False
        return self.fetched.exists() and readers.sha256(self.fetched) == known

    def fetch(self, progress: Progress) -> None:
        """Downloads GroupLens' table and verifies its counts; with a local folder only looks whether it is there."""
        if self.is_local():
            return
        if self.folder is not None:
            self._file()
        sources: dict[str, fetching.Source] = {
            "grouplens": lambda: fetching.from_archive(ARCHIVE + "ml-1m.zip", "ml-1m/ratings.dat")
        }
        instead = f"give a local copy with [dataset] folder = '…', which holds {' or '.join(IN_FOLDER)}."
        fetching.fetch_first("ml-1m", sources, not_1m, self.fetched, progress, instead)
        write_atomically(self.verified, json.dumps({"sha256": readers.sha256(self.fetched)}).encode())

    def load(self) -> Interactions:
        """All ratings, or those that the filters keep; the notes say what was verified.

        Raises:
            InputError: The file or the user index is malformed, or they name different users.
        """
        file = self._file()
        columns = readers.read_columns(file)
        index = file.parent / USER_INDEX
        if index.exists():
            check_user_index(index, columns.users.tolist(), file.name)
        data = readers.interactions(columns, file, self.config.core, self.config.min_rating)
        return replace(data, notes={**data.notes, "verified": self._verified(columns, index.exists())})

    def _file(self) -> Path:
        if self.folder is None:
            if not self.is_local():
                raise InputError("ml-1m is not on this machine yet; run: vestige data fetch ml-1m")
            return self.fetched
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: there is no such folder; ml-1m is looked for there.")
        for name in IN_FOLDER:
            if (self.folder / name).is_file():
                return self.folder / name
        raise InputError(f"{self.folder}: the folder holds neither {' nor '.join(IN_FOLDER)}.")

    def _verified(self, columns: readers.Columns, indexed: bool) -> str:
        whole = _counts(columns.users.tolist(), columns.items.tolist()) == (ROWS, USERS, ITEMS)
        said = f"{ROWS:,} rows, {USERS:,} users and {ITEMS:,} items, as in the original; no checksum is known"
        if not whole:
            said = f"not the whole of MovieLens-1M ({len(columns.users):,} of {ROWS:,} rows); no checksum is known"
        return said + (f"; its users are those of {USER_INDEX}" if indexed else "")


def not_1m(table: bytes) -> str:
    """What speaks against `table` being GroupLens' `ratings.dat`; empty where nothing does.

    GroupLens' checksum is not pinned here, so the table is told by its counts.
    """
    fields = [line.split(b"::") for line in table.splitlines() if line.strip()]
    if any(len(row) != 4 for row in fields):
        return "the table is no ratings.dat (user::item::rating::timestamp)"
    counts = _counts([row[0] for row in fields], [row[1] for row in fields])
    if counts == (ROWS, USERS, ITEMS):
        return ""
    return "the table has {:,} rows, {:,} users and {:,} items, not {:,}, {:,} and {:,}".format(
        *counts, ROWS, USERS, ITEMS
    )


def _counts(users: list[bytes] | list[str], items: list[bytes] | list[str]) -> tuple[int, int, int]:
    return len(users), len(set(users)), len(set(items))


def check_user_index(index: Path, users: list[str], source: str) -> None:
    """Checks that `user_indexing.txt` (`original new` a line) and the interactions name the same users.

    Raises:
        InputError: A line is malformed, an id stands twice, or a user is unknown to the other file.
    """
    line_of: dict[str, int] = {}
    new: dict[str, int] = {}
    for number, line in enumerate(read_lines(index), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise InputError(f"{index}, line {number}: two fields are needed (original new), not {len(fields)}.")
        for known, name in ((line_of, fields[0]), (new, fields[1])):
            if name in known:
                raise InputError(f"{index}, line {number}: the id {name!r} already stands in line {known[name]}.")
            known[name] = number
    present = set(np.unique(np.asarray(users)).tolist())
    strange = sorted(present - line_of.keys(), key=_by_number)
    if strange:
        raise InputError(f"{index}: user {strange[0]!r} of {source} is not in it ({len(strange)} users are missing).")
    absent = [name for name in line_of if name not in present]
    if absent:
        raise InputError(
            f"{index}, line {line_of[absent[0]]}: user {absent[0]!r} has no interaction in {source} "
            f"({len(absent)} users are unknown there)."
        )


def _by_number(name: str) -> tuple[int, str]:
    return len(name), name
