"""What every spec must say, whatever it describes."""

import json
import re

import pydantic

from vestige.configs import Config
from vestige.search import fault
from vestige.specs import AttackSpec, DatasetSpec, MethodSpec, MetricSpec, Spec
from vestige.testing.check import Check, require, said


def spec_checks(spec: Spec, config: Config) -> list[Check]:
    """The checks that all kinds share.

    Args:
        config: The settings that the plugin is run with.
    """
    return [
        Check("the spec is complete", lambda: _complete(spec)),
        Check("settings survive JSON", lambda: _round_trip(spec, config)),
    ]


def _complete(spec: Spec) -> None:
    require(
        re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", spec.name),
        f"its name is {spec.name!r}",
        "use lower-case letters, digits, '_', '-' and '.', beginning with a letter or digit",
    )
    require(spec.version.strip(), "its version is empty", 'begin with version="1"')
    require(
        spec.summary.strip() and "\n" not in spec.summary,
        f"its summary is {spec.summary!r}",
        "say in one line what it does; `vestige plugins` shows it",
    )
    require(
        re.fullmatch(r"[\w.]+:[\w]+", spec.factory),
        f"its factory is {spec.factory!r}",
        'write it as "package.module:attribute"',
    )
    try:
        factory = spec.load()
    except (ImportError, AttributeError) as error:
        require(False, f"its factory {spec.factory!r} cannot be imported ({said(error)})", "name what exists")
    else:
        require(callable(factory), f"its factory {spec.factory!r} cannot be called", "name a class or a function")
    require(
        isinstance(spec.config, type) and issubclass(spec.config, Config),
        f"its config is {spec.config!r}",
        "derive it from vestige.Config",
    )
    if isinstance(spec, MethodSpec):
        wrong = fault(spec.config, spec.search)
        require(not wrong, wrong.rstrip("."), "search for settings of the config only, between values that it allows")
    if isinstance(spec, DatasetSpec):
        require(
            spec.licence.strip() not in ("", "unknown"),
            f"its licence is {spec.licence!r}",
            "say in a few words under what terms the data may be used",
        )
    if isinstance(spec, MetricSpec):
        require(spec.measures, "it names no measures", "list in `measures` every name that `measure` may yield")
    if isinstance(spec, AttackSpec):
        require(
            spec.recovers or spec.tells,
            "it names no attempts",
            "list in `recovers` and `tells` every name that `attack` may yield",
        )


def _round_trip(spec: Spec, config: Config) -> None:
    resolved = [("its settings", config)]
    for name, values in spec.presets.items():
        try:
            resolved.append((f"the preset {name!r}", spec.config.model_validate({**_given(config), **values})))
        except pydantic.ValidationError as error:
            require(False, f"the preset {name!r} is refused ({said(error)})", "give it keys and values of the config")
    for what, value in resolved:
        try:
            back = spec.config.model_validate(json.loads(json.dumps(value.model_dump(mode="json"), allow_nan=False)))
        except (TypeError, ValueError) as error:
            require(False, f"{what} cannot be written as JSON and read again ({said(error)})", FIELDS)
        else:
            require(back == value, f"{what} came back from JSON as {back!r}, not {value!r}", FIELDS)


FIELDS = "use fields of numbers, text, booleans, and tuples or models of these"


def _given(config: Config) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.model_fields_set}
