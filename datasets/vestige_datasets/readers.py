"""Reads interaction files: RecBole's `.inter`, `ratings.dat`, S3-Rec sequences, OpenP5 folders.

A reader returns raw columns; `vestige.data.interactions.from_columns` validates and sorts them.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from vestige.data.interactions import Interactions, from_columns
from vestige.data.textfiles import read_lines
from vestige.errors import InputError

Format = Literal["inter", "ratings.dat", "s3rec", "openp5"]
FloatColumn = npt.NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)
"""Ratings are kept as float32."""


@dataclass(frozen=True)
class Columns:
    """Raw columns [rows]; ratings and timestamps are None where the file has none."""

    users: npt.NDArray[np.str_]
    items: npt.NDArray[np.str_]
    ratings: FloatColumn | None = None
    timestamps: FloatColumn | None = None


def read(path: Path, form: Format | None = None, core: int = 0, min_rating: float | None = None) -> Interactions:
    """Reads a file (or an OpenP5 folder) of any known form; the form is told from its name and first line.

    Args:
        path: The file or folder.
        form: Its form, where it should not be guessed.
        core: See `from_columns`.
        min_rating: Interactions with a lower rating are left out.

    Raises:
        InputError: The file is missing, empty, not UTF-8 or malformed; names the line.
    """
    file = source_file(path)
    return interactions(read_columns(file, form), file, core, min_rating)


def read_columns(file: Path, form: Format | None = None) -> Columns:
    """The raw columns of a file; see `read`."""
    return READERS[form or sniff(file)](file, read_lines(file))


def interactions(columns: Columns, file: Path, core: int = 0, min_rating: float | None = None) -> Interactions:
    """The interactions of raw columns, filtered; see `read`."""
    below = 0
    if min_rating is not None:
        if columns.ratings is None:
            raise InputError(f"{file}: min_rating = {min_rating:g} was asked for, but the file has no ratings.")
        keep = columns.ratings >= min_rating
        below = int((~keep).sum())
        columns = Columns(
            columns.users[keep],
            columns.items[keep],
            columns.ratings[keep],
            None if columns.timestamps is None else columns.timestamps[keep],
        )
    data = from_columns(columns.users, columns.items, columns.ratings, columns.timestamps, file.name, core)
    if min_rating is not None:
        data = replace(data, notes={**data.notes, f"interactions rated below {min_rating:g}": below})
    return data


def source_file(path: Path) -> Path:
    """The file to read: `path` itself, or `user_sequence.txt` in an OpenP5 folder.

    Raises:
        InputError: There is nothing to read.
    """
    if path.is_dir():
        inside = path / "user_sequence.txt"
        if not inside.exists():
            raise InputError(
                f"{path}: this is a folder without user_sequence.txt, so it is no OpenP5 dataset; name a file."
            )
        return inside
    if not path.exists():
        raise InputError(f"{path}: there is no such file.")
    return path


def sha256(file: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from None


def sniff(file: Path) -> Format:
    """The form of a file, from its name and its first line."""
    if file.name == "user_sequence.txt":
        return "openp5"
    first = read_lines(file)[0]
    if "::" in first:
        return "ratings.dat"
    if "\t" in first or file.suffix == ".inter":
        return "inter"
    if re.fullmatch(r"\S+( \S+)+ ?", first):
        return "s3rec"
    raise InputError(
        f"{file}, line 1: {first[:40]!r} fits no known form; known: .inter (tabs), ratings.dat (::), "
        "S3-Rec sequences (blanks), an OpenP5 folder."
    )


def read_inter(file: Path, lines: Sequence[str]) -> Columns:
    """RecBole's `.inter`: tab-separated, with its typed header (`user_id:token …`), the same without types, or none:
    `user item rating timestamp` then.
    """
    head = lines[0].split("\t")
    typed = [field.partition(":") for field in head]
    plain = {"user_id", "item_id"} <= set(head)
    if plain or all(kind in ("token", "float", "token_seq", "float_seq") for _, _, kind in typed):
        names = [name for name, _, _ in typed]
        for needed in ("user_id", "item_id"):
            if needed not in names:
                raise InputError(f"{file}, line 1: the header names no {needed}.")
        rows, first = lines[1:], 2
    else:
        names, rows, first = ["user_id", "item_id", "rating", "timestamp"], lines, 1
        if len(head) != len(names):
            raise InputError(
                f"{file}, line 1: {len(names)} tab-separated fields are needed ({', '.join(names)}), not {len(head)}."
            )
    table = _table(file, rows, first, "\t", len(names))
    if not table:
        raise InputError(f"{file}: it has a header but no interactions.")

    def column(name: str) -> list[str]:
        position = names.index(name)
        return [row[position] for _, row in table]

    numbers = [number for number, _ in table]
    return Columns(
        _ids(file, numbers, column("user_id"), "user"),
        _ids(file, numbers, column("item_id"), "item"),
        _numbers(file, numbers, column("rating"), "rating") if "rating" in names else None,
        _numbers(file, numbers, column("timestamp"), "timestamp") if "timestamp" in names else None,
    )


def read_ratings_dat(file: Path, lines: Sequence[str]) -> Columns:
    """MovieLens' original `ratings.dat`: `user::item::rating::timestamp`."""
    table = _table(file, lines, 1, "::", 4)
    numbers = [number for number, _ in table]
    return Columns(
        _ids(file, numbers, [row[0] for _, row in table], "user"),
        _ids(file, numbers, [row[1] for _, row in table], "item"),
        _numbers(file, numbers, [row[2] for _, row in table], "rating"),
        _numbers(file, numbers, [row[3] for _, row in table], "timestamp"),
    )


