"""The wheel carries everything: the four packages, type markers, the boards. Needs the package index for the build."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
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
    assert boards == {folder.parent.name for folder in (ROOT / "leaderboards").glob("*/board.toml")}
    assert not [name for name in names if "/accepted/" in name or name.startswith("tests")]
