"""The digest of a plugin changes with what it runs, and with nothing else."""

import ast
import importlib
import io
import sys
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige import plugins
from vestige.pipeline.sources import code, source_digest
from vestige.pipeline.stages import Workbench
from vestige.pipeline.store import Store
from vestige.specs import MethodSpec

ROOT = Path(__file__).parents[2]
TOPS = ("harness", "methods", "metrics", "datasets")
MODULES = sorted(file for top in TOPS for file in (ROOT / top).rglob("*.py") if file.name != "sources.py")
"""All but the one that tells readers of docstrings by their names."""


def spec(factory: str) -> MethodSpec:
    return MethodSpec(name="m", version="1", summary="", factory=factory)


def digest(factory: str) -> str:
    source_digest.cache_clear()
    importlib.invalidate_caches()
    return source_digest(spec(factory))


def test_an_edit_changes_the_digest_of_who_uses_it_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "digested_package"
    (package / "folder").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "alone.py": "x = 1\n",
        "user.py": "from digested_package import helper\n",
        "helper.py": "y = 1\n",
        "folder/__init__.py": "",
        "folder/inner.py": "from ..helper import y\n",
    }.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    factories = [f"digested_package.{name}:X" for name in ("alone", "user", "folder")]
    before = [digest(f) for f in factories]
    (package / "helper.py").write_text("y = 2\n")
    after = [digest(f) for f in factories]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False]
    sys.modules.pop("digested_package", None)


def test_a_method_is_followed_into_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its update is made with these gradients; the rest of the core has stages with versions of their own."""
    (tmp_path / "digested_alone.py").write_text(
        "from vestige.recommenders import gradients\nfrom vestige.data.sequences import Sequences\n"
        "from vestige_methods.baselines.undial import Undial\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = digest("digested_alone:X")
    read = Path.read_bytes

    def edited(name: str) -> str:
        """The digest after somebody has edited the file of this name."""
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "read_bytes", lambda file: read(file) + (b"\nedited = 1\n" if file.name == name else b"")
            )
            return digest("digested_alone:X")

    assert edited("gradients.py") != before
    assert edited("contract.py") != before  # which gradients.py imports
    assert edited("undial.py") != before  # another distribution's, on which this one is built
    assert edited("sequences.py") == edited("popularity.py") == edited("npo.py") == before


def test_what_was_read_before_a_fork_is_parsed_once_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reads ahead for its children; an edit between that and a child's own reading is noticed."""
    file = tmp_path / "digested_ahead.py"
    file.write_text("import json\nx = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    ahead = Workbench(Store(tmp_path / "store"), plugins.load())
    mine = spec("digested_ahead:X")
    monkeypatch.setattr(ahead, "_spec", lambda described: mine)
    payload = {"roles": {"base": {"method": [{"digest": "-"}]}}, "digest": None}
    ahead.read_ahead(payload)
    parsed: list[str] = []
    tree = ast.parse
    monkeypatch.setattr(ast, "parse", lambda source: parsed.append(source) or tree(source))
    before = source_digest(mine)
    assert not parsed
    source_digest.cache_clear()  # as a child that is forked later has none
    ahead.read_ahead(payload)
    file.write_text("import json\nx = 2\n")
    assert source_digest(mine) != before
    assert len(parsed) == 1


def test_reading_ahead_fails_nobody(tmp_path: Path) -> None:
    bench = Workbench(Store(tmp_path), plugins.load())
    bench.read_ahead({"method": {"kind": "method", "name": "not_there", "digest": "-"}})
    bench.read_ahead({"method": {"kind": "nothing", "digest": "-"}})


def test_built_in_methods_have_digests_of_their_own() -> None:
    names = ("do_nothing", "retrain", "finetune", "dual_memory")
    assert len({digest(f"vestige_methods.{name}:X") for name in names}) == len(names)


def test_no_module_is_imported_for_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the packages around it either: looking at a plugin is no reason to load torch, or to run its code."""
    folder = tmp_path / "never_imported" / "without_init" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "never_imported" / "__init__.py").write_text("raise AssertionError('imported')\n")
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    (folder / "method.py").write_text("from never_imported.without_init.inner import helper\n")
    (folder / "helper.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    factory = "never_imported.without_init.inner.method:X"
    before = digest(factory)
    (folder / "helper.py").write_text("x = 2\n")
    assert digest(factory) != before
    assert not [name for name in sys.modules if name.startswith("never_imported")]


SOURCE = b'''#!/usr/bin/env python
"""What it is for."""

import os  # for the path


LIMIT = 1
"""Of what."""


class A:
    r"""Of it."""

    # why
    x: int = 1
    "Of x " "and more"

    def f(self, name: str = "# no comment") -> str:
        """What comes back."""
        return f"# {name}" + """

        # text """ + (
            "a"  # first

            "b"
        )


