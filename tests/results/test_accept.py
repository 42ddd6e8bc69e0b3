"""Accepted results are the old ones or the new ones, whatever happens between."""

from pathlib import Path

import pytest

from vestige.errors import StoreError
from vestige.results.accept import replace_folder

OLD, NEW = {Path("a/x"): b"old", Path("gone"): b"old"}, {Path("a/x"): b"new", Path("b"): b"new"}


def files(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_new_ones_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    for contents in (OLD, NEW):
        replace_folder(tmp_path / "accepted", contents)
        assert files(tmp_path / "accepted") == contents
    assert [path.name for path in tmp_path.iterdir()] == ["accepted"]


def test_what_cannot_be_written_whole_leaves_the_old_ones(tmp_path: Path) -> None:
    replace_folder(tmp_path / "accepted", OLD)
    with pytest.raises(StoreError, match="cannot be written"):
        replace_folder(tmp_path / "accepted", {**NEW, Path("b/c"): b"no folder"})
    assert files(tmp_path / "accepted") == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["accepted"]


@pytest.mark.parametrize("there", ["accepted", "accepted.old"])
def test_what_a_killed_command_left_is_taken_up(tmp_path: Path, there: str) -> None:
    replace_folder(tmp_path / there, OLD)
    (tmp_path / "accepted.new").mkdir()
    (tmp_path / "accepted.new" / "half").write_text("")
    with pytest.raises(StoreError):
        replace_folder(tmp_path / "accepted", {**NEW, Path("b/c"): b"no folder"})
    assert files(tmp_path / "accepted") == OLD
    replace_folder(tmp_path / "accepted", NEW)
    assert files(tmp_path / "accepted") == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["accepted"]


def test_old_ones_stand_where_the_new_ones_cannot_take_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_folder(tmp_path / "accepted", OLD)
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name == "accepted.new":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(StoreError, match="No space left"):
        replace_folder(tmp_path / "accepted", NEW)
    assert files(tmp_path / "accepted") == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["accepted"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    replace_folder(tmp_path / "elsewhere", OLD)
    (tmp_path / "accepted").symlink_to(tmp_path / "elsewhere")
    for contents in (NEW, OLD):
        replace_folder(tmp_path / "accepted", contents)
        assert (tmp_path / "accepted").is_symlink() and files(tmp_path / "elsewhere") == contents
