"""Reads a results folder and lets every renderer write its table."""

import json
from collections.abc import Callable
from pathlib import Path

import pydantic

from vestige.errors import InputError, MissingExtra
from vestige.plugins import DISTRIBUTION, Plugins
from vestige.results.pooling import Results, read_replicates
from vestige.results.records import About, read_records
from vestige.specs import RendererSpec


def read_results(folder: Path) -> Results:
    """The results that a run left in `folder`.

    Raises:
        InputError: There are none.
    """
    finished = read_records(folder)
    try:
        about = json.loads((folder / "board.json").read_bytes())
        About.model_validate(about)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "it"
        raise InputError(f"{folder / 'board.json'}: {key}: {fault['msg'].lower()}; run the board again.") from None
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{folder}: board.json is missing or cannot be read; run the board again.") from None
    order = {label: number for number, label in enumerate(about["labels"])}
    finished.sort(key=lambda f: (order.get(f.record.identity.label, len(order)), f.record.identity.seed))
    strange = next((f.record.identity.label for f in finished if f.record.identity.label not in order), None)
    if strange is not None:
        raise InputError(f"{folder / 'board.json'}: labels: {strange!r} is missing, of which there are records.")
    earlier = tuple(item for item in finished if (item.record.identity.step or 0) < about.get("steps", 0))
    last = tuple(item for item in finished if (item.record.identity.step or 0) >= about.get("steps", 0))
    if not last:
        raise InputError(
            f"{folder / 'board.json'}: steps is {about['steps']}, but there are no records of such a step."
        )
    return Results(about, last, read_replicates(folder), earlier)


def render(results: Results, plugins: Plugins, folder: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """Every installed renderer's table, the path by the renderer's name.

    `say` is told which one was left out: a plugin's that failed, or one whose extra is not installed.
    """
    written = {}
    for name, spec in plugins.all(RendererSpec).items():
        try:
            written[name] = spec.load()(results, folder)
        except MissingExtra as error:
            say(f"left out: {error}")
        except Exception as error:
            if plugins.origin(spec).distribution == DISTRIBUTION:
                raise
            say(f"the renderer {name!r} failed and was left out: {type(error).__name__}: {error}")
    return written
