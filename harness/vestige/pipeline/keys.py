"""What a result depends on, as one hash."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "peft", "numpy", "scipy", "scikit-learn")


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    """The installed versions of the libraries that train and measure."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def content_digest(place: Path) -> str:
    """A digest of a file, or of all files in a folder and their names."""
    inside = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    stamps = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in inside)
    return _content_digest(place, stamps)


@cache
def _content_digest(place: Path, stamps: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for file, _, _ in stamps:
        digest.update(file.relative_to(place).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
