"""Keys change with what a result depends on, and with nothing else."""

import importlib
import sys
from pathlib import Path

import pytest

from vestige.pipeline.keys import canonical, key_of, source_digest
from vestige.specs import MethodSpec


def spec(factory: str) -> MethodSpec:
    return MethodSpec(name="m", version="1", summary="", factory=factory)


def digest(factory: str) -> str:
    source_digest.cache_clear()
    importlib.invalidate_caches()
    return source_digest(spec(factory))


def test_order_does_not_matter_and_content_does() -> None:
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


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
            patch.setattr(Path, "read_bytes", lambda file: read(file) + (b"\n#" if file.name == name else b""))
            return digest("digested_alone:X")

    assert edited("gradients.py") != before
    assert edited("contract.py") != before  # which gradients.py imports
    assert edited("undial.py") != before  # another distribution's, on which this one is built
    assert edited("sequences.py") == edited("popularity.py") == edited("npo.py") == before


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
