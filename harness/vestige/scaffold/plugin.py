"""A new package with a plugin that works."""

import ast
import importlib.metadata
import importlib.util
import keyword
import re
import sys
from pathlib import Path

from vestige import plugins as plugins_module
from vestige.errors import InputError, unknown
from vestige.plugins import HOOK_OF
from vestige.scaffold.filling import TEMPLATES, fill_all, free, write

KINDS = ("method", "dataset", "metric", "attack", "recommender", "renderer")


def new_plugin(folder: Path, kind: str) -> Path:
    """Writes a package whose plugin installs, runs and passes its tests as it is.

    Args:
        folder: Does not exist yet; its name is the distribution's, and with `_` for `-` the package's and the plugin's.
        kind: One of `KINDS`.

    Returns:
        The folder.

    Raises:
        InputError: The name cannot be used or is taken, or there is no such kind.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    name = folder.name
    package = _package(name)
    _not_taken(package, kind)
    free(folder)
    values = {
        "name": name,
        "package": package,
        "Class": "".join(part.capitalize() for part in package.split("_")),
        "kind": kind,
        "version": importlib.metadata.version("vestige"),
    }
    root = TEMPLATES / "plugin"
    files = [*fill_all(root / "common", values), *fill_all(root / kind, values)]
    for file in files:
        if file.path.suffix == ".py" and values["Class"] in _imported(file.text, package):
            raise InputError(
                f"{name!r} would name its class {values['Class']}, as one that it needs is called; choose another name."
            )
    write(folder, files)
    return folder


def _imported(source: str, package: str) -> set[str]:
    """The names that a module has from outside its package."""
    froms = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    outside = (node for node in froms if (node.module or "").partition(".")[0] != package)
    return {alias.asname or alias.name for node in outside for alias in node.names}


def _package(name: str) -> str:
    """The import name of a distribution's name."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise InputError(
            f"{name!r} is no name for a package; it may have lower-case letters, digits and single '-' or '_'."
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package):
        raise InputError(f"{package!r} is a word of Python; choose another name.")
    return package


def _not_taken(package: str, kind: str) -> None:
    found = plugins_module.load()
    spec = next(spec for spec in HOOK_OF if spec.kind == kind)
    taken = found.all(spec).get(package)
    if taken is not None:
        owner = found.origin(taken).distribution
        raise InputError(f"the {kind} name {package!r} is taken by {owner}; choose another name.")
    if package in sys.stdlib_module_names or importlib.util.find_spec(package) is not None:
        raise InputError(f"a Python package {package!r} is installed already; choose another name.")
