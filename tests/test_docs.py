"""docs/plugins.md is true: every hook is there, its signature is the code's, and its example runs."""

import ast
import importlib
import re
import textwrap
from pathlib import Path

import pytest

from tests.conftest import ROOT, SHARED, TINY, plugin_package, vestige
from vestige import hookspecs, plugins
from vestige.specs import ExecutorSpec, MethodSpec, ObserverSpec
from vestige.testing import validate
from vestige.testing.suite import KINDS

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("vestige_"))
SOURCE = {
    node.name: node
    for node in ast.parse(Path(hookspecs.__file__).read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef)
}


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(hook: str) -> str:
    found = re.search(rf"^### {hook}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/plugins.md has no section '### {hook}'"
    return found[1]


def function(code: str, name: str) -> ast.FunctionDef:
    (node,) = [n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef) and n.name == name]
    return node


def modules() -> dict[str, str]:
    """The files of `my_package` that the page shows; all pieces of one file together."""
    files: dict[str, list[str]] = {}
    for code in blocks(PAGE):
        named = re.match(r"# my_package/(\w+\.py)", code)
        if named:
            files.setdefault(named[1], []).append(code)
    return {name: "\n\n".join(pieces) for name, pieces in files.items()}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The page's package, as if installed."""
    site = plugin_package(tmp_path / "site", "my_package", "")
    (site / "my_package.py").unlink()
    (site / "my_package").mkdir()
    for name, code in modules().items():
        (site / "my_package" / name).write_text(code)
    entry = site / "my_package-1.0.dist-info" / "entry_points.txt"
    entry.write_text("[vestige]\nmy_package = my_package.plugin\n")
    return site


def test_there_is_a_section_for_every_hook_and_no_other() -> None:
    assert sorted(re.findall(r"^### (vestige_\w+)$", PAGE, re.MULTILINE)) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_the_documented_signature_is_the_codes(hook: str) -> None:
    shown, real = function(blocks(section(hook))[0], hook), SOURCE[hook]
    assert (ast.unparse(shown.args), ast.unparse(shown.returns or ast.Constant(None))) == (
        ast.unparse(real.args),
        ast.unparse(real.returns or ast.Constant(None)),
    )
    text = section(hook).partition("```python\n#")[0]
    for argument in real.args.args:
        assert f"`{argument.arg}`" in text, f"the argument {argument.arg!r} is not explained"


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_the_docstring_is_that_of_the_page(hook: str) -> None:
    documented = ast.get_docstring(SOURCE[hook]) or ""
    (example,) = re.findall(r"^ *```python\n(.*?)^ *```$", documented, re.MULTILINE | re.DOTALL)
    (shown,) = [code for code in blocks(section(hook)) if code.startswith("# my_package/plugin.py")]
    assert ast.dump(function(textwrap.dedent(example), hook)) == ast.dump(function(shown, hook))


def test_the_examples_conform(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    found = plugins.load(strict=True)
    specs = [f.spec for f in found.found if f.distribution == "my_package"]
    assert {spec.kind for spec in specs} == {*KINDS, ExecutorSpec.kind, ObserverSpec.kind}
    failed = [
        f"{spec.name}: {verdict}"
        for spec in specs
        if spec.kind in KINDS
        for verdict in validate(spec)
        if not verdict.ok
    ]
    assert not failed


def test_the_method_that_is_shown_whole_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [code for code in blocks(PAGE) if "class Preference" in code]
    settings = (
        "\n\nimport vestige\n\n\nclass Settings(vestige.Config):\n    steps: int = 4\n"
        "    learning_rate: float = 1e-3\n    beta: float = 0.1\n"
    )
    (tmp_path / "shown_whole.py").write_text(code + settings)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = importlib.import_module("shown_whole").Settings
    factory = "shown_whole:Preference"
    spec = MethodSpec(name="preference", version="1", summary="Shown whole.", factory=factory, config=config)
    assert [str(verdict) for verdict in validate(spec) if not verdict.ok] == []


def test_the_examples_run_a_board_together(site: Path, tmp_path: Path) -> None:
    board = tmp_path / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(
        TINY.replace("names = []", 'names = ["reverse"]') + '\n[metrics]\nnames = ["recovery", "coverage"]\n'
    )
    words = ("run", board, "--out", tmp_path / "out", "--executor", "cluster", "--method", "shrink")
    done = vestige(*words, "--observer", "diary", cache=tmp_path / "cache", cwd=tmp_path, python_path=site)
    assert done.returncode == 0, done.stderr
    assert "started tiny shrink-s0" in done.stdout
    assert "finished shrink-s0 ok" in done.stdout and "dear diary: shrink-s0 ok" in done.stdout
    assert "to be measured: tiny 6" in done.stdout and "ended: tiny" in done.stdout
    assert "shrink: " in (tmp_path / "out" / "leaderboard.txt").read_text()
    table = (tmp_path / "out" / "results.csv").read_text()
    assert "recovery:reversed" in table and ",coverage,retain," in table


def test_the_commands_are_all_in_the_users_table() -> None:
    from typer.main import get_command

    from vestige.cli import app

    text = (ROOT / "docs" / "user.md").read_text(encoding="utf-8")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"`vestige {name}" in text, name
        assert command.help, name


def options_of(text: str) -> set[str]:
    return {option.replace("_", "-") for option in re.findall(r"--[a-z][a-z_-]+", text)}


@pytest.mark.parametrize("command", ["train", "unlearn", "evaluate", "attack"])
def test_the_published_steps_name_every_option_there_is_and_no_other(command: str) -> None:
    from typer.main import get_command

    from vestige.cli import app

    page = (ROOT / "docs" / "published-steps.md").read_text(encoding="utf-8")
    own = get_command(app).commands[command]  # type: ignore[attr-defined]
    there = options_of(" ".join(option for parameter in own.params for option in parameter.opts)) - {"--help"}
    section = page.split(f"→ `vestige {command}`")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    kept = {option for published, here, *_ in rows if here == "the same" for option in options_of(published)}
    named = kept | {option for _, here, *_ in rows for option in options_of(here)}
    assert named == there
    # What stands in a block that can be pasted is an option of the command that it is given to.
    for block in re.findall(r"```bash\n(.*?)```", page, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(f"vestige {command} "):
                assert options_of(line) <= there, line


PUBLISHED = SHARED.parent / "published"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published description is not at hand")
def test_every_published_option_is_mapped() -> None:
    page = (ROOT / "docs" / "published-steps.md").read_text(encoding="utf-8")
    (published,) = PUBLISHED.glob("*.txt")
    mapped = options_of(" ".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")))
    asked = re.findall(r"python \S+\.py.*?\n```", published.read_text(encoding="utf-8"), re.S)
    assert len(asked) >= 4
    assert not options_of(" ".join(asked)) - mapped
