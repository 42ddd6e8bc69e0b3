"""Amazon Beauty, as the sequence file of S3-Rec.

The file is `data/Beauty.txt` of S3-Rec's repository: Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential
Recommendation with Mutual Information Maximization", CIKM 2020 (arXiv 2008.07873). The authors made it of the Amazon
reviews up to 2014 of McAuley et al., "Image-Based Recommendations on Styles and Substitutes", SIGIR 2015 (arXiv
1506.04757). One line a user, `user item item …`, all of them numbers, oldest first; neither ratings nor times. It is
read from a local copy, and verified by what it must hold, since no checksum of it is pinned.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vestige.data.interactions import Interactions
from vestige.data.textfiles import read_lines
from vestige.errors import InputError
from vestige.progress import Progress
from vestige_datasets import readers
from vestige_datasets.configs import AmazonBeautyConfig

ROWS, USERS, ITEMS = 198_502, 22_363, 12_101
"""What S3-Rec's Beauty holds, by its paper."""

FILE = "Beauty.txt"
HOMEPAGE = "https://github.com/aHuiWang/CIKM2020-S3Rec"


class AmazonBeauty:
    """198,502 interactions of 22,363 users with 12,101 items, from `config.path`; nothing is fetched."""

    def __init__(self, config: AmazonBeautyConfig, cache: Path) -> None:
        self.config = config
        self.path = None if config.path is None else Path(config.path).expanduser()

    def fingerprint(self) -> Mapping[str, str]:
        """The checksum of the file."""
        file = self._file()
        return {"sha256": readers.sha256(file), "file": file.name}

    def is_local(self) -> bool:
        """Whether the file is there."""
        return self.path is not None and (self.path / FILE if self.path.is_dir() else self.path).is_file()

    def fetch(self, progress: Progress) -> None:
        """Raises `InputError` where the file is missing, and says where it comes from."""
        self._file()

    def load(self) -> Interactions:
        """All interactions, or those that the filters keep; the notes say what was verified.

        Raises:
            InputError: The file is missing, empty or malformed, or is asked for ratings that it does not have.
        """
        file = self._file()
        lines = read_lines(file)
        _check_numbers(file, lines)
        columns = readers.read_sequences(file, lines)
        data = readers.interactions(columns, file, self.config.core, self.config.min_rating)
        return replace(data, notes={**data.notes, **_said(columns)})

    def _file(self) -> Path:
        if self.path is None:
            raise InputError(
                f"amazon-beauty is not fetched: take data/{FILE} from {HOMEPAGE} and name it, or its folder, in the "
                "board ([dataset] path = '…') or with vestige data info amazon-beauty --path …"
            )
        if not self.path.is_dir():
            return readers.source_file(self.path)
        if not (self.path / FILE).is_file():
            raise InputError(f"{self.path}: the folder holds no {FILE}.")
        return self.path / FILE


def _check_numbers(file: Path, lines: list[str]) -> None:
    for number, line in enumerate(lines, start=1):
        strange = next((field for field in line.split() if not (field.isascii() and field.isdigit())), None)
        if strange is not None:
            raise InputError(f"{file}, line {number}: {strange!r} is not a number; a user and items are needed.")


def _said(columns: readers.Columns) -> dict[str, str]:
    counts = len(columns.users), len(set(columns.users.tolist())), len(set(columns.items.tolist()))
    whole = counts == (ROWS, USERS, ITEMS)
    verified = f"{ROWS:,} interactions, {USERS:,} users and {ITEMS:,} items, as in S3-Rec's paper"
    if not whole:
        verified = f"not the whole of S3-Rec's Beauty ({counts[0]:,} of {ROWS:,} interactions)"
    return {
        "timestamps": "none in the source; the order in time is the position in the line",
        "ratings": "none in the source",
        "verified": f"{verified}; no checksum is known",
    }
