"""The record a finished cell leaves: a typed, versioned document."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic

from vestige.errors import InputError
from vestige.measuring.contract import BETTER

SCHEMA = 1


class Base(pydantic.BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


BaseT = TypeVar("BaseT", bound=Base)


Finite = Annotated[float, pydantic.Field(allow_inf_nan=False)]


def _has_kind(request: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(request.get("kind"), str):
        raise ValueError("it has no kind")
    return request


class About(pydantic.BaseModel):
    """`board.json`: what the results in a folder are of, as tables and the page need it."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    name: str
    title: str
    columns: list[str]
    k: list[int] = pydantic.Field(min_length=1)
    labels: list[str]
    seeds: list[int]
    steps: pydantic.StrictInt = pydantic.Field(0, ge=0)
    remarks: list[str] = []
    published: list[dict[str, Any]] = []
    tuned: list[dict[str, Any]] = []


class Measured(Base):
    """One measurement; see `vestige.measuring.contract.Measurement`."""

    group: str
    metric: str
    view: str
    value: Finite | None
    interval: tuple[Finite, Finite] | None
    better: Annotated[str, pydantic.Field(pattern=BETTER)]
    unit: str
    note: str

    @property
    def name(self) -> str:
        """`metric/view`, or the metric alone where there is no view."""
        return f"{self.metric}/{self.view}" if self.view else self.metric


class PluginId(Base):
    """A plugin as it was used."""

    name: str
    version: str
    distribution: str
    distribution_version: str
    config: dict[str, Any]


class Identity(Base):
    """What a cell is; `step` says after how many requests of a stream it was measured."""

    board: str
    cell: str
    row: str
    label: str
    seed: int
    dataset: PluginId
    recommender: PluginId
    method: PluginId | None
    metrics: tuple[PluginId, ...]
    request: Annotated[dict[str, Any], pydantic.AfterValidator(_has_kind)]
    holdout: dict[str, Any]
    step: int | None = None

    @pydantic.model_serializer(mode="wrap")
    def _without_step(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only a cell of a stream has a step."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name != "step" or value is not None}


def _each_once(measurements: tuple[Measured, ...]) -> tuple[Measured, ...]:
    """A name that stood twice would be shown by one of its values and checked by the other."""
    names = [m.name for m in measurements]
    if len(set(names)) < len(names):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice")
    return measurements


class Outcome(Base):
    """How it went, and everything that is the same at every run on one machine."""

    status: str
    message: str
    measurements: tuple[Measured, ...]
    notes: dict[str, dict[str, Any]]

    @pydantic.field_validator("measurements")
    @classmethod
    def _once(cls, measurements: tuple[Measured, ...]) -> tuple[Measured, ...]:
        return _each_once(measurements)


class Record(Base):
    """`records/<cell>.json`."""

    schema_version: int = SCHEMA
    identity: Identity
    outcome: Outcome
    keys: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the cell was measured."""
        return self.outcome.status == "ok"


class Run(Base):
    """`records/<cell>.run.json`: what varies from run to run."""

    schema_version: int = SCHEMA
    cell: str
    cost: tuple[Measured, ...]
    traceback: str
    provenance: dict[str, Any]

    @pydantic.field_validator("cost")
    @classmethod
    def _once(cls, cost: tuple[Measured, ...]) -> tuple[Measured, ...]:
        return _each_once(cost)


@dataclass(frozen=True)
class Finished:
    """A record with its run."""

    record: Record
    run: Run

    @property
    def measurements(self) -> tuple[Measured, ...]:
        """Deterministic ones, then cost."""
        return (*self.record.outcome.measurements, *self.run.cost)

    @cached_property
    def _by_name(self) -> dict[str, Measured]:
        return {m.name: m for m in reversed(self.measurements)}

    def find(self, name: str) -> Measured | None:
        """A measurement by `metric/view`."""
        return self._by_name.get(name)


LINE = 400
"""Whatever fits into so many characters stands on one line, so that a measurement is one line of a record."""


def dump(document: pydantic.BaseModel) -> bytes:
    """Stable, readable JSON."""
    return (_text(document.model_dump(mode="json"), "") + "\n").encode()


def _text(value: Any, margin: str) -> str:
    flat = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or len(flat) <= LINE:
        return flat
    inner = margin + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_text(value[key], inner)}" for key in sorted(value)]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    return "[\n" + ",\n".join(inner + _text(item, inner) for item in value) + f"\n{margin}]"


def read_records(folder: Path) -> list[Finished]:
    """All records of a results folder, by file name.

    Raises:
        InputError: There are none, or one cannot be read.
    """
    files = sorted(f for f in (folder / "records").glob("*.json") if not f.name.endswith(".run.json"))
    if not files:
        raise InputError(f"{folder}: there are no records here; run the board first.")
    out = []
    for file in files:
        run_file = file.with_name(file.name.removesuffix(".json") + ".run.json")
        out.append(Finished(_parse(Record, file), _parse(Run, run_file)))
    lasting = {m.name for item in out for m in item.record.outcome.measurements}
    for item in out:
        for m in item.run.cost:
            if m.name in lasting:
                raise InputError(
                    f"{folder / 'records' / (item.record.identity.cell + '.run.json')}: {m.name} is no cost, but what "
                    "records hold; it stands in the record, or nowhere."
                )
    return out


def _parse(kind: type[BaseT], file: Path) -> BaseT:
    try:
        content = json.loads(file.read_bytes())
        if isinstance(content, dict) and content.get("schema_version") != SCHEMA:
            raise InputError(
                f"{file}: its schema version is {content.get('schema_version')!r}, but this Vestige reads {SCHEMA}."
            )
        return kind.model_validate(content)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from None
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "it"
        message = fault["msg"].removeprefix("Value error, ")
        raise InputError(f"{file}: this is no {kind.__name__.lower()} ({place}: {message.lower()}).") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: this is no {kind.__name__.lower()} ({str(error).splitlines()[0]}).") from None
