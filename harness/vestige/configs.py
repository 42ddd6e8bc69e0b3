"""Configuration enters once, is validated here, and is typed from then on."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pydantic

from vestige.errors import InputError, unknown
from vestige.places import home

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


SHAPES = {
    "tuple_type": "a list is needed",
    "list_type": "a list is needed",
    "dict_type": "a table is needed, with its keys below it",
    "model_type": "a table is needed, with its keys below it",
}
"""What pydantic says of Python's types, in words of TOML."""


class Config(pydantic.BaseModel):
    """The base of every configuration: frozen, and an unknown key is an error.

    Attributes:
        files: Settings whose value may be a file or a folder. A result depends on what lies there, and not on where it
            lies; a record keeps its name alone.
        words: Values of theirs that are none, whatever lies about by these names.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    files: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()

    def places(self) -> dict[str, Path]:
        """Those of `files` that are there."""
        said = {name: str(getattr(self, name)) for name in type(self).files}
        named = {name: home(value) for name, value in said.items() if value not in type(self).words}
        return {name: place for name, place in named.items() if place.exists()}


def validate(model: type[ConfigT], values: Mapping[str, Any], where: str) -> ConfigT:
    """`values` as a `model`; the first fault is an `InputError` that begins with `where`.

    Args:
        model: The configuration class.
        values: Untrusted keys and values, as TOML or JSON gives them.
        where: What the reader must open to mend it, such as `board.toml: [request]`.
    """
    try:
        return model.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise InputError(f"{where}: {_sentence(model, error)}") from None


def preset_values(
    presets: Mapping[str, Mapping[str, Any]], preset: str | None, explicit: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The preset's values with the explicit ones laid over them: a preset is a starting point."""
    if preset is None:
        return dict(explicit)
    if preset not in presets:
        raise unknown("preset", preset, presets, where)
    return {**presets[preset], **explicit}


def described(model: type[pydantic.BaseModel]) -> list[tuple[str, str, str]]:
    """The settings of a configuration: name, what it may be, and what it is unless given."""
    schema = model.model_json_schema()
    needed = schema.get("required", [])
    return [
        (name, _allowed(of, schema.get("$defs", {})), "needed" if name in needed else json.dumps(of.get("default")))
        for name, of in schema.get("properties", {}).items()
    ]


BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _allowed(of: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    if "$ref" in of:
        return _allowed(shared[of["$ref"].rpartition("/")[2]], shared)
    if "anyOf" in of:
        return " or ".join(_allowed(one, shared) for one in of["anyOf"])
    if "enum" in of or "const" in of:
        return ", ".join(json.dumps(value) for value in of.get("enum", [of.get("const")]))
    if of.get("type") == "array":
        return f"list of {_allowed(of.get('items', {}), shared)}"
    bounds = [f"{sign} {of[key]:g}" for key, sign in BOUNDS.items() if key in of]
    return " ".join([str(of.get("type", "anything")), *bounds])


def portable(values: Mapping[str, Any], *files: str) -> dict[str, Any]:
    """Settings with files by their names only: where they lie is no part of a result.

    Args:
        files: Settings, beside those that always name a file, whose value does.
    """
    keys = ("path", "file", "folder", "warm_start", *files)
    return {k: Path(v).name if k in keys and isinstance(v, str) else v for k, v in values.items()}


def _sentence(model: type[pydantic.BaseModel], error: pydantic.ValidationError) -> str:
    fault = error.errors()[0]
    path = fault["loc"]
    key = ".".join(str(part) for part in path)
    if fault["type"] == "extra_forbidden":
        valid = _fields_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), valid, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(sorted(valid))}."
        return f"unknown key {key!r}; {hint}"
    if fault["type"] == "missing":
        return f"the key {key!r} is missing."
    message = SHAPES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    message = (message[:1].lower() + message[1:]).replace("tuple", "list")
    if key == "method" and fault["type"] in SHAPES:
        message = "a list of tables is needed, each under [[method]]"
    given = "" if isinstance(fault["input"], Mapping) else f", not {fault['input']!r}"
    return f"{key}: {message}{given}." if key else f"{message}{given}."


def _fields_at(model: type[pydantic.BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The names of the fields of the nested model that `path` leads to."""
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        nested = _model_in(field.annotation) if field is not None else None
        if nested is None:
            return []
        model = nested
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
