"""Plugins: built-ins and third parties on one road, broken ones isolated and named."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pydantic
import pytest

from tests.conftest import environment, plugin_package, vestige
from vestige import cli, hookspecs, plugins
from vestige.configs import Config, described
from vestige.errors import InputError, VestigeError
from vestige.observing import Observers
from vestige.pipeline import board as boards
from vestige.pipeline.inputs import prepare
from vestige.pipeline.store import Store
from vestige.specs import MethodSpec

GOOD = """
import vestige
from vestige.specs import MethodSpec

@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="shrink", version="1", summary="Shrinks.", factory="good:Shrink")]
"""

BROKEN = {
    "cannot_import": ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
    "misspells": (GOOD.replace("def vestige_methods", "def vestige_method"), "did you mean 'vestige_methods'"),
    "wrong_argument": (
        "import vestige\n@vestige.hookimpl\ndef vestige_cell_started(bord):\n    pass\n",
        "bord",
    ),
    "takes_a_name": (GOOD.replace('"shrink"', '"finetune"'), "the method name 'finetune' is taken by vestige"),
    "yields_nonsense": (GOOD.replace("MethodSpec(", "dict("), "must yield MethodSpec objects, not dict"),
    "raises": (GOOD.replace("    return [", "    raise ValueError('no')\n    return ["), "ValueError: no"),
    "exits": ("raise SystemExit(3)", "SystemExit"),
}


def test_broken_plugins_cost_one_line_each_and_the_good_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin_package(tmp_path, "good", GOOD)
    for name, (source, _) in BROKEN.items():
        plugin_package(tmp_path, name, source)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = plugins.load()
    assert {b.name for b in found.broken} == set(BROKEN)
    for broken in found.broken:
        assert BROKEN[broken.name][1] in broken.reason
        assert (broken.distribution, broken.distribution_version) == (broken.name, "1.0")
        assert "\n" not in broken.reason
    assert found.get(MethodSpec, "shrink").factory == "good:Shrink"
    assert found.origin(found.get(MethodSpec, "shrink")).distribution == "good"
    # The one that was refused for its argument is not called later.
    said: list[str] = []
    Observers(found, said.append).tell("vestige_cell_started", board="b", cell="c")
    assert said == []
    # What is asked for by name may be one of the broken.
    with pytest.raises(
        InputError, match=r"unknown method 'shrunk'; did you mean 'shrink'\? .*'raises' is broken: .*no"
    ):
        found.get(MethodSpec, "shrunk")
    with pytest.raises(plugins.VestigeError, match=r"broken plugins: .*misspells"):
        plugins.load(strict=True)


def test_a_module_under_two_names_works_under_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listens = "import vestige\nheard = []\n@vestige.hookimpl\ndef vestige_cell_started(cell):\n    heard.append(cell)\n"
    folder = plugin_package(tmp_path, "listens", listens)
    points = folder / "listens-1.0.dist-info" / "entry_points.txt"
    points.write_text("[vestige]\none = listens\ntwo = listens\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = plugins.load()
    assert [broken.name for broken in found.broken] == ["two"]
    Observers(found, pytest.fail).tell("vestige_cell_started", board="b", cell="c")
    assert importlib.import_module("listens").heard == ["c"]


FAULTY = """
import vestige
from vestige.configs import Config
from vestige.specs import DatasetSpec


@vestige.hookimpl
def vestige_datasets():
    return [DatasetSpec(name="faulty", version="1", summary="Fails.", factory="faulty:Faulty", config=Config)]


class Faulty:
    def __init__(self, config, folder):
        pass

    def is_local(self):
        return True

    def fetch(self, progress):
        pass

    def fingerprint(self):
        return {}

    def load(self):
        raise ValueError("no such column")
