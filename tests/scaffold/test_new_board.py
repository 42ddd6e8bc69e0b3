"""A new board is planned as it is, and says what it starts from."""

import tomllib
from pathlib import Path

import pytest

from tests.conftest import TINY, vestige
from vestige import plugins
from vestige.errors import InputError
from vestige.pipeline.board import load, shipped
from vestige.scaffold import new_board


def test_it_is_planned_as_it_is(tmp_path: Path) -> None:
    done = vestige("new-board", "mine", "--extends", "smoke", cache=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    planned = vestige("plan", "mine", cache=tmp_path, cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "finetune-s0" in planned.stdout
    again = vestige("new-board", "mine", "--extends", "smoke", cache=tmp_path, cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.strip() == "vestige: mine: it exists; choose a name that is free, or remove it first."


@pytest.mark.parametrize("name", sorted(shipped()))
def test_it_is_the_other_board_until_something_is_changed(tmp_path: Path, name: str) -> None:
    found = plugins.load()
    file = new_board(tmp_path / "mine", name)
    mine, other = (load(str(board), found).config for board in (file.parent, name))
    own = {"title", "extends", "remarks"}  # what is said of one board's results is said of no other's
    assert mine.model_dump(exclude=own) == other.model_dump(exclude=own)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_its_comments_are_settings_that_the_other_board_has(tmp_path: Path, name: str) -> None:
    """Uncommented, every table but the methods and limits says what is so anyway."""
    found = plugins.load()
    file = new_board(tmp_path / "mine", name)
    lines = file.read_text().splitlines()
    opened = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines]
    assert len(tomllib.loads("\n".join(opened))) > 8
    file.write_text("\n".join(opened))
    mine, other = (load(str(board), found).config for board in (file.parent, name))
    for key in ("seeds", "threads", "swap", "dataset", "request", "recommender", "metrics", "attacks"):
        assert getattr(mine, key) == getattr(other, key), key
    assert [method.name for method in mine.method] == ["finetune"]
    assert mine.limits.seconds == 600


def test_a_list_is_named_as_the_other_board_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable and not by where that points on this machine; without one, by its place."""
    monkeypatch.setenv("VESTIGE_DATA", str(tmp_path))
    for name in ("ml-1m-published", str(new_board(tmp_path / "between", "ml-1m-published").parent)):
        text = new_board(tmp_path / "of" / Path(name).name, name).read_text()
        assert '# file = "${VESTIGE_DATA}/ml-1m/forget_samples_subset.json"' in text and "# select" not in text
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "board.toml").write_text(TINY.replace("count = 8", 'file = "mine.txt"'))
    text = new_board(tmp_path / "mine", str(tmp_path / "below")).read_text()
    assert f'# file = "{tmp_path / "below" / "mine.txt"}"' in text


def test_a_board_of_ones_own_is_named_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "board.toml").write_text(TINY.replace('"Tiny"', '"Tiny, \\"quoted\\" and ünicode"'))
    file = new_board(tmp_path / "deeper" / "mine", str(tmp_path / "below"))
    loaded = load(str(file.parent), plugins.load()).config
    assert loaded.extends == "../../below"
    assert loaded.title == 'mine, from Tiny, "quoted" and ünicode'


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown board 'smok'; did you mean 'smoke'"):
        new_board(tmp_path / "mine", "smok")
    with pytest.raises(InputError, match="has no letter or digit"):
        new_board(tmp_path / "---", "smoke")
    assert not list(tmp_path.iterdir())
