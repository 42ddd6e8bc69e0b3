"""A study: which settings of a method were tried, how each did, and which were chosen; `tuning/<method>.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from vestige.configs import Config, portable
from vestige.errors import InputError
from vestige.search import Scalar
from vestige.specs import Spec

SCHEMA = 1

OBJECTIVE = (
    "tuning_score: the harmonic mean of fidelity (FF) on training transitions of F and utility (U) on validation "
    "items, averaged over the seeds"
)


class Base(pydantic.BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Described(Base):
    """A plugin as it was used."""

    name: str
    version: str
    config: dict[str, Any]


class Trial(Base):
    """One configuration.

    Attributes:
        number: From 0 on; 0 are the own settings: of the board's row, else of the preset, else of the method.
        settings: What was searched for, as it was set.
        score, fidelity, utility: Means over the seeds; None where the trial failed.
        status: `ok`, `method_error`, `oom`, `timeout`, `config_error`: the method's config refuses the settings, or
            `undefined`: the base that the method trains with them remembers nothing that could be forgotten.
        seconds: That unlearning took on all seeds, with the base, gold and control of a method that trains its own; of
            one that failed, until it did.
        flops: Of the same; None where they were not counted.
    """

    number: int
    settings: dict[str, Scalar]
    score: float | None = None
    fidelity: float | None = None
    utility: float | None = None
    status: str = "ok"
    message: str = ""
    seconds: float = 0.0
    flops: float | None = None


class Study(Base):
    """`tuning/<method>.json`.

    Attributes:
        board: Whose dataset, request, hold-out and recommender they are.
        method, preset: What was tuned; the preset's settings stand under all trials.
        request: The board's; of a list the file's name.
        list_digest: Of the list's lines, for which another list stood in; None where the request is drawn.
        seeds: Those of the study; none of the board's is among them.
        budget: Trials that were asked for.
        objective, sampler: What was maximised, and how.
        space: Between which values was chosen, by setting.
        best: The number of the chosen trial, the first of the highest score; None where all failed.
        settings: Of the chosen trial.
        seconds, flops: Of all trials; FLOPs None where one did not count them.
        retrain_seconds: What training gold took on the same seeds.
        roles_seconds: What training base, gold, control and the popularity list took, once for all methods.
    """

    schema_version: int = SCHEMA
    board: str
    method: Described
    distribution: str
    distribution_version: str
    preset: str | None
    dataset: Described
    request: dict[str, Any]
    list_digest: str | None = None
    holdout: dict[str, Any]
    recommender: Described
    seeds: tuple[int, ...] = pydantic.Field(min_length=1)
    budget: int
    objective: str
    sampler: str
    space: dict[str, dict[str, Any]]
    trials: tuple[Trial, ...] = pydantic.Field(min_length=1)
    best: int | None
    settings: dict[str, Scalar]
    seconds: float
    flops: float | None
    retrain_seconds: float
    roles_seconds: float

    @pydantic.model_validator(mode="after")
    def _chosen(self) -> "Study":
        best = best_of(self.trials)
        if (self.best, self.settings) != ((best.number, best.settings) if best else (None, {})):
            raise ValueError("best and settings must be those of the trial with the highest score")
        return self

    @property
    def name(self) -> str:
        """`method`, or `method:preset`."""
        return f"{self.method.name}:{self.preset}" if self.preset else self.method.name

    @property
    def chosen(self) -> Trial | None:
        """The trial with the highest score."""
        return best_of(self.trials)

    @property
    def failed(self) -> int:
        """How many trials have no score."""
        return sum(trial.score is None for trial in self.trials)


def best_of(trials: tuple[Trial, ...]) -> Trial | None:
    """The first trial of the highest score; None where none has one."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: (trial.score, -trial.number), default=None)


def file_name(method: str, preset: str | None) -> str:
    """`method.json`, or `method-preset.json`."""
    return f"{method}-{preset}.json" if preset else f"{method}.json"


def describe_portably(spec: Spec, config: Config) -> Described:
    """A plugin with its settings, files by their names alone."""
    values = portable(config.model_dump(mode="json"), *config.places())
    return Described(name=spec.name, version=spec.version, config=values)


def dump(study: Study) -> bytes:
    """Readable JSON, a trial a line."""
    values = study.model_dump(mode="json")
    lines = [f" {json.dumps(key)}: {_text(value)}" for key, value in values.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def read(file: Path) -> Study:
    """The study in a file.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    try:
        content = json.loads(file.read_bytes())
        if isinstance(content, dict) and content.get("schema_version") != SCHEMA:
            version = content.get("schema_version")
            raise InputError(f"{file}: its schema version is {version!r}, but this Vestige reads {SCHEMA}.")
        return Study.model_validate(content)
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such study; `vestige tune` writes one.") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from None
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the study"
        message = fault["msg"].removeprefix("Value error, ")
        raise InputError(f"{file}: this is no study ({place}: {message[:1].lower()}{message[1:]}).") from None
    except ValueError as error:
        raise InputError(f"{file}: this is no study ({error}).") from None


def same_settings(study: Described, spec: Spec, config: Config) -> bool:
    """Whether a study's plugin is set as `config` is; a setting that the study does not know yet had its default."""
    own, default = describe_portably(spec, config), defaults(spec)
    return study.name == own.name and {**default, **study.config} == {**default, **own.config}


def defaults(spec: Spec) -> dict[str, Any]:
    """What a plugin's settings are unless somebody says otherwise; those that must be said are not among them."""
    optional = {name: field for name, field in spec.config.model_fields.items() if not field.is_required()}
    values: dict[str, Any] = to_jsonable_python(
        {name: field.get_default(call_default_factory=True) for name, field in optional.items()}
    )
    return values


def same_table(study: Mapping[str, Any], table: pydantic.BaseModel) -> bool:
    """Whether a study's `request` or `holdout` is the board's, but for where a list lies; see `Study.list_digest`."""
    try:
        own = type(table).model_validate(study)
    except pydantic.ValidationError:
        return False
    one, other = ({**of.model_dump(), "file": bool(getattr(of, "file", None))} for of in (own, table))
    return one == other


def _text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in value) + "\n ]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
