"""Fills in templates: `$name` in a file or a file's name stands for a value (`string.Template`)."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vestige.errors import InputError, VestigeError

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".tmpl"
"""Templates end in it, so that no tool takes them for what they are to become."""


@dataclass(frozen=True)
class Filled:
    """A file to be written: where, under the new folder, and what."""

    path: Path
    text: str


def fill(template: Path, values: Mapping[str, str]) -> str:
    """The template's text with its values; one that is missing is a KeyError."""
    return string.Template(template.read_text(encoding="utf-8")).substitute(values)


def fill_all(folder: Path, values: Mapping[str, str]) -> Iterator[Filled]:
    """Every template under `folder`, with the path it is to have."""
    for template in sorted(folder.rglob(f"*{SUFFIX}")):
        relative = str(template.relative_to(folder)).removesuffix(SUFFIX)
        yield Filled(Path(string.Template(relative).substitute(values)), fill(template, values))


def free(folder: Path) -> None:
    """Raises an `InputError` where `folder` exists."""
    if folder.exists():
        raise InputError(f"{folder}: it exists; choose a name that is free, or remove it first.")


def write(folder: Path, files: list[Filled]) -> None:
    """Writes files under a folder that does not exist yet.

    Raises:
        VestigeError: It cannot be written.
    """
    try:
        for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
    except OSError as error:
        raise VestigeError(f"{folder}: cannot be written ({error.strerror}).") from None
