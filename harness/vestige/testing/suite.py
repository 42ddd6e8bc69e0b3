"""The checks of a plugin, by its name or its spec."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from vestige import configs
from vestige import plugins as plugins_module
from vestige.errors import InputError, unknown
from vestige.plugins import Plugins
from vestige.specs import (
    AttackSpec,
    DatasetSpec,
    MethodSpec,
    MetricSpec,
    RecommenderSpec,
    RendererSpec,
    Spec,
)
from vestige.testing.check import Check, Fault, Verdict
from vestige.testing.spec import spec_checks

KINDS: Mapping[str, type[Spec]] = MappingProxyType(
    {spec.kind: spec for spec in (MethodSpec, DatasetSpec, MetricSpec, AttackSpec, RecommenderSpec, RendererSpec)}
)
"""The kinds of plugins that can be checked."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


def checks(plugin: str | Spec, kind: str | None = None, settings: Mapping[str, Any] = NOTHING) -> list[Check]:
    """All checks of a plugin; nothing is run yet.

    Args:
        plugin: Its spec, or the name of an installed one.
        kind: `method`, `dataset`, `metric`, `attack`, `recommender` or `renderer`; where a name is of several kinds.
        settings: Of the plugin; its defaults unless given.

    Raises:
        InputError: There is no such plugin, its name is of several kinds, or a setting is wrong or missing.
    """
    spec = find(plugins_module.load(), plugin, kind) if isinstance(plugin, str) else plugin
    config = configs.validate(spec.config, settings, f"{spec.kind} {spec.name}")
    return [*spec_checks(spec, config), *_own_checks(spec, config)]


def validate(
    plugin: str | Spec,
    kind: str | None = None,
    settings: Mapping[str, Any] = NOTHING,
    told: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """Runs all checks of a plugin.

    Args:
        plugin, kind, settings: As for `checks`.
        told: Called with each verdict as soon as it is known.

    Returns:
        One verdict a check.

    Raises:
        InputError: As `checks`.
    """
    verdicts = []
    for check in checks(plugin, kind, settings):
        try:
            check()
            verdict = Verdict(check.name, None)
        except Fault as fault:
            verdict = Verdict(check.name, fault)
        verdicts.append(verdict)
        told(verdict)
    return verdicts


def find(plugins: Plugins, name: str, kind: str | None = None) -> Spec:
    """The spec of an installed plugin.

    Raises:
        InputError: There is none of that name (and kind), there are several, or the plugin is broken.
    """
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    kinds = [spec for name_of, spec in KINDS.items() if kind in (None, name_of)]
    found = [specs[name] for specs in map(plugins.all, kinds) if name in specs]
    if len(found) > 1:
        raise InputError(f"{name!r} is a {' and a '.join(spec.kind for spec in found)}; say which with --kind.")
    if found:
        return found[0]
    for broken in plugins.broken:
        if name in (broken.name, broken.distribution):
            raise InputError(f"the plugin {name!r} is broken: {broken.reason}")
    others = [found.spec.kind for found in plugins.found if found.spec.name == name]
    if others and kind is None:
        raise InputError(f"{name!r} is an {others[0]}, and there are no checks for one.")
    raise plugins.unknown(kind or "plugin", name, {spec for of in map(plugins.all, kinds) for spec in of})


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as settings; a value is TOML, or else text.

    Raises:
        InputError: A word has no `=`.
    """
    out: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise InputError(f"--set {word}: KEY=VALUE is needed.")
        try:
            out[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            out[key] = text
    return out


def _own_checks(spec: Spec, config: configs.Config) -> list[Check]:
    # What a kind's checks import is heavy, so it is imported when they are asked for.
    if isinstance(spec, MethodSpec):
        from vestige.testing.method import MethodChecks

        return MethodChecks(spec, config).all()
    if isinstance(spec, RecommenderSpec):
        from vestige.testing.recommender import RecommenderChecks

        return RecommenderChecks(spec, config).all()
    if isinstance(spec, DatasetSpec):
        from vestige.testing.dataset import DatasetChecks

        return DatasetChecks(spec, config).all()
    if isinstance(spec, MetricSpec):
        from vestige.testing.metric import MetricChecks

        return MetricChecks(spec, config).all()
    if isinstance(spec, AttackSpec):
        from vestige.testing.attack import AttackChecks

        return AttackChecks(spec, config).all()
    if isinstance(spec, RendererSpec):
        from vestige.testing.renderer import RendererChecks

        return RendererChecks(spec).all()
    raise InputError(f"there are no checks for a plugin of kind {spec.kind!r}.")