def read_sequences(file: Path, lines: Sequence[str]) -> Columns:
    """`user item item …` a line, in order (S3-Rec; OpenP5's `user_sequence.txt`)."""
    users: list[str] = []
    items: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2:
            raise InputError(f"{file}, line {number}: a user and at least one item are needed.")
        if fields[0] in seen:
            raise InputError(f"{file}, line {number}: user {fields[0]!r} already has line {seen[fields[0]]}.")
        seen[fields[0]] = number
        users += [fields[0]] * (len(fields) - 1)
        items += fields[1:]
    return Columns(np.asarray(users), np.asarray(items))


READERS: dict[Format, Callable[[Path, Sequence[str]], Columns]] = {
    "inter": read_inter,
    "ratings.dat": read_ratings_dat,
    "s3rec": read_sequences,
    "openp5": read_sequences,
}


def _table(file: Path, lines: Sequence[str], first: int, separator: str, width: int) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not blank."""
    out = []
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        fields = line.split(separator)
        if len(fields) != width:
            few = "few" if len(fields) < width else "many"
            raise InputError(f"{file}, line {number}: too {few} fields ({len(fields)}, not {width}): {line[:60]!r}.")
        out.append((number, fields))
    return out


def _ids(file: Path, numbers: Sequence[int], texts: Sequence[str], what: str) -> npt.NDArray[np.str_]:
    for number, text in zip(numbers, texts, strict=True):
        if not text.strip():
            raise InputError(f"{file}, line {number}: the {what} is missing.")
    return np.asarray(texts)


def _numbers(file: Path, numbers: Sequence[int], texts: Sequence[str], what: str) -> FloatColumn:
    try:
        values = np.asarray(texts, dtype=np.float64)
    except ValueError:
        values = np.asarray([_number(text) for text in texts], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(f"{file}, line {numbers[bad[0]]}: the {what} {texts[bad[0]]!r} is not a number.")
    large = np.flatnonzero(np.abs(values) > LARGEST)
    if len(large):
        raise InputError(f"{file}, line {numbers[large[0]]}: the {what} {texts[large[0]]!r} is too large.")
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
