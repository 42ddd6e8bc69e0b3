"""Reads text files that a user gives; every fault is one sentence."""

from pathlib import Path

from vestige.errors import InputError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        InputError: It is missing, a folder, not readable, not UTF-8, or empty.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some programs begin a file with a mark, which is no part of it
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; a file is needed.") from None
    except PermissionError:
        raise InputError(f"{path}: the file may not be read.") from None
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the file is not UTF-8 (byte {error.start}).") from None
    if not text.strip():
        raise InputError(f"{path}: the file is empty.")
    return text


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends; see `read_text`."""
    return read_text(path).splitlines()
