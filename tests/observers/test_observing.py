"""Observers are told of everything, each by itself; what one of them does costs nobody anything."""

from pathlib import Path
from typing import Any

import pytest

import vestige
from tests.conftest import plugin_package
from tests.conftest import vestige as command
from vestige import plugins
from vestige.errors import InputError
from vestige.observing import Observers

DIARY = """
import vestige
from vestige.specs import ObserverSpec


@vestige.hookimpl
def vestige_observers():
    return [
        ObserverSpec(name="diary", version="1", summary="Prints.", factory="diary:Diary"),
        ObserverSpec(name="late", version="1", summary="Fails.", factory="diary:Late"),
        ObserverSpec(name="typo", version="1", summary="Misspells.", factory="diary:Typo"),
    ]


class Diary:
    def __init__(self, config):
        self.heard = []

    @vestige.hookimpl
    def vestige_board_started(self, board, config, cells):
        print("started", board, config["title"], len(cells))

    @vestige.hookimpl
    def vestige_cell_finished(self, cell, run):
        self.heard.append(cell)
        assert run["cell"] == cell
        if cell == "retrain-s0":
            raise RuntimeError("no more ink")

    @vestige.hookimpl
    def vestige_board_finished(self, folder):
        print("finished", None if folder is None else folder.name, *self.heard)


class Late:
    def __init__(self, config):
        raise OSError("no paper\\nat all")


class Typo:
    def __init__(self, config):
        pass

    @vestige.hookimpl
    def vestige_bord_started(self, board):
        pass


class Crash:
    def __init__(self, settings):
        pass

    def execute(self, jobs, report):
        raise vestige.errors.VestigeError("the cluster is gone")


from vestige.specs import ExecutorSpec


@vestige.hookimpl
def vestige_executors():
    return [ExecutorSpec(name="crash", version="1", summary="Fails.", factory="diary:Crash")]
"""


class Heard:
    def __init__(self, fails: bool) -> None:
        self.fails, self.cells = fails, list[str]()

    @vestige.hookimpl
    def vestige_cell_started(self, cell: str) -> None:
        self.cells.append(cell)
        if self.fails:
            raise RuntimeError("broken\nin two lines")


def test_one_that_fails_keeps_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found, said = plugins.load(), list[str]()
    every = [Heard(False), Heard(True), Heard(False)]
    for number, observer in enumerate(every):
        found._manager.register(observer, name=f"test:{number}")
    Observers(found, said.append).tell("vestige_cell_started", board="b", cell="c")
    assert [observer.cells for observer in every] == [["c"]] * 3
    assert said == ["an observer failed and was ignored (test:1): RuntimeError: broken in two lines"]


def test_a_named_observer_is_told_where_it_is_asked_for(board: Path, tmp_path: Path, shared_cache: Path) -> None:
    site = plugin_package(tmp_path / "site", "diary", DIARY)

    def run(*words: Any) -> Any:
        return command(
            "run", board, "--out", tmp_path / "out", *words, cache=shared_cache, cwd=tmp_path, python_path=site
        )

    silent = run()
    assert silent.returncode == 0 and "started tiny" not in silent.stdout, silent.stderr
    told = run("--observer", "diary", "--observer", "diary")
    assert told.returncode == 0, told.stderr
    assert "started tiny Tiny 5" in told.stdout
    assert "finished out do-nothing-s0 retrain-s0 finetune-s0 control-s0 popularity-s0" in told.stdout
    assert "an observer failed and was ignored (diary:observer diary): RuntimeError: no more ink" in told.stderr
    broken_off = run("--observer", "diary", "--executor", "crash", "--seed", 7)
    assert broken_off.returncode == 2 and "the cluster is gone" in broken_off.stderr
    assert "finished None" in broken_off.stdout


def test_a_named_observer_that_cannot_hear_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(plugin_package(tmp_path / "site", "diary", DIARY)))
    found = plugins.load(strict=True)
    with pytest.raises(
        InputError, match=r"--observer typo: .*'vestige_bord_started'; did you mean 'vestige_board_started'"
    ):
        found.switch_on("typo")
    with pytest.raises(InputError, match=r"^--observer late: it cannot be made \(OSError: no paper at all\)$"):
        found.switch_on("late")
