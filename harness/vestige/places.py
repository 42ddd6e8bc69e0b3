"""Paths that a command is given: looked at before it does any work, so that none is lost for a place."""

from pathlib import Path

from vestige.errors import InputError


def home(place: str | Path) -> Path:
    """A path, in which `~` or `~name` stands for a home folder.

    Raises:
        InputError: There is none of that name.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise InputError(f"{place}: there is no such home folder.") from None


def at_home(place: Path | None) -> Path | None:
    """`home` of an option that may be left out."""
    return None if place is None else home(place)


def to_write(place: Path | None) -> Path | None:
    """A file that will be written, by an option that may be left out.

    Raises:
        InputError: A folder lies there, or a file where a folder above it must be.
    """
    if place is None:
        return None
    file = home(place)
    if not file.name or file.is_dir():
        raise InputError(f"{place}: this is a folder; name the file that is to be written.")
    above = next((one for one in file.parents if one.exists()), file.parent)
    if not above.is_dir():
        raise InputError(f"{place}: {above} is a file, so nothing can be written in it.")
    return file