"""


def test_a_dataset_that_raises_is_named_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: Path
) -> None:
    plugin_package(tmp_path / "site", "faulty", FAULTY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    text = (board / "board.toml").read_text()
    names = text[text.index("[dataset]") : text.index("[request]")]
    (board / "board.toml").write_text(text.replace(names, '[dataset]\nname = "faulty"\n\n'))
    made = boards.load(str(board), plugins.load())
    with pytest.raises(VestigeError, match=r"the dataset 'faulty' failed \(ValueError: no such column\)"):
        prepare(made, Store(tmp_path / "store"))


def test_ctrl_c_is_no_fault_of_an_observer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(**_: object) -> None:
        raise cli.Interrupted("interrupted")

    found = plugins.load()
    monkeypatch.setattr(type(found), "observers", lambda *_: [("slow", pressed)])
    with pytest.raises(cli.Interrupted):
        Observers(found, pytest.fail).tell("vestige_cell_started", board="b", cell="c")
    assert cli.guarded(pressed, debug=False) == 130


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown method 'dual-memory'; did you mean 'dual_memory'"):
        plugins.load().get(MethodSpec, "dual-memory")


LIGHT = "import sys; from vestige import plugins; plugins.load(); print([m for m in plugins.HEAVY if m in sys.modules])"


def test_listing_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for words in (["--help"], ["plugins"], ["--version"]):
        code = (
            f"import sys, atexit; sys.argv = ['vestige', *{words!r}]\n"
            "from vestige import plugins\n"
            "atexit.register(lambda: sys.stderr.write(str([m for m in plugins.HEAVY if m in sys.modules])))\n"
            "from vestige.cli import main; main()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "[]", words


def test_a_heavy_plugin_gets_a_warning(tmp_path: Path) -> None:
    plugin_package(tmp_path, "good", "import scipy\n" + GOOD)
    done = subprocess.run(
        [sys.executable, "-m", "vestige", "plugins"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(tmp_path, tmp_path),
    )
    assert "plugin 'good' (good 1.0) imports scipy" in done.stderr


def test_every_hook_is_documented_with_an_example() -> None:
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("vestige_")}
    assert set(plugins.HOOK_OF.values()) <= set(hooks)
    for name, hook in hooks.items():
        assert "Example:" in (hook.__doc__ or ""), name
        assert f"def {name}(" in hook.__doc__


def test_every_factory_exists() -> None:
    for found in plugins.load().found:
        assert callable(found.spec.load())
        for preset in found.spec.presets:
            found.spec.config.model_validate(dict(found.spec.presets[preset]))


def test_every_plugin_tells_its_settings() -> None:
    """Name, what it may be, default; none is left without words."""
    for found in plugins.load().found:
        told = described(found.spec.config)
        assert {name for name, _, _ in told} == set(found.spec.config.model_fields), found.spec.name
        assert all(may and default for _, may, default in told), (found.spec.name, told)


class Told(Config):
    share: float = pydantic.Field(ge=0, lt=1)
    how: Literal["near", "far"] = "near"
    sizes: tuple[int, ...] | None = None


def test_settings_in_words() -> None:
    assert described(Told) == [
        ("share", "number ≥ 0 < 1", "needed"),
        ("how", '"near", "far"', '"near"'),
        ("sizes", "list of integer or null", "null"),
    ]


def test_one_plugin_is_described_by_the_command(tmp_path: Path) -> None:
    done = vestige("plugins", "npo", cache=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    spec = plugins.load().get(MethodSpec, "npo")
    assert done.stdout.startswith(f"method npo {spec.version} (vestige")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["beta", "number", ">", "0", "0.5"] in rows and ["beta", "0.05", "to", "5,", "logarithmic"] in rows
    several = vestige("plugins", "ml-100k", cache=tmp_path, cwd=tmp_path)
    assert several.stdout.startswith("dataset ml-100k")
    wrong = vestige("plugins", "npoo", cache=tmp_path, cwd=tmp_path)
    assert wrong.returncode == 2 and wrong.stderr == "vestige: unknown plugin 'npoo'; did you mean 'npo'?\n"
