"""Lists of interactions: `user<TAB>item` a line, and the published project's two JSON files, read and written.

`forget_samples_subset.json` is a list of objects with `user_id`, `seq_items` (the training items that stay, oldest
first) and `suppression_targets` (the later ones, which must be forgotten). `retain_samples_subset.json` has `user_id`
and `seq_items` only. Ids are text; numbers are taken as text.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from vestige import configs
from vestige.data.textfiles import read_lines, read_text
from vestige.errors import InputError

Kind = Literal["forget", "retain"]

FORGET_FILE, RETAIN_FILE = "forget_samples_subset.json", "retain_samples_subset.json"


@dataclass(frozen=True)
class Sample:
    """A user of an interchange file.

    Attributes:
        user_id: The original id.
        seq_items: Original ids of the training items that stay, oldest first.
        suppression_targets: Original ids of what must be forgotten; empty in a retain file.
    """

    user_id: str
    seq_items: tuple[str, ...]
    suppression_targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Named:
    """One interaction that a file names.

    Attributes:
        place: Where in the file, such as `line 3`.
        user, item: Original ids.
    """

    place: str
    user: str
    item: str


class _Retain(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(coerce_numbers_to_str=True, strict=False)

    user_id: str
    seq_items: tuple[str, ...]


class _Forget(_Retain):
    suppression_targets: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


def read_samples(path: Path, kind: Kind) -> tuple[Sample, ...]:
    """The users of an interchange file, in its order.

    Raises:
        InputError: It is no such file; names the line, or the entry and the key.
    """
    try:
        entries = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})."
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists in lists
        raise InputError(f"{path}: it cannot be read ({str(error).partition(';')[0]}).") from None
    if not isinstance(entries, list) or not entries:
        what = "an empty list" if entries == [] else f"{type(entries).__name__!r}"
        raise InputError(f"{path}: a list of samples is needed (user_id, seq_items, …), not {what}.")
    model = _Forget if kind == "forget" else _Retain
    samples = []
    first: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise InputError(f"{path}, entry {number}: an object is needed (user_id, seq_items, …), not {entry!r:.40}.")
        user = entry.get("user_id")
        where = f"{path}, entry {number}" + ("" if user is None else f" (user {str(user)!r})")
        checked = configs.validate(model, entry, where)
        if checked.user_id in first:
            raise InputError(f"{where}: this user already stands in entry {first[checked.user_id]}.")
        first[checked.user_id] = number
        samples.append(Sample(**checked.model_dump()))
    return tuple(samples)


def to_json(samples: Iterable[Sample], kind: Kind) -> bytes:
    """What `read_samples` reads; the same samples give the same bytes."""
    keys = ["user_id", "seq_items"] + (["suppression_targets"] if kind == "forget" else [])
    entries = [{key: getattr(sample, key) for key in keys} for sample in samples]
    return (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode()


def read_named(path: Path) -> list[Named]:
    """The interactions that a file names: an interchange file if its name ends in `.json`, else `user<TAB>item` lines.

    Raises:
        InputError: The file is malformed; names the place.
    """
    if path.suffix.lower() == ".json":
        return [
            Named(f"entry {number} (user {sample.user_id!r})", sample.user_id, item)
            for number, sample in enumerate(read_samples(path, "forget"), start=1)
            for item in sample.suppression_targets
        ]
    named = []
    for number, line in _filled(path):
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) < 2:
            raise InputError(f"{path}, line {number}: two fields are needed (user<TAB>item), not {len(fields)}.")
        for what, field in zip(("user", "item"), fields, strict=False):
            if not field:
                raise InputError(f"{path}, line {number}: the {what} is missing (user<TAB>item).")
        named.append(Named(f"line {number}", fields[0], fields[1]))
    return named


def read_users(path: Path) -> list[tuple[str, str]]:
    """Where each user stands whom a file names, and who it is: an interchange file of either kind, or an id a line.

    Raises:
        InputError: The file is malformed; names the place.
    """
    if path.suffix.lower() == ".json":
        samples = read_samples(path, "retain")  # a forget file has all that a retain file has
        return [(f"entry {number}", sample.user_id) for number, sample in enumerate(samples, start=1)]
    return [(f"line {number}", line.strip()) for number, line in _filled(path)]


def read_items(path: Path) -> list[tuple[str, str]]:
    """Where each item stands that a file names, one id a line, and which it is."""
    return [(f"line {number}", line.strip()) for number, line in _filled(path)]


def _filled(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    return [(number, line) for number, line in enumerate(read_lines(path), start=1) if line.strip()]
