"""Finds plugins, one at a time, so that a broken one costs one line and never the run."""

import importlib
import importlib.metadata
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import pluggy

from vestige import configs, hookspecs, search
from vestige.errors import InputError, VestigeError, unknown
from vestige.specs import (
    AttackSpec,
    DatasetSpec,
    ExecutorSpec,
    MethodSpec,
    MetricSpec,
    ObserverSpec,
    RecommenderSpec,
    RendererSpec,
    Spec,
)

GROUP = "vestige"
DISTRIBUTION = "vestige"

BUILT_IN = (
    "vestige.recommenders.plugin",
    "vestige.pipeline.plugin",
    "vestige.results.plugin",
    "vestige.observers.plugin",
    "vestige_datasets.plugin",
    "vestige_methods.plugin",
    "vestige_methods.baselines.plugin",
    "vestige_methods.sharding.plugin",
    "vestige_metrics.plugin",
    "vestige_metrics.attacks.plugin",
)

HOOK_OF: Mapping[type[Spec], str] = {
    DatasetSpec: "vestige_datasets",
    RecommenderSpec: "vestige_recommenders",
    MethodSpec: "vestige_methods",
    MetricSpec: "vestige_metrics",
    AttackSpec: "vestige_attacks",
    RendererSpec: "vestige_renderers",
    ExecutorSpec: "vestige_executors",
    ObserverSpec: "vestige_observers",
}

HEAVY = ("torch", "pandas", "scipy", "sklearn", "pyarrow")

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True)
class Found:
    """A spec, and where it comes from."""

    spec: Spec
    distribution: str
    distribution_version: str


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used.

    Attributes:
        name: Of its entry point.
        reason: One line.
        detail: The traceback, if there is one.
    """

    name: str
    distribution: str
    distribution_version: str
    reason: str
    detail: str = ""


class Plugins:
    """What is installed: a typed view over pluggy's manager."""

    def __init__(self, manager: pluggy.PluginManager, found: list[Found], broken: list[Broken], warnings: list[str]):
        self._manager = manager
        self.found = tuple(found)
        self.broken = tuple(broken)
        self.warnings = tuple(warnings)

    def observers(self, hook: str) -> list[tuple[str, Callable[..., object]]]:
        """Every plugin that has an observer hook, by name, and what calls that plugin's alone."""
        plugins = self._manager.get_plugins()
        heard = [implementation.plugin for implementation in getattr(self._manager.hook, hook).get_hookimpls()]
        return [
            (
                str(self._manager.get_name(plugin)),
                self._manager.subset_hook_caller(hook, [other for other in plugins if other is not plugin]),
            )
            for plugin in heard
        ]

    def switch_on(self, name: str) -> None:
        """Makes a named observer and lets it hear.

        Raises:
            InputError: There is none of that name, it cannot be made, or it misspells a hook.
        """
        spec = self.get(ObserverSpec, name, "--observer")
        config = configs.validate(spec.config, {}, f"--observer {name}")
        try:
            observer = spec.load()(config)
        except InputError:
            raise
        except Exception as error:  # a plugin may raise anything at all
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(f"--observer {name}: it cannot be made ({text})") from error
        try:
            self._manager.register(observer, name=f"{self.origin(spec).distribution}:observer {name}")
            _no_misspelt_hooks(self._manager, observer)
        except (_BadPlugin, pluggy.PluginValidationError) as error:
            raise InputError(f"--observer {name}: {' '.join(str(error).split())}") from None

    def all(self, kind: type[SpecT]) -> dict[str, SpecT]:
        """Every spec of exactly this kind, by name."""
        return {f.spec.name: f.spec for f in self.found if type(f.spec) is kind}

    def get(self, kind: type[SpecT], name: str, where: str = "") -> SpecT:
        """One spec by name.

        Raises:
            InputError: There is none of that name; says the nearest one.
        """
        specs = self.all(kind)
        if name not in specs:
            raise self.unknown(kind.kind, name, specs, where)
        return specs[name]

    def unknown(self, kind: str, name: str, valid: Iterable[str], where: str = "") -> InputError:
        """As `vestige.errors.unknown`; a plugin that is broken may be the one that is meant."""
        broken = "".join(f" The plugin {b.name!r} is broken: {b.reason}" for b in self.broken)
        return InputError(f"{unknown(kind, name, valid, where)}{broken}")

    def origin(self, spec: Spec) -> Found:
        """Where a spec comes from."""
        return next(f for f in self.found if f.spec is spec)


