"""Search spaces: between which values `vestige tune` may choose a method's settings. Imports nothing heavy."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pydantic

from vestige.configs import Config
from vestige.errors import unknown

Scalar = bool | int | float | str | None
"""What a setting that is searched for may be."""


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; `log`: drawn evenly on the log scale, as learning rates are."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _ordered(self)

    def probes(self) -> tuple[Scalar, ...]:
        """Both ends, and a value between that is no whole number."""
        return self.low, self.high, self.low + (self.high - self.low) / math.pi

    def told(self) -> str:
        """In words."""
        return f"{self.low:g} to {self.high:g}" + (", logarithmic" if self.log else "")

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Integer:
    """A whole number in [low, high]; `log`: drawn evenly on the log scale."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(bound, int) for bound in (self.low, self.high)):
            raise ValueError(f"{self}: both ends must be whole numbers")
        _ordered(self)

    def probes(self) -> tuple[Scalar, ...]:
        """Both ends."""
        return self.low, self.high

    def told(self) -> str:
        """In words."""
        return f"{self.low:g} to {self.high:g}" + (", logarithmic" if self.log else "")

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of several values, without an order."""

    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or len(set(self.values)) < 2 or len(set(self.values)) < len(self.values):
            raise ValueError(f"{self}: a tuple of two different values or more is needed")

    def probes(self) -> tuple[Scalar, ...]:
        """All values."""
        return self.values

    def told(self) -> str:
        """In words."""
        return " or ".join(map(repr, self.values))

    def __contains__(self, value: object) -> bool:
        return value in self.values


Space = Float | Integer | Choice
Search = Mapping[str, Space]
"""By the name of the config's field."""


def fault(config: type[Config], search: Search) -> str:
    """What is wrong with a search space of settings of `config`, in one sentence; empty where it is right.

    Every field must be one of the config's, and its ends (of a `Choice`, all its values) must be allowed there.
    """
    for name, space in search.items():
        if name not in config.model_fields:
            return str(unknown("field", name, config.model_fields, "search"))
        if not isinstance(space, Space):
            return f"search: {name}: a Float, an Integer or a Choice is needed, not {space!r}."
        for value in space.probes():
            refused = _refused(config, name, value)
            if refused:
                return f"search: {name}: {value!r} is in the space {space}, but {refused}."
    return ""


def to_json(search: Search) -> dict[str, dict[str, Any]]:
    """The spaces as JSON has them: `kind`, and what the space is made of."""
    return {name: {"kind": type(space).__name__.lower(), **asdict(space)} for name, space in search.items()}


def _refused(config: type[Config], name: str, value: Scalar) -> str:
    """Why the config's field does not take the value; what is wrong or missing elsewhere does not matter."""
    try:
        config.model_validate({name: value})
    except pydantic.ValidationError as error:
        for one in error.errors():
            if one["loc"][:1] == (name,):
                message = one["msg"].removeprefix("Value error, ")
                return f"the setting: {message[:1].lower()}{message[1:]}"
    return ""


def _ordered(space: Float | Integer) -> None:
    if not (math.isfinite(space.low) and math.isfinite(space.high) and space.low < space.high):
        raise ValueError(f"{space}: low must be less than high")
    if space.log and space.low <= 0:
        raise ValueError(f"{space}: on the log scale low must be more than 0")
