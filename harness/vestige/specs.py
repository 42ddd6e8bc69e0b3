"""What a plugin yields: frozen descriptions, from which everything heavy is imported only when it is needed.

A `factory` is written as text, `"package.module:attribute"`, so that listing plugins imports nothing. What the
attribute must be is said at each spec.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from vestige.configs import Config
from vestige.search import Search

Presets = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all plugins have in common.

    Attributes:
        name: What boards and the command line call it; lower case, unique within its kind.
        version: Of the plugin's behaviour; a new one makes everything that depends on it run again.
        summary: One line for `vestige plugins`.
        factory: `"package.module:attribute"`, imported at first use.
        config: The typed configuration, a subclass of `vestige.Config`.
        presets: Named starting points for the configuration.
    """

    kind: ClassVar[str]

    name: str
    version: str
    summary: str
    factory: str
    config: type[Config] = Config
    presets: Presets = field(default_factory=dict, hash=False)

    def load(self) -> Any:
        """The factory itself, imported now."""
        module, _, attribute = self.factory.partition(":")
        return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset. The factory is a class `(config, cache_folder)` that follows `vestige.datasets.Dataset`.

    Attributes:
        licence: Under what terms the data may be used, in a few words.
        homepage: Where it comes from.
    """

    kind = "dataset"
    licence: str = "unknown"
    homepage: str = ""


@dataclass(frozen=True, kw_only=True)
class RecommenderSpec(Spec):
    """A recommender. The factory is a class `(config, catalogue, device)` with a class method
    `load(folder, config, catalogue, device)`, following `vestige.recommenders.contract.Recommender`.
    """

    kind = "recommender"


@dataclass(frozen=True, kw_only=True)
class MethodSpec(Spec):
    """An unlearning method. The factory is a class `(config)` with `unlearn(task)`, see `vestige.methods.Method`.

    Attributes:
        same_as: `"gold"` where the method is retraining itself: the board's gold serves, with its recorded cost.
        control: A row that stands on every full board to be recognised for what it is, and competes with nobody.
        search: Between which values `vestige tune` may choose settings; by field of the config. See `vestige.search`.
        own_base: It forgets what it has trained itself, see `vestige.methods.TrainsBase`.
    """

    kind = "method"
    same_as: Literal["gold"] | None = None
    control: bool = False
    search: Search = field(default_factory=dict, hash=False)
    own_base: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """A metric. The factory is a class `(config)` with `measure(context)`, see `vestige.measuring.contract.Metric`.

    Attributes:
        measures: The names it may yield, so that a table's columns can be checked before anything is run; `{k}` in
            a name stands for every k of the board.
    """

    kind = "metric"
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AttackSpec(Spec):
    """An attack on one model. The factory is a class `(config)` with `attack(target)`, see `vestige.measuring.attacks`.

    Attributes:
        track: `api`, where the attacker can only ask, or `weights`, where they hold the files too.
        recovers: Names of the attempts that bring forgotten items back; each becomes `recovery:<name>`.
        tells: Names of the attempts that tell the forgotten from the never-trained; each becomes `auc_<name>`.
    """

    kind = "attack"
    track: Literal["api", "weights"]
    recovers: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RendererSpec(Spec):
    """A table writer. The factory is a function `(results, folder) -> path`, see `vestige.results.render`."""

    kind = "renderer"


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Spec):
    """Where jobs run. The factory is a class `(settings)` with `execute(jobs, report)`; see `ExecutorSettings` in
    `vestige.pipeline.jobs`.
    """

    kind = "executor"


@dataclass(frozen=True, kw_only=True)
class ObserverSpec(Spec):
    """An observer that speaks only where `vestige run --observer NAME` asks for it. The factory is a class `(config)`
    whose methods are observer hooks, marked with `vestige.hookimpl`; see `vestige.hookspecs`.
    """

    kind = "observer"
