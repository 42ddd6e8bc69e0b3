"""The conformance suite passes what comes with Vestige, and finds what is wrong with everything else."""

import copy
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from tests.conftest import plugin_package, vestige
from tests.testing import wrong
from vestige import plugins
from vestige.configs import Config
from vestige.data.request import Kind, Part
from vestige.errors import InputError
from vestige.measuring.contract import Subject
from vestige.specs import (
    AttackSpec,
    DatasetSpec,
    MethodSpec,
    MetricSpec,
    RecommenderSpec,
    RendererSpec,
    Spec,
)
from vestige.testing import Check, Fault, cells, checks, tiny_task, validate, world
from vestige.testing.suite import KINDS
from vestige_methods.dual_memory.config import PRESETS


@pytest.fixture(scope="module", autouse=True)
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every check trains the same tiny models; here each has its own copy of what was trained once."""
    subject, train = cells.Measuring._subject, world.Place._train
    bases: dict[object, Path] = {}

    @cache
    def trained(kind: Kind, name: str, parts: tuple[Part, ...]) -> Subject:
        return subject(cells.Measuring(kind), name, parts)

    def copied(self: cells.Measuring, name: str, parts: tuple[Part, ...]) -> Subject:
        found = trained(self.kind, name, parts)
        return replace(found, scores=copy.deepcopy(found.scores), load=lambda: copy.deepcopy(found.load()))

    def base(self: world.Place, folder: Path) -> dict[str, Any]:
        if self.own is not None:
            return train(self, folder)
        world.one_thread()
        key = (self.data.content_hash, self.split.kind, self.split.part.tobytes())
        if key not in bases:
            bases[key] = tmp_path_factory.mktemp("base")
            train(self, bases[key])
        shutil.copytree(bases[key], folder, dirs_exist_ok=True)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells.Measuring, "_subject", copied)
        patch.setattr(world.Place, "_train", base)
        yield


CHEAP: Mapping[str, Mapping[str, Any]] = {
    "dual_memory": {"epochs": 2, "router_epochs": 5, "batch_size": 64},
    "sisa": {"shards": 2},
    "adapter_shards": {"shards": 2},
    "ssd": {"transitions": 60},
    "t5": {"d_model": 16, "d_ff": 32, "layers": 1, "heads": 2, "passes": 3},
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "dual_memory": PRESETS["distilled"],
    "influence": {"layers": "items"},
    "noise_repair": {"variant": "reset"},
    "sisa": {"partition": "balanced", "aggregation": "attention"},
}
"""Settings that choose another way through a method than its defaults do."""

FEW = 12
"""Optimizer steps: the contract does not ask how well a method forgets, so it need not forget for long."""


def cheap(spec: Spec) -> Mapping[str, Any]:
    """Settings under which a plugin of ours says yes or no soon."""
    steps = {name: FEW for name in ("steps", "augment_steps", "max_steps") if name in spec.config.model_fields}
    return {**steps, **CHEAP.get(spec.name, {})}


# These need a file or the network; their readers have tests of their own.
ELSEWHERE = ("amazon-beauty", "ml-100k", "ml-1m", "interactions")


def built_in() -> list[Any]:
    out = []
    for found in plugins.load().found:
        if found.spec.kind not in KINDS or found.spec.name in ELSEWHERE or found.distribution != "vestige":
            continue
        ways = [({}, "")] + ([(VARIANTS[found.spec.name], ", varied")] if found.spec.name in VARIANTS else [])
        for more, told in ways:
            for check in checks(found.spec, settings={**more, **cheap(found.spec)}):
                out.append(pytest.param(check, id=f"{found.spec.kind} {found.spec.name}{told}: {check}"))
    return out


@pytest.mark.parametrize("check", built_in())
def test_built_in_plugins_conform(check: Check) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        check()


def test_a_file_of_ones_own_conforms(tmp_path: Path) -> None:
    rows = [(user, (user * 3 + step) % 12, 1, 10 * user + step) for user in range(12) for step in range(6)]
    (tmp_path / "data.inter").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    verdicts = validate("interactions", "dataset", {"path": str(tmp_path / "data.inter")})
    assert all(verdict.ok for verdict in verdicts), [str(verdict) for verdict in verdicts]


ABOUT = {"version": "1", "summary": "Breaks one rule."}
SPECS: list[tuple[type[Spec], Mapping[str, tuple[str, str]], Mapping[str, Any]]] = [
    (MethodSpec, wrong.METHODS, {}),
    (MethodSpec, wrong.OWN_BASES, {"own_base": True}),
    (MethodSpec, wrong.GOLDS, {"same_as": "gold"}),
    (DatasetSpec, wrong.DATASETS, {"licence": "none needed"}),
    (RecommenderSpec, wrong.RECOMMENDERS, {}),
    (MetricSpec, wrong.METRICS, {"measures": ("constant",)}),
    (AttackSpec, wrong.ATTACKS, {"track": "api", "recovers": ("plain",), "tells": ("told",)}),
    (RendererSpec, wrong.RENDERERS, {}),
]
WRONG = [
    pytest.param(kind(name=name.lower(), factory=f"tests.testing.wrong:{name}", **ABOUT, **more), *found, id=name)
    for kind, names, more in SPECS
    for name, found in names.items()
]


@pytest.mark.parametrize(("spec", "check", "message"), WRONG)
def test_what_is_wrong_is_found_and_named(spec: Spec, check: str, message: str) -> None:
    named = {c.name: c for c in checks(spec)}
    with pytest.raises(Fault) as fault:
        named[check]()
    assert message in str(fault.value)
    assert len(str(fault.value).splitlines()) == 1


RIGHT = [
    MethodSpec(name="honest", factory="tests.testing.wrong:Honest", **ABOUT),
    MethodSpec(name="own_base", factory="tests.testing.wrong:OwnBase", own_base=True, **ABOUT),
    DatasetSpec(name="shop", factory="tests.testing.wrong:Shop", licence="none needed", **ABOUT),
    RecommenderSpec(name="uniform", factory="tests.testing.wrong:Uniform", **ABOUT),
    MetricSpec(name="constant", factory="tests.testing.wrong:Constant", measures=("constant",), **ABOUT),
    AttackSpec(name="plain", factory="tests.testing.wrong:Plain", track="api", recovers=("plain",), **ABOUT),
    RendererSpec(name="writes", factory="tests.testing.wrong:writes", **ABOUT),
]


@pytest.mark.parametrize("spec", RIGHT, ids=lambda spec: spec.name)
def test_the_ones_they_are_made_of_break_none(spec: Spec) -> None:
    verdicts = validate(spec)
    assert all(verdict.ok for verdict in verdicts), [str(verdict) for verdict in verdicts]


class Lossy(Config):
    """A setting that JSON loses."""

    hidden: int = pydantic.Field(1, exclude=True)


@pytest.mark.parametrize(
    ("change", "check", "message"),
    [
        ({"name": "Two Words"}, "the spec is complete", "lower-case"),
        ({"summary": ""}, "the spec is complete", "in one line"),
        ({"factory": "tests.testing.wrong:Nobody"}, "the spec is complete", "cannot be imported"),
        ({"presets": {"odd": {"strength": 1}}}, "settings survive JSON", "the preset 'odd' is refused"),
        ({"config": Lossy, "presets": {"odd": {"hidden": 2}}}, "settings survive JSON", "came back from JSON"),
    ],
)
def test_a_faulty_spec_is_found(change: Mapping[str, Any], check: str, message: str) -> None:
    spec = MethodSpec(**{"name": "honest", "factory": "tests.testing.wrong:Honest", **ABOUT, **change})
    named = {c.name: c for c in checks(spec)}
    with pytest.raises(Fault, match=message):
        named[check]()


def test_canaries_are_trained_on_by_nobody_and_never_reach_a_task(tmp_path: Path) -> None:
    for kind in ("users", "interactions"):
        data = world.interactions()
        split = world.request(data, kind)
        canaries = np.unique(data.item[split.part >= Part.VALIDATION])
        assert (canaries >= world.ITEMS).all()
        assert len(canaries) == world.CANARIES == data.n_items - world.ITEMS
        place = world.Place(tmp_path / kind, data, split)
        moved = world.elsewhere(data, split)
        assert moved.content_hash != data.content_hash
        other = world.Place(tmp_path / f"{kind}-elsewhere", moved, split, base=place)
        assert other.digest() == place.digest()
        tasks = [place.task(), other.task()]
        for task in tasks:
            for items in (task.retained.items, task.forget.targets, task.forget.histories.items):
                assert not np.isin(items, canaries).any()
        pairs = [
            [world.array_digest(getattr(task, name)) for name in ("retained", "forget", "forget_sequences")]
            for task in tasks
        ]
        assert pairs[0] == pairs[1]


def test_the_tiny_task_is_one_a_method_can_begin_with() -> None:
    task = tiny_task("interactions")
    assert task.kind == "interactions"
    assert len(task.forget) > 0


def test_names_are_found_or_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown plugin 'finetun'; did you mean 'finetune'"):
        checks("finetun")
    with pytest.raises(InputError, match="unknown kind 'metod'; did you mean 'method'"):
        checks("finetune", kind="metod")
    with pytest.raises(InputError, match="unknown dataset 'finetune'"):
        checks("finetune", kind="dataset")
    with pytest.raises(InputError, match="method finetune: unknown key 'sharee'; did you mean 'share'"):
        checks("finetune", settings={"sharee": 1})
    plugin_package(
        tmp_path,
        "twice",
        "import vestige\nfrom vestige.specs import MetricSpec\n"
        "@vestige.hookimpl\ndef vestige_metrics():\n"
        "    return [MetricSpec(name='finetune', version='1', summary='x', factory='twice:x', measures=('x',))]\n",
    )
    plugin_package(tmp_path, "halfway", "import nothing_of_that_name")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="'finetune' is a method and a metric; say which with --kind"):
        checks("finetune")
    with pytest.raises(InputError, match="the plugin 'halfway' is broken: ModuleNotFoundError"):
        checks("halfway")


def test_the_command(tmp_path: Path) -> None:
    good = vestige("validate", "popularity", cache=tmp_path, cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[-1] == "popularity: 12 of 12 checks passed"
    site = plugin_package(
        tmp_path / "site",
        "poor",
        "import vestige\nfrom vestige.specs import RendererSpec\n"
        "@vestige.hookimpl\ndef vestige_renderers():\n"
        "    return [RendererSpec(name='poor', version='1', summary='x', factory='poor:render')]\n"
        "def render(results, folder):\n    (folder / 'x').write_text('x')\n",
    )
    poor = vestige("validate", "poor", cache=tmp_path, cwd=tmp_path, python_path=site)
    assert poor.returncode == 1
    assert "FAIL  writes a file into the folder and says which: it returned None; return the path" in poor.stdout
    unknown = vestige("validate", "poor", cache=tmp_path, cwd=tmp_path)
    assert unknown.returncode == 2
    assert len(unknown.stderr.strip().splitlines()) == 1
    settings = vestige("validate", "finetune", "--set", "share=2", cache=tmp_path, cwd=tmp_path)
    assert settings.returncode == 2
    assert "share: input should be less than or equal to 1, not 2" in settings.stderr


@pytest.mark.parametrize(("name", "kind"), [("local", "executor"), ("mlflow", "observer")])
def test_what_is_installed_and_has_no_checks_is_not_called_unknown(name: str, kind: str) -> None:
    with pytest.raises(InputError, match=rf"{name!r} is an {kind}, and there are no checks for one"):
        checks(name)
