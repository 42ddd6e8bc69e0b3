"""What tests share: a private cache, tiny boards, and the command line in a process of its own."""

import atexit
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]

SHARED = Path(os.environ.get("VESTIGE_TEST_DATA") or ROOT.parent / "shared" / "data")
"""Where real data lie, if they are at hand; tests that need them are skipped elsewhere."""

TINY = """
title = "Tiny"
seeds = [0]
threads = 1
recheck = false
controls = false

[dataset]
name = "synthetic"
users = 60
items = 40
events = 14
tastes = 4

[request]
count = 8

[recommender]
name = "t5"
d_model = 16
d_ff = 32
layers = 1
heads = 2
passes = 3
window = 8
batch_size = 16

[attacks]
names = []

[[method]]
name = "finetune"
share = 0.4
"""

STARTED_WITH = os.environ.get("PYTHONPATH")

SECONDS = 600
"""A command may take so long."""

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that lives as long as the test session, for tests that only need some finished board."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _no_user_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own cache."""
    monkeypatch.setenv("VESTIGE_CACHE", str(shared_cache))


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The folder of a tiny board."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "board.toml").write_text(TINY)
    return folder


def environment(cache: Path, python_path: Path | None = None) -> dict[str, str]:
    """The environment of a command with its own cache."""
    env = {**os.environ, "VESTIGE_CACHE": str(cache), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    if python_path is not None:
        env["PYTHONPATH"] = os.pathsep.join([str(python_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    return env


@cache
def _warm() -> subprocess.Popen[str]:
    """See `tests.warm`; one for each test process, which it ends with."""
    words = [sys.executable, "-P", str(ROOT / "tests" / "warm.py")]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(Path("nowhere"))
    )


def _run_warm(
    words: tuple[object, ...], cwd: Path, env: dict[str, str], path: Path | None
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        arguments = [*map(str, words)]
        asked = {"words": arguments, "cwd": str(cwd), "env": env, "out": str(out), "err": str(err)}
        asked["path"] = [] if path is None else [str(path)]
        process = _warm()
        assert process.stdin is not None and process.stdout is not None
        print(json.dumps({**asked, "seconds": SECONDS}), file=process.stdin, flush=True)
        code = json.loads(process.stdout.readline())
        if code is None:
            raise subprocess.TimeoutExpired(arguments, SECONDS, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def vestige(
    *words: object, cache: Path, cwd: Path, python_path: Path | None = None, cold: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end.

    Args:
        words: After `vestige`.
        python_path: Where further packages lie.
        cold: Whether it must be started from nothing, as where the seed of Python's hashes must not be the same twice,
            or what is imported matters.
    """
    env = environment(cache, python_path)
    own_path = os.environ.get("PYTHONPATH") != STARTED_WITH
    _share(_drawing(), cache / "page")
    if not (own_path or cold or "VESTIGE_TEST_COLD" in os.environ):
        done = _run_warm(words, cwd, env, python_path)
    else:
        command = [sys.executable, "-m", "vestige", *map(str, words)]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    _share(cache / "page", _drawing())
    return done


@cache
def _drawing() -> Path:
    """Where the page's script for drawing is kept between caches, since it takes seconds to put together."""
    folder = Path(tempfile.mkdtemp(prefix="vestige-drawing-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _share(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):  # some caches cannot be written, on purpose
        for file in source.glob("*.js"):
            if not (target / file.name).exists():
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / file.name)


def plugin_package(folder: Path, name: str, source: str) -> Path:
    """A third-party distribution with one module and an entry point, as if installed into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vestige]\n{name} = {name}\n")
    return folder


LONGEST_FIRST = (
    "test_third_party", "test_cli", "test_evaluation", "test_suite", "test_tune", "test_baselines", "test_new_plugin",
    "test_verify", "test_steps", "test_check", "test_t5_boards",
)  # fmt: skip
"""Modules that take minutes: begun first, so that no process is left with them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest modules first; the order inside a module stays."""

    def place(item: pytest.Item) -> int:
        name = item.path.stem
        return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)
