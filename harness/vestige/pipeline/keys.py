"""What a result depends on, as one hash."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vestige.specs import Spec

LIBRARIES = ("torch", "transformers", "peft")


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    """The libraries whose version changes results."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def source_digest(spec: Spec) -> str:
    """A digest of the sources that a plugin's factory is made of.

    These are the factory's module (all of its package, where it is one) and whatever it imports of the same top-level
    package, of the plugins that come with Vestige and of `vestige.recommenders`, whose gradients and training loops
    methods are made with, followed through. So an edited method meets no stale result, and its neighbours keep theirs.
    The rest of the core is not followed: its stages carry versions of their own.
    """
    files = sorted(set(_sources(spec.factory.partition(":")[0], set())))
    digest = hashlib.sha256()
    for module, file in files:
        digest.update(module.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


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


def _sources(module: str, seen: set[str]) -> Iterator[tuple[str, Path]]:
    if module in seen:
        return
    seen.add(module)
    file = _file(module)
    if file is None:
        return
    top = module.partition(".")[0]
    is_package = file.name == "__init__.py"
    if is_package and module != top:
        for inner in sorted(file.parent.glob("*.py")):
            if inner != file:
                yield from _sources(f"{module}.{inner.stem}", seen)
    yield module, file
    if top == "vestige" and not module.startswith("vestige.recommenders"):
        return
    for name in _imports(file, module, is_package):
        if _followed(name, top):
            yield from _sources(name, seen)


def _file(module: str) -> Path | None:
    """Where a module's source lies; no package is imported for it, as T5's alone would load torch and transformers."""
    top, *inner = module.split(".")
    found = importlib.util.find_spec(top)
    if found is None:
        return None
    if not inner:
        return Path(found.origin) if found.origin and found.origin.endswith(".py") else None
    places = [Path(place, *inner) for place in found.submodule_search_locations or ()]
    candidates = [file for place in places for file in (place / "__init__.py", place.with_name(f"{place.name}.py"))]
    return next((file for file in candidates if file.is_file()), None)


BUILT_IN = ("vestige_methods", "vestige_metrics", "vestige_datasets")
"""Packages whose parts other plugins build on."""


def _followed(name: str, top: str) -> bool:
    """Whether what a module of the top-level package `top` imports is part of what it makes."""
    if name.startswith("vestige.recommenders."):
        return True
    return top != "vestige" and name.partition(".")[0] in (top, *BUILT_IN)


def _imports(file: Path, module: str, is_package: bool) -> list[str]:
    """Modules a file imports, absolute; `from package import name` may mean `package.name`, so both are given."""
    parts = module.split(".")
    out: list[str] = []
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return out  # whoever imports it will say so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = parts if is_package else parts[:-1]
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            out.append(base)
            out += [f"{base}.{alias.name}" for alias in node.names]
    return out
