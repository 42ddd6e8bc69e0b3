"""MovieLens-100K: Harper and Konstan, "The MovieLens Datasets", ACM TiiS 5(4), 2015.

The table is fetched once into the user's cache: from the package index, where the wheel `recbole==1.2.1` carries
it, or from GroupLens' archive. Whatever the source, the table's own checksum decides.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from vestige.data.interactions import Interactions
from vestige.errors import InputError
from vestige.pipeline.store import write_atomically
from vestige.progress import Progress
from vestige_datasets import readers
from vestige_datasets.configs import MovieLens100KConfig

WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
INSIDE_WHEEL = "recbole/dataset_example/ml-100k/"
ARCHIVE = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
TABLE_SHA256 = "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


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
        sources: dict[str, Callable[[], bytes]] = {"package-index": _from_wheel, "grouplens": _from_archive}
        if self.config.source != "auto":
            sources = {self.config.source: sources[self.config.source]}
        failures = []
        for number, (name, source) in enumerate(sources.items()):
            progress(number / len(sources), f"fetching ml-100k from {name}")
            try:
                table = source()
            except (OSError, subprocess.SubprocessError, KeyError, zipfile.BadZipFile, _WrongChecksum) as error:
                failures.append(f"{name}: {_last_line(error)}")
                continue
            if hashlib.sha256(table).hexdigest() != TABLE_SHA256:
                failures.append(f"{name}: the table's checksum is not {TABLE_SHA256[:12]}…")
                continue
            write_atomically(self.file, table)
            return
        raise InputError(
            "ml-100k could not be fetched (" + "; ".join(failures) + "); give a local copy with "
            "[dataset] name = 'interactions', path = '…/u.data'."
        )

    def load(self) -> Interactions:
        """All ratings, or those that the filters keep."""
        if not self.is_local():
            raise InputError("ml-100k is not on this machine yet; run: vestige data fetch ml-100k")
        return readers.read(self.file, "inter", self.config.core, self.config.min_rating)


class _WrongChecksum(Exception):
    pass


def _from_wheel() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "-d",
                folder,
                WHEEL,
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
        (wheel,) = Path(folder).glob("*.whl")
        if readers.sha256(wheel) != WHEEL_SHA256:
            raise _WrongChecksum(f"the checksum of {wheel.name} is not {WHEEL_SHA256[:12]}…")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(INSIDE_WHEEL + "ml-100k.inter")


def _from_archive() -> bytes:
    with urllib.request.urlopen(ARCHIVE, timeout=60) as answer:
        content = answer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return HEADER + archive.read("ml-100k/u.data")


def _last_line(error: Exception) -> str:
    text = error.stderr if isinstance(error, subprocess.CalledProcessError) and error.stderr else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[-1]
