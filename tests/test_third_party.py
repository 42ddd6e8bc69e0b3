"""Somebody else's package: built as a wheel, installed into a fresh environment, discovered, and put on a board.

Building needs the package index; where that cannot be reached, the tests are skipped and say so.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, TINY, environment
from tests.linked import environment_of

PACKAGES = (ROOT, ROOT / "tests" / "third_party" / "shrink", ROOT / "tests" / "third_party" / "twins")
NO_INDEX = ("No matching distribution found", "Could not find a version", "Connection", "Temporary failure")


class Fresh:
    """A fresh environment with Vestige and two packages of other people."""

    def __init__(self, root: Path) -> None:
        self.root = root
        words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", root / "wheels", *PACKAGES]
        done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
        if done.returncode and any(sign in done.stderr for sign in NO_INDEX):
            pytest.skip("the package index cannot be reached, so there is nothing to install")
        assert done.returncode == 0, done.stderr
        self.bin = environment_of(root / "venv", (root / "wheels").glob("*.whl")).parent

    def vestige(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Runs the installed command."""
        return subprocess.run(
            [self.bin / "vestige", *map(str, words)],
            cwd=self.root,
            env=environment(self.root / "cache"),
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return Fresh(tmp_path_factory.mktemp("fresh"))


def test_it_is_discovered_and_each_broken_twin_costs_one_line(fresh: Fresh) -> None:
    done = fresh.vestige("plugins")
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    (found,) = [line for line in lines if line.split()[:2] == ["method", "shrink"]]
    assert "shrink-weights 1.0" in found and found.endswith("ok")
    for name, reason in (
        ("cannot_import", "No module named 'nothing_of_that_name'"),
        ("misspelt_hook", "did you mean 'vestige_methods'"),
        ("wrong_argument", "bord"),
        ("taken_name", "the method name 'finetune' is taken by vestige"),
    ):
        (broken,) = [line for line in lines if line.split()[:2] == ["plugin", name]]
        assert "broken-twins 1.0" in broken and "broken: " in broken and reason in broken


def test_it_conforms(fresh: Fresh) -> None:
    done = fresh.vestige("validate", "shrink")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "shrink: 15 of 15 checks passed"


SMALLER = """
extends = "smoke"
title = "The board that ships, trained less and attacked once"
threads = 1  # tests share the cores
controls = false

[recommender]
passes = 3

[attacks]
names = ["quantise"]
"""


def test_it_joins_a_board_that_ships(fresh: Fresh) -> None:
    """It is planned on the board itself, and has a row on a smaller one that extends it."""
    planned = fresh.vestige("plan", "smoke", "--method", "shrink")
    assert planned.returncode == 0, planned.stderr
    assert any(line.split()[:1] == ["shrink-s0"] for line in planned.stdout.splitlines())
    board = fresh.root / "smaller"
    board.mkdir()
    (board / "board.toml").write_text(SMALLER)
    done = fresh.vestige("run", board, "--out", fresh.root / "smoke", "--method", "shrink")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(fresh.root / "smoke" / "results.csv")
    assert set(table.status) == {"ok"}
    value = table.set_index(["label", "metric", "view"]).value
    assert value["shrink", "distance", "forget"] > 0
    assert value["shrink", "recovery_weights", "forget"] >= 0
    assert "| shrink" in (fresh.root / "smoke" / "leaderboard.md").read_text()


def test_it_has_its_row_and_each_broken_twin_costs_its_own(fresh: Fresh) -> None:
    board = fresh.root / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(TINY)
    names = ("shrink", "factory_raises", "hangs", "eats_memory")
    words = [word for name in names for word in ("--method", name)]
    done = fresh.vestige(
        "run", board, "--out", fresh.root / "out", *words, "--timeout", 30, "--max-memory", 2000, "--workers", 2
    )
    assert done.returncode == 1, done.stderr
    table = pd.read_csv(fresh.root / "out" / "results.csv")
    rows = table.drop_duplicates("label").set_index("label")
    for label, status, note in (
        ("shrink", "ok", ""),
        ("finetune", "ok", ""),
        ("factory_raises", "method_error", "RuntimeError: cannot be made"),
        ("hangs", "timeout", "longer than the 30 s it was given"),
        ("eats_memory", "oom", "more than the 2000 MiB it was given"),
    ):
        assert rows.loc[label, "status"] == status, (label, rows.loc[label, "note"])
        assert note in str(rows.loc[label, "note"])


def test_what_is_not_declared_is_not_there(fresh: Fresh) -> None:
    """The environment has what the wheels require: so the tests above would miss a requirement that is not stated."""
    for name, there in (("pydantic_core", True), ("hypothesis", False), ("mkdocs", False)):
        words = [fresh.bin / "python", "-c", f"import {name}"]
        assert (subprocess.run(words, capture_output=True, check=False).returncode == 0) is there, name
