"""A board that withdraws items, through the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import TINY, vestige

ITEMS = TINY.replace("[request]\ncount = 8", '[request]\nkind = "items"\ncount = 8').replace(
    "recheck = false", "swap = true"
)
ITEMS += (
    '\n[[method]]\nname = "grad_diff"\nsteps = 10\n'
    '\n[[method]]\nname = "dual_memory"\npreset = "published"\nepochs = 1\nbatch_size = 64\nrouter_epochs = 3\n'
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("items")
    board = root / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(ITEMS)
    done = vestige("run", board, "--out", root / "out", cache=root / "cache", cwd=root)
    assert done.returncode == 0, done.stderr
    return root / "out"


def test_every_row_is_measured(finished: Path) -> None:
    table = pd.read_csv(finished / "results.csv")
    assert set(table.status) == {"ok"} and set(table.request) == {"items"}
    assert {"do_nothing", "retrain", "finetune", "grad_diff", "dual_memory (published)"} <= set(table.label)
    value = table.set_index(["label", "metric", "view"]).value
    assert value["retrain", "hit@10:vs_gold", "forget"] == 0
    assert value["retrain", "distance", "forget"] == 0
    assert set(table["view"].dropna()) == {"retain", "forget", "unseen_train", "neighbours", "controls"}
    # Whoever is trained on the items knows them better than whoever never was.
    assert value["do_nothing", "shift", "forget"] > 0
    assert value["do_nothing", "auc_raw", "forget"] > value["retrain", "auc_raw", "forget"]
    assert value["do_nothing", "auc_swap", "forget"] > 0.6


def test_values_on_what_is_forgotten_are_of_items(finished: Path) -> None:
    rows = pd.read_parquet(finished / "per_user.parquet")
    users, items = 60, 40
    forget = rows[rows["view"] == "forget"]
    assert forget.user.min() >= users and forget.user.max() < users + items
    assert forget.user.nunique() <= 8
    assert rows[rows["view"] == "retain"].user.max() < users


def test_what_is_still_recommended_is_told(finished: Path) -> None:
    """Base recommends withdrawn items; gold, which never had them as targets, hardly."""
    value = pd.read_csv(finished / "results.csv").set_index(["label", "metric", "view"]).value
    assert value["do_nothing", "withdrawn@10", "retain"] > value["retrain", "withdrawn@10", "retain"]
    gap = value["do_nothing", "withdrawn@10", "retain"] - value["retrain", "withdrawn@10", "retain"]
    assert value["do_nothing", "withdrawn@10:vs_gold", "retain"] == pytest.approx(gap)
    text = (finished / "leaderboard.md").read_text()
    assert "withdrawn item in the list" in text.partition("## What it still remembers")[0]
    assert "**withdrawn items**: what is forgotten are items" in text


def test_a_record_says_what_was_withdrawn(finished: Path) -> None:
    record = json.loads((finished / "records" / "retrain-s0.json").read_text())
    assert record["identity"]["request"]["kind"] == "items"
    assert "of" not in record["identity"]["request"] and "step" not in record["identity"]
    assert record["outcome"]["notes"]["request"]["withdrawn items"] == 8
    text = (finished / "leaderboard.md").read_text()
    assert "8 withdrawn items" in text and "resampled by item" in text


def test_the_results_can_be_verified(finished: Path) -> None:
    root = finished.parent
    done = vestige("verify", finished, "--board", root / "tiny", "--no-rerun", cache=root / "cache", cwd=root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("count = 20", "withdrawing 20 items takes 40"),
        ('file = "items.txt"', "line 2: item 'nothing' is not in the dataset"),
        ('count = 3\nselect = "longest"', "select must be one of 'random', 'popular', 'unpopular'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, request_: str, message: str) -> None:
    board = tmp_path / "tiny"
    board.mkdir()
    (board / "items.txt").write_text("1\nnothing\n")
    (board / "board.toml").write_text(TINY.replace("[request]\ncount = 8", f'[request]\nkind = "items"\n{request_}'))
    done = vestige("run", board, "--out", tmp_path / "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
