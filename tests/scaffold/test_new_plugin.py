"""A new package installs, passes its own tests, and is in the project's own style, as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import plugin_package, vestige
from vestige.errors import InputError
from vestige.scaffold import new_plugin
from vestige.scaffold.plugin import KINDS

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of every kind."""
    root = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        new_plugin(root / f"my-{kind}", kind)
    return root


@pytest.fixture(scope="module")
def site(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them built and installed into a folder of their own."""
    root = tmp_path_factory.mktemp("site")
    words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(root), *(str(packages / f"my-{k}") for k in KINDS)]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("the package index cannot be reached, so no wheel can be built")
    assert done.returncode == 0, done.stderr
    wheels = [str(wheel) for wheel in root.glob("*.whl")]
    words = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(root / "site"), *wheels]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    return root / "site"


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass_as_they_are(packages: Path, site: Path, kind: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--strict-config"],
        cwd=packages / f"my-{kind}",
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_listed_and_conforms(site: Path, tmp_path: Path, kind: str) -> None:
    listed = vestige("plugins", "--strict-plugins", cache=tmp_path, cwd=tmp_path, python_path=site, cold=True)
    assert listed.returncode == 0, listed.stderr
    assert not listed.stderr  # nothing heavy is imported to list it
    assert any(line.split()[:2] == [kind, f"my_{kind}"] for line in listed.stdout.splitlines())
    done = vestige("validate", f"my_{kind}", "--kind", kind, cache=tmp_path, cwd=tmp_path, python_path=site)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("ruff", path=str(BIN)) is None, reason="ruff is not installed beside this Python")
@pytest.mark.parametrize("name", ["x", "my-method", "gradient-projection"])
def test_it_is_in_the_projects_style(tmp_path: Path, name: str) -> None:
    for kind in KINDS:
        folder = new_plugin(tmp_path / kind / name, kind)
        for words in (["check"], ["format", "--check"]):
            done = subprocess.run([BIN / "ruff", *words, "."], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (kind, done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_complete_and_no_place_is_left_empty(packages: Path, kind: str) -> None:
    folder = packages / f"my-{kind}"
    for name in ("pyproject.toml", "README.md", ".github/workflows/ci.yml", f"src/my_{kind}/py.typed"):
        assert (folder / name).exists(), name
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            assert file.suffix != ".tmpl"
            assert "$" not in file.read_text().replace('"$VESTIGE"', ""), file


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("Shrink", "method", "'Shrink' is no name for a package"),
        ("shrink method", "method", "is no name for a package"),
        ("2fast", "method", "is no name for a package"),
        ("class", "method", "'class' is a word of Python"),
        ("finetune", "method", "the method name 'finetune' is taken by vestige"),
        ("ranking", "metric", "the metric name 'ranking' is taken by vestige"),
        ("json", "method", "a Python package 'json' is installed already"),
        ("torch", "dataset", "a Python package 'torch' is installed already"),
        ("unlearned", "method", "would name its class Unlearned, as one that it needs is called"),
        ("recovered", "attack", "would name its class Recovered"),
        ("trainable", "method", "would name its class Trainable"),
        ("mine", "metod", "unknown kind 'metod'; did you mean 'method'"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        new_plugin(tmp_path / name, kind)
    assert not (tmp_path / name).exists()


def test_what_exists_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="it exists; choose a name that is free"):
        new_plugin(tmp_path / "mine", "method")
    assert not list((tmp_path / "mine").iterdir())
    plugin_package(
        tmp_path / "site",
        "theirs",
        "import vestige\nfrom vestige.specs import MethodSpec\n"
        "@vestige.hookimpl\ndef vestige_methods():\n"
        "    return [MethodSpec(name='taken', version='1', summary='x', factory='theirs:x')]\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(InputError, match="the method name 'taken' is taken by theirs"):
        new_plugin(tmp_path / "taken", "method")


def test_the_command(tmp_path: Path) -> None:
    done = vestige("new-plugin", "mine", "--kind", "method", cache=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "package: mine"
    again = vestige("new-plugin", "mine", "--kind", "method", cache=tmp_path, cwd=tmp_path)
    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()) == 1
