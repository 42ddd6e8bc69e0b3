"""Plugins: built-ins and third parties on one road, broken ones isolated and named."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment, plugin_package
from vestige import hookspecs, plugins
from vestige.errors import InputError
from vestige.observing import Observers
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
    with pytest.raises(plugins.VestigeError, match=r"broken plugins: .*misspells"):
        plugins.load(strict=True)


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
