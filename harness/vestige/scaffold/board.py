"""A new board that starts from another one."""

import json
import os
from pathlib import Path

from vestige import plugins as plugins_module
from vestige.errors import InputError
from vestige.pipeline.board import FILE, VARIABLE, BoardConfig, find, load, shipped, slug, written_list
from vestige.scaffold.filling import TEMPLATES, Filled, fill, free, write


def new_board(folder: Path, extends: str) -> Path:
    """Writes `folder/board.toml`, commented, with what the other board has as the values to change.

    Args:
        folder: Does not exist yet; its name is the board's.
        extends: A folder with a `board.toml`, or the name of a board that ships.

    Returns:
        The path of the file.

    Raises:
        InputError: The folder exists, its name has no letter or digit, or the other board cannot be read.
    """
    free(folder)
    name = folder.resolve().name
    if not slug(name):
        raise InputError(f"{name!r} has no letter or digit to name a board by.")
    below = load(extends, plugins_module.load()).config
    values = {
        "title": _toml(f"{name}, from {below.title}"),
        "extends": _toml(_reference(folder, extends)),
        "seeds": _toml(list(below.seeds)),
        "threads": _toml(below.threads),
        "swap": _toml(below.swap),
        "dataset": _toml(below.dataset.name),
        "kind": _toml(below.request.kind),
        "request": _request(below, extends),
        "recommender": _toml(below.recommender.name),
        "k": _toml(list(below.metrics.k)),
        "attacks": _toml(list(below.attacks.names)),
    }
    write(folder, [Filled(Path(FILE), fill(TEMPLATES / "board.toml.tmpl", values))])
    return folder / FILE


def _reference(folder: Path, extends: str) -> str:
    """The other board as the new one names it: a board that ships by name, a folder relative to the new one."""
    other = find(extends)
    if extends in shipped() and other == shipped()[extends]:
        return extends
    return Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix()


def _request(below: BoardConfig, extends: str) -> str:
    """The lines that say who is drawn, or which file names it."""
    request = below.request
    for key in ("count", "fraction"):
        if (value := getattr(request, key)) is not None:
            return f"# {key} = {_toml(value)}\n# select = {_toml(request.select)}"
    written = written_list(extends) or ""  # a request has one size, and this is what is left
    place = written if VARIABLE.search(written) else str(Path(str(request.file)).resolve())
    return f"# file = {_toml(place)}"


def _toml(value: object) -> str:
    """Text, numbers, booleans and lists of these are the same in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)
