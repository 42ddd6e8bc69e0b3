"""Boards whose recommender starts from a checkpoint, or spells items by an index: from command line to record."""

import json
from pathlib import Path

from tests.conftest import TINY, vestige
from tests.recommenders.test_t5_checkpoint import small_checkpoint

SHAPE = "d_model = 16\nd_ff = 32\nlayers = 1\nheads = 2\n"


def board_with(folder: Path, recommender: str) -> Path:
    folder.mkdir(exist_ok=True)
    assert SHAPE in TINY
    text = TINY.replace(SHAPE, recommender).replace('[[method]]\nname = "finetune"\nshare = 0.4\n', "")
    (folder / "board.toml").write_text(text)
    return folder


def recommender_in(out: Path) -> dict[str, object]:
    record = json.loads((out / "records" / "do-nothing-s0.json").read_text())
    assert record["outcome"]["status"] == "ok"
    return record["identity"]["recommender"]["config"]


def test_a_checkpoint_beside_the_board(tmp_path: Path) -> None:
    """A relative folder is the board's; the record holds its name; another content is another result."""
    folder = tmp_path / "pretrained"
    (folder / "base").mkdir(parents=True)
    small_checkpoint(folder / "base")
    board = board_with(folder, 'init = "base"\nprompt = "text"\nlearning_rate = 1e-2\n')
    cache = tmp_path / "cache"
    done = vestige("run", "pretrained", "--out", "out", cache=cache, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = recommender_in(tmp_path / "out")
    assert (config["init"], config["prompt"]) == ("base", "text")
    # Called by another path, it is the same board; with another file in the checkpoint, it is not.
    assert "train: 4 jobs, 0 would run" in vestige("plan", board, cache=cache, cwd=tmp_path).stdout
    (board / "base" / "generation_config.json").write_text("{}")
    assert "train: 4 jobs, 3 would run" in vestige("plan", board, cache=cache, cwd=tmp_path).stdout


def test_a_checkpoint_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    board = board_with(tmp_path / "nowhere", 'init = "./not/there"\n')
    done = vestige("run", board, "--out", tmp_path / "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode != 0
    assert f"{board / 'not' / 'there'}: there is no such folder" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_items_of_several_tokens_on_a_board(tmp_path: Path) -> None:
    board = board_with(tmp_path / "named", f'items = "collaborative"\n{SHAPE}')
    done = vestige("run", board, "--out", tmp_path / "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert recommender_in(tmp_path / "out")["items"] == "collaborative"
