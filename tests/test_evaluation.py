"""The whole evaluation through the command line: attacks, shadow models, rows that must not win, scores."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.conftest import TINY, vestige
from vestige import plugins
from vestige.pipeline.board import load, measure_names
from vestige.results.render import read_results

FULL = TINY.replace("recheck = false", "swap = true").replace("controls = false", "").replace(
    "names = []", 'names = ["bypass", "evasion", "relearn", "quantise", "probe", "latency"]'
).replace("seeds = [0]", "seeds = [0, 1]") + """
[shadows]
count = 4
passes = 2

[[method]]
name = "dual_memory"
preset = "published"
epochs = 2
batch_size = 64
router_epochs = 5
"""  # fmt: skip

CONTROLS = {"untrained", "destroyed", "overfitted", "uniform_on_f", "control", "recheck", "popularity"}
ROWS = {"do_nothing", "retrain", "finetune", "dual_memory (published)"} | CONTROLS


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A board with everything, run once: its folder, its results and its cache."""
    root = tmp_path_factory.mktemp("audited")
    board = root / "full"
    board.mkdir()
    (board / "board.toml").write_text(FULL)
    done = vestige("run", board, "--out", root / "out", cache=root / "cache", cwd=root)
    assert done.returncode == 0, done.stderr
    return board, root / "out", root / "cache"


@pytest.fixture(scope="module")
def table(audited: tuple[Path, Path, Path]) -> pd.DataFrame:
    return pd.read_csv(audited[1] / "results.csv")


def test_every_row_stands_and_those_that_compete_with_nobody_stand_apart(
    audited: tuple[Path, Path, Path], table: pd.DataFrame
) -> None:
    assert set(table.status) == {"ok"}
    assert set(table.label) == ROWS
    results = read_results(audited[1])
    assert set(results.controls) == CONTROLS
    assert set(results.competing) == ROWS - CONTROLS


def test_every_name_that_is_measured_is_known_to_the_board(
    audited: tuple[Path, Path, Path], table: pd.DataFrame
) -> None:
    known = set(measure_names(load(str(audited[0]), plugins.load())))
    assert set(table.metric) - known == set()
    never = known - set(table.metric) - {"tpr@1%_latency", "tpr@5%_latency"}
    assert not never, f"named and never measured: {never}"


def test_attacks_and_shadows_are_of_the_first_seed(table: pd.DataFrame) -> None:
    scores = table[table.metric == "score_api"].set_index(["label", "seed"])
    assert "recovery (no attack was run on the track" in scores.loc[("retrain", 1), "note"]
    assert "no attack was run" not in str(scores.loc[("retrain", 0), "note"])
    shadow = table[table.metric == "auc_shadow"].set_index(["label", "seed"])
    assert shadow.xs(1, level="seed").value.isna().all()
    assert shadow.xs(0, level="seed").value.notna().all()


def test_of_eight_users_nothing_is_said_to_be_recovered_and_why_is(table: pd.DataFrame) -> None:
    """A base of three passes remembers fewer than five of them beyond gold; 0 and 1 come out on the board `smoke`."""
    found = table[table.metric.str.startswith("recovery") & (table.seed == 0)]
    assert len(found) and found.value.isna().all()
    assert found.note.str.contains(r"rests on \d of the \d that|is not surely above gold|NO POWER|could not be").all()


def test_bypass_is_of_routers_only_and_asks_base_itself(audited: tuple[Path, Path, Path], table: pd.DataFrame) -> None:
    bypass = table[(table.metric == "recovery:bypass") & (table.seed == 0)]
    assert set(bypass.label) == {"dual_memory (published)"}
    plain = table[(table.metric == "hit@10") & (table["view"] == "forget") & (table.seed == 0)].set_index("label").value
    made = [
        load_file(file.with_name("attempts.safetensors"))["recovered/bypass"]
        for file in (audited[2] / "store" / "attack").glob("*/manifest.json")
        if "bypass" in json.loads(file.read_text())["meta"]["recovered"]
    ]
    assert [hits.mean() for hits in made] == pytest.approx([plain["do_nothing"]])