def load(strict: bool = False) -> Plugins:
    """The built-ins and every plugin of the entry-point group `vestige`.

    Args:
        strict: A broken plugin is an error.

    Raises:
        VestigeError: `strict`, and a plugin is broken.
    """
    manager = pluggy.PluginManager("vestige")
    manager.add_hookspecs(hookspecs)
    found: list[Found] = []
    broken: list[Broken] = []
    warnings: list[str] = []
    version = importlib.metadata.version(DISTRIBUTION)
    for name in BUILT_IN:
        plugin = importlib.import_module(name)
        found += _register(manager, plugin, name, DISTRIBUTION, version, found)
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        dist = entry.dist.name if entry.dist else "?"
        dist_version = entry.dist.version if entry.dist else "?"
        light = {module for module in HEAVY if module not in sys.modules}
        try:
            found += _register(manager, entry.load(), entry.name, dist, dist_version, found)
        except (Exception, SystemExit) as error:  # a plugin may raise anything at all; it is reported by name
            reason = str(error) if isinstance(error, _BadPlugin) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())
            broken.append(Broken(entry.name, dist, dist_version, reason, traceback.format_exc()))
        dragged = sorted(module for module in light if module in sys.modules)
        if dragged:
            warnings.append(
                f"plugin {entry.name!r} ({dist} {dist_version}) imports {', '.join(dragged)} just to be listed, which "
                "makes every command slow; name heavy code by its factory instead."
            )
    if strict and broken:
        raise VestigeError(
            "broken plugins: "
            + "; ".join(f"{b.name} ({b.distribution} {b.distribution_version}): {b.reason}" for b in broken)
        )
    return Plugins(manager, found, broken, warnings)


class _BadPlugin(Exception):
    """Says what is wrong with a plugin, in a sentence for its author."""


def _register(
    manager: pluggy.PluginManager, plugin: object, name: str, dist: str, version: str, found: Iterable[Found]
) -> list[Found]:
    """Registers a plugin and returns its specs; whatever fails, the manager is left as it was."""
    known = manager.is_registered(plugin)
    try:
        manager.register(plugin, name=f"{dist}:{name}")
        _no_misspelt_hooks(manager, plugin)
        return _specs_of(manager, plugin, dist, version, found)
    except BaseException:
        # pluggy leaves a plugin registered whose hook arguments it refused.
        if not known and manager.is_registered(plugin):
            manager.unregister(plugin)
        raise


def _no_misspelt_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("vestige_")]
    implemented = {caller.name for caller in manager.get_hookcallers(plugin) or []}
    for name in sorted(implemented - set(hooks)):
        raise _BadPlugin(str(unknown("hook", name, hooks)))
    manager.check_pending()


def _specs_of(
    manager: pluggy.PluginManager, plugin: object, dist: str, version: str, found: Iterable[Found]
) -> list[Found]:
    taken = {(f.spec.kind, f.spec.name): f for f in found}
    out: list[Found] = []
    for kind, hook in HOOK_OF.items():
        others = [other for other in manager.get_plugins() if other is not plugin]
        for specs in manager.subset_hook_caller(hook, others)():
            for spec in specs:
                if type(spec) is not kind:
                    raise _BadPlugin(f"{hook} must yield {kind.__name__} objects, not {type(spec).__name__}")
                try:
                    hash(spec)
                except TypeError:
                    raise _BadPlugin(f"the {spec.kind} {spec.name!r} holds a list where a tuple is needed") from None
                wrong = search.fault(spec.config, spec.search) if isinstance(spec, MethodSpec) else ""
                if wrong:
                    raise _BadPlugin(f"the {spec.kind} {spec.name!r}: {wrong}")
                if (spec.kind, spec.name) in taken:
                    owner = taken[spec.kind, spec.name].distribution
                    raise _BadPlugin(f"the {spec.kind} name {spec.name!r} is taken by {owner}")
                item = Found(spec, dist, version)
                taken[spec.kind, spec.name] = item
                out.append(item)
    return out