f"{os.sep}"
'''
CODE = '''import os
LIMIT = 1
class A:
    x: int = 1
    def f(self, name: str = "# no comment") -> str:
        return f"# {name}" + """

        # text """ + (
            "a"
            "b"
        )
f"{os.sep}"
'''


def test_code_is_the_source_without_what_only_a_reader_sees() -> None:
    """As it is written here, whatever the version of Python."""
    assert code(SOURCE) == CODE
    assert code(SOURCE.replace(b"\n", b"\r\n")) == CODE
    assert code(b"\xef\xbb\xbf" + SOURCE) == CODE
    assert code("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1")) == "x = 'é'\n"


@pytest.mark.parametrize(
    "source", [b"def f(:  # no Python\n", b"x = (1,\n", b"# coding: rot13\nk = 1\n", b"\xff = 1\n"]
)
def test_what_cannot_be_read_is_taken_as_it_is(source: bytes) -> None:
    assert code(source) == source.decode(errors="backslashreplace")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = g \\\n# why\n(2)\n", "x = g \\\n(2)\n"),  # a comment ends the statement
        ("def f():\n    return \\\n    # why\n    g()\n", "def f():\n    return \\\n    g()\n"),
        ("if a:\n    \\\n    'what'\nr = 2\n", "if a:\n    \\\nr = 2\n"),
        ('x = f"""{\n\na=}"""\n', 'x = f"""{\na=}"""\n'),  # which shows its own source
        ('x = """\n\n# text"""\n', 'x = """\n"""\n'),
        ("'what'\n", "f'{what}'\n"),
    ],
)
def test_what_only_looks_like_a_comment_or_an_empty_line_is_code(one: str, other: str) -> None:
    assert code(one.encode()) != code(other.encode())


@pytest.mark.parametrize(
    "reader",
    [
        "TEXT = texts.ask.__doc__",
        "TEXT = inspect.getdoc(texts.ask)",
        "TEXT = ast.get_docstring(tree)",
        "TEXT = inspect.getsource(texts)",
        "SHAPE = Answer.model_json_schema()",
        "pass",
    ],
)
def test_docstrings_that_some_module_reads_are_code(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "digested_reader"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "method.py").write_text(f"from digested_reader import texts\n{reader}\n")
    (package / "texts.py").write_text('def ask():\n    """Which film comes next?"""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    before = digest("digested_reader.method:X")
    (package / "texts.py").write_text('def ask():\n    """Which book comes next?"""\n')
    assert (digest("digested_reader.method:X") == before) is (reader == "pass")
    sys.modules.pop("digested_reader", None)


@given(st.sampled_from(MODULES), st.data())
def test_comments_docstrings_and_empty_lines_are_no_edit_and_every_word_of_code_is_one(
    file: Path, data: st.DataObject
) -> None:
    source = file.read_text()
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    ends = [token.start for token in tokens if token.type == tokenize.NEWLINE]
    lines = source.splitlines(keepends=True)
    if ends:  # behind any statement
        row, column = data.draw(st.sampled_from(ends))
        commented = list(lines)
        commented[row - 1] = f"{lines[row - 1][:column]}  # {data.draw(st.sampled_from(['why', 'noqa', chr(34)]))}\n\n"
        assert code("".join(commented).encode()) == code(source.encode())
    tree = ast.parse(source)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module)]
    documented = [node for node in documented if ast.get_docstring(node)]
    if documented:
        docstring = data.draw(st.sampled_from(documented)).body[0]
        other = list(lines)
        other[docstring.lineno - 1 : docstring.end_lineno] = [" " * docstring.col_offset + '"""Another."""\n']
        assert code("".join(other).encode()) == code(source.encode())
    names = [token for token in tokens if token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.OP)]
    if names:
        token = data.draw(st.sampled_from(names))
        edited = list(lines)
        row, column = token.start
        edited[row - 1] = lines[row - 1][:column] + "edited " + lines[row - 1][column:]
        assert code("".join(edited).encode()) != code(source.encode())