def test_what_takes_time_is_kept_apart_from_what_does_not(audited: tuple[Path, Path, Path]) -> None:
    for file in (audited[1] / "records").glob("*-s0.json"):
        names = {m["metric"] for m in json.loads(file.read_text())["outcome"]["measurements"]}
        assert not any("latency" in name or name.startswith(("cost", "seconds")) for name in names)
        run = {m["metric"] for m in json.loads(file.with_name(file.stem + ".run.json").read_text())["cost"]}
        assert {"seconds", "cost_flops", "auc_latency"} <= run
    gold = json.loads((audited[1] / "records" / "finetune-s0.run.json").read_text())["cost"]
    (flops,) = (m for m in gold if m["metric"] == "cost_flops")
    assert "not counted:" in flops["note"] and "softmax" in flops["note"]


def test_the_leaderboard_explains_itself(audited: tuple[Path, Path, Path]) -> None:
    text = (audited[1] / "leaderboard.md").read_text()
    for heading in (
        "## Who can tell that somebody was forgotten",
        "## Whether its lists collapsed",
        "## Do the attacks work?",
        "## What attacks bring back",
        "## Score, where the attacker holds the files (weights)",
        "## How to read this",
    ):
        assert heading in text
    assert "p adjusted for 3 rows (Holm)" in text
    assert "is found in 80 of 100 boards" in text


def test_a_second_run_is_the_same_to_the_byte(audited: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Attacks, shadows and control rows too; only what measures time may differ."""
    board, out, _ = audited
    words = ("run", board, "--seed", 0, "--out", tmp_path / "out")
    again = vestige(*words, cache=tmp_path / "cache", cwd=tmp_path, cold=True)
    assert again.returncode == 0, again.stderr

    def checksums(folder: Path) -> dict[str, str]:
        files = [f for f in (folder / "records").glob("*-s0.json") if not f.name.endswith(".run.json")]
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    assert len(checksums(out)) == len(ROWS)
    assert checksums(tmp_path / "out") == checksums(out)


def test_forgotten_interactions_are_attacked_as_well(tmp_path: Path) -> None:
    board = tmp_path / "events"
    board.mkdir()
    request = '[request]\nkind = "interactions"\npercent = 15\n'
    (board / "board.toml").write_text(FULL.replace("[request]\n", request).replace("seeds = [0, 1]", "seeds = [0]"))
    done = vestige("run", board, "--out", tmp_path / "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(table.status) == {"ok"}
    for attack in ("raw", "calibrated", "learned", "blackbox", "shadow", "swap"):
        auc = table[table.metric == f"auc_{attack}"].set_index("label").value
        assert set(auc.index) == ROWS
        assert auc.between(0, 1).all(), attack
    # F and T of a pair have the same history, so a list of hashes hides T as well as F: it tells nothing here.
    assert table[(table.metric == "auc_raw") & (table.label == "uniform_on_f")].value.item() == 0.5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("count = 4", "count = 3"), "count"),
        (("[shadows]\n", "[shadows]\nseeds = [7]\n"), "[shadows] seeds: 7 is none of the board's seeds [0, 1]"),
        (('"bypass", ', '"bypas", '), "unknown attack 'bypas'; did you mean 'bypass'?"),
        (("passes = 2", "pases = 2"), "[shadows]"),
        (("[shadows]\n", "[attacks.relearn]\nlearning_rate = -1\n[shadows]\n"), "[attacks.relearn]"),
    ],
)
def test_bad_settings_are_one_sentence(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    board = tmp_path / "wrong"
    board.mkdir()
    assert change[0] in FULL
    (board / "board.toml").write_text(FULL.replace(*change))
    done = vestige("plan", board, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
