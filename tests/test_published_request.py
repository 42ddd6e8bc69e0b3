"""A board whose request is the published project's file, and whose data lies where an environment variable says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, TINY, environment
from vestige.data.interchange import read_samples
from vestige.data.request import HoldoutConfig, hold_out
from vestige.data.samples import SamplesConfig, draw_samples
from vestige.pipeline.samples import write_samples
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic

DATA = Synthetic(SyntheticConfig(users=60, items=40, events=14, tastes=4), Path()).load()
REQUEST = '[request]\nkind = "interactions"\nfile = "${VESTIGE_DATA}/forget_samples_subset.json"\nmissing = "drop"'

BOARD = (
    TINY.replace("[request]\ncount = 8", REQUEST).replace("recheck = false", "recheck = false\nswap = true")
    + """
[[method]]
name = "dual_memory"
preset = "distilled"
epochs = 2
batch_size = 64
router_epochs = 5

[[published]]
label = "base, as published"
reason = "Asked in another way."
values = { "hit@10/retain" = 0.35, "MIA AUC" = 0.4713 }

[[published]]
label = "gold, as published"
reason = "Other labels."
values = { "MIA AUC" = 0.8549 }
"""
)


def vestige(*words: object, root: Path, data: Path | None) -> subprocess.CompletedProcess[str]:
    env = {**environment(root / "cache"), "VESTIGE_DATA": "" if data is None else str(data)}
    command = [sys.executable, "-m", "vestige", *map(str, words)]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    config = SamplesConfig(forget=12, retain=10, percent=20, min_events=6, min_rating=None)
    forget, _ = write_samples(draw_samples(DATA, hold_out(DATA, HoldoutConfig()), config, 0), root / "lists")
    entries = json.loads(forget.read_text())
    entries[0]["suppression_targets"].append("no such film")
    entries.append({"user_id": "no such user", "seq_items": [], "suppression_targets": ["1"]})
    forget.write_text(json.dumps(entries))
    (root / "mine").mkdir()
    (root / "mine" / "board.toml").write_text(BOARD)
    return root


@pytest.fixture(scope="module")
def done(root: Path) -> subprocess.CompletedProcess[str]:
    return vestige("run", "mine", "--out", root / "out", root=root, data=root / "lists")


def test_without_the_variable_nothing_runs_and_one_sentence_says_so(root: Path) -> None:
    done = vestige("plan", "mine", root=root, data=None)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "[request] file = '${VESTIGE_DATA}/forget_samples_subset.json'" in done.stderr
    assert "the environment variable VESTIGE_DATA is not set" in done.stderr


def test_what_is_missing_is_an_error_unless_it_may_be_dropped(root: Path) -> None:
    (root / "strict").mkdir()
    (root / "strict" / "board.toml").write_text('extends = "../mine"\n[request]\nmissing = "error"\n')
    strict = vestige("plan", "strict", root=root, data=root / "lists")
    assert strict.returncode == 2
    assert "(user '" in strict.stderr and "item 'no such film' is not in the dataset" in strict.stderr
    assert strict.stderr.count("\n") == 1


def test_the_board_runs_and_both_counts_are_told(root: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    named = sum(len(s.suppression_targets) for s in read_samples(root / "lists/forget_samples_subset.json", "forget"))
    told = f"of {named} interactions of 13 users that it names, {named - 2} of 12 users are taken; 2 are not in"
    assert told in done.stderr
    record = json.loads((root / "out" / "records" / "finetune-s0.json").read_text())
    notes = record["outcome"]["notes"]["request"]
    assert (notes["interactions named by the file"], notes["of them not in the dataset"]) == (named, 2)
    assert record["identity"]["request"]["file"] == "forget_samples_subset.json"
    assert str(root) not in json.dumps(record)


def test_a_given_list_has_swap_measures_only(root: Path, done: subprocess.CompletedProcess[str]) -> None:
    table = pd.read_csv(root / "out" / "results.csv")
    table.index = table.metric + "/" + table["view"].fillna("")
    for label in ("finetune", "dual_memory (distilled)"):
        row = table[table.label == label]
        for name in ("auc_swap/forget", "hit@10/forget", "hit@10/affected", "shift/forget"):
            assert 0 <= abs(row.loc[name, "value"]) < 10, name
        for name in ("auc_raw/forget", "auc_learned/forget"):
            assert pd.isna(row.loc[name, "value"])
            assert "F was given" in row.loc[name, "note"]
    assert 0 < row.loc["router_brier/", "value"] < 1


def test_published_numbers_stand_under_the_tables_and_apart(root: Path, done: subprocess.CompletedProcess[str]) -> None:
    text = (root / "out" / "leaderboard.md").read_text()
    before, found, after = text.partition("## Published elsewhere: not comparable with the tables above")
    assert found and "hit@10 retain" in before
    section = after.partition("##")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert rows[0] == ["", "hit@10/retain", "MIA AUC"]
    assert rows[2:] == [["*base, as published*", "0.3500", "0.4713"], ["*gold, as published*", "", "0.8549"]]
    assert "- Asked in another way.\n- Other labels." in section
    assert "as published" not in (root / "out" / "leaderboard.csv").read_text()


def test_the_boards_that_ship_are_planned(tmp_path: Path) -> None:
    data = Path(os.environ.get("VESTIGE_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not (data / "ml-1m").exists():
        pytest.skip("real data is not at hand (set VESTIGE_TEST_DATA)")
    planned = vestige("plan", "ml-1m-published", root=tmp_path, data=data)
    assert planned.returncode == 0, planned.stderr
    assert "of 5977 interactions of 500 users that it names, 3067 of 462 users are taken" in planned.stderr
    planned = vestige("plan", "ml-1m-users", root=tmp_path, data=data)
    assert planned.returncode == 0, planned.stderr
    assert "dual-memory-distilled-s1" in planned.stdout
