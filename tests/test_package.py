"""The wheel carries everything: the four packages, type markers, the boards. Needs the package index for the build."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


PARTS = ("pyproject.toml", "README.md", "LICENSE", "harness", "methods", "datasets", "metrics", "leaderboards")


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    """Built from a copy with one more board that has studies: nothing must be named for a new board to be carried."""
    source, board = tmp_path / "source", tmp_path / "source" / "leaderboards" / "another"
    source.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    for name in ("board.toml", "tuning/npo.json", "accepted/board.json", "leaderboard.md", "leaderboard.svg"):
        (board / name).parent.mkdir(parents=True, exist_ok=True)
        (board / name).write_text("{}")
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("the package index cannot be reached, so the wheel cannot be built")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("vestige", "vestige_methods", "vestige_datasets", "vestige_metrics"):
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    boards = {name.split("/")[2] for name in names if name.startswith("vestige/boards/")}
    assert boards == {folder.parent.name for folder in (source / "leaderboards").glob("*/board.toml")}
    carried = {name.removeprefix("vestige/boards/") for name in names if name.startswith("vestige/boards/another/")}
    assert carried == {"another/board.toml", "another/tuning/npo.json"}
    assert not [name for name in names if "/boards/" in name and not name.endswith((".toml", ".json"))]
    here = ROOT / "harness"
    templates = {str(file.relative_to(here)) for file in here.rglob("*.tmpl")}
    assert templates and templates <= names
    assert not [name for name in names if "/accepted/" in name or name.startswith("tests")]
