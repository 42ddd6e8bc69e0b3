"""The workflows and the action: they parse, and call nothing that does not exist."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from tests.conftest import ROOT
from vestige.cli import app

FILES = [ROOT / "action.yml", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]

KEYWORDS = {"if", "then", "else", "elif", "fi", "for", "do", "done", "while", "case", "esac", "[", "test", "set", "cd"}


def steps(file: Path) -> Iterator[dict[str, Any]]:
    content = yaml.safe_load(file.read_text())
    if "runs" in content:
        yield from content["runs"]["steps"]
    for job in content.get("jobs", {}).values():
        yield from job["steps"]


def commands(script: str) -> Iterator[list[str]]:
    """Every simple command of a script, keywords and redirections left out."""
    words: list[str] = []
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    for word in [*lexer, ";"]:
        if set(word) <= set(";|&"):
            while words and words[0] in {"then", "else", "do", "if"}:
                words = words[1:]
            if words and words[0] not in KEYWORDS:
                yield words
            words = []
        else:
            words.append(word)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_step_uses_or_runs_something_that_exists(file: Path) -> None:
    found = list(steps(file))
    assert found
    for step in found:
        assert ("uses" in step) != ("run" in step), step
        if step.get("uses", "").startswith("./"):
            assert (ROOT / step["uses"] / "action.yml").is_file()
        elif "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
        else:
            assert subprocess.run(["bash", "-n"], input=step["run"], text=True, check=False).returncode == 0
            for words in commands(step["run"]):
                check_command(words)


def check_command(words: list[str]) -> None:
    name = words[0]
    if name == "vestige":
        command = typer.main.get_command(app)
        assert words[1] in command.commands, words  # type: ignore[attr-defined]
        known = {option for p in command.commands[words[1]].params for option in p.opts}  # type: ignore[attr-defined]
        assert {word for word in words if word.startswith("--")} <= known, words
    elif name == "bash":
        assert (ROOT / words[1]).is_file(), words
    elif name == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
    elif name == "python":
        assert words[1:3] == ["-m", "pip"], words
    else:
        assert shutil.which(name), words


def test_the_workflow_gives_the_action_what_it_takes() -> None:
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    required = {name for name, value in inputs.items() if value.get("required")}
    for file in FILES[1:]:
        for step in steps(file):
            if step.get("uses") == "./":
                assert required <= set(step["with"]) <= set(inputs)


def test_a_composite_action_names_the_shell_of_every_script() -> None:
    """Without one, the whole action is refused when it is used."""
    assert all(step["shell"] == "bash" for step in steps(ROOT / "action.yml") if "run" in step)


def test_the_commands_of_a_script_are_found() -> None:
    script = 'if [ -d "$B/x" ]; then\n  vestige check "$B" --out o | cat\nfi\nfor f in a b; do cat "$f" >> c; done'
    assert [words[0] for words in commands(script)] == ["vestige", "cat", "cat"]
    with pytest.raises(AssertionError):
        check_command(["vestige", "chekc"])
    with pytest.raises(AssertionError):
        check_command(["vestige", "check", "b", "--jnuit"])
