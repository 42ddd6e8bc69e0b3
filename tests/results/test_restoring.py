"""Accepted results have the intervals of the fresh ones again, where users' values are kept."""

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from vestige.errors import InputError
from vestige.results import accept
from vestige.results.cells import cell
from vestige.results.page import data
from vestige.results.restoring import read_restored, stated
from vestige.results.sections import attack_columns
from vestige.results.verdicts import against_gold, powerless, warnings

BOARD = ROOT / "leaderboards" / "ml-100k"


def test_restored_intervals_are_those_of_the_committed_table() -> None:
    results = read_restored(BOARD / "accepted")
    table = (BOARD / "leaderboard.md").read_text()
    for label in ("finetune", "dual_memory (published)"):
        for name in ("hit@10/retain", "ndcg@10/retain", "distance/forget"):
            shown = cell(results, label, name)
            assert "[" in shown and shown in table, (label, name, shown)


@pytest.mark.parametrize("board", ["ml-100k", "ml-1m-users", "quickstart"])
def test_attacks_say_of_accepted_results_what_they_said_of_the_run(board: str) -> None:
    """An AUC is no mean over users; without its interval it would be shown as one without power."""
    results = read_restored(ROOT / "leaderboards" / board / "accepted")
    table = (ROOT / "leaderboards" / board / "leaderboard.md").read_text()
    for name in attack_columns(results):
        for label in ("do_nothing", "retrain", "control"):
            shown = cell(results, label, name)
            assert "[" in shown or shown == "—", (label, name)
            assert shown in table, (label, name, shown)
    said = next((line for line in warnings(results) if line.startswith("NO POWER")), "")
    assert "calibrated" not in said


@pytest.mark.parametrize("board", ["ml-100k", "ml-1m-users"])
def test_what_attacks_bring_back_has_the_intervals_of_the_run(board: str) -> None:
    results = read_restored(ROOT / "leaderboards" / board / "accepted")
    table = (ROOT / "leaderboards" / board / "leaderboard.md").read_text()
    assert results.attempts
    for name in results.attempts:
        for label in ("do_nothing", "finetune", "dual_memory (distilled)"):
            shown = cell(results, label, f"recovery:{name}/forget")
            assert shown in ("", "—") or ("[" in shown and shown in table), (label, name, shown)


@pytest.mark.parametrize("board", sorted(file.parent.name for file in (ROOT / "leaderboards").glob("*/accepted")))
def test_a_committed_table_has_the_boards_remarks_and_no_verdict_without_power(board: str) -> None:
    """Tables are as old as their results; what is said under them must not be what is no longer held for true."""
    folder = ROOT / "leaderboards" / board
    table = (folder / "leaderboard.md").read_text()
    for remark in tomllib.loads((folder / "board.toml").read_text()).get("remarks", ()):
        assert remark.strip() in table, remark
    results = read_restored(folder / "accepted")
    for name, heading in attack_columns(results).items():
        assert not powerless(results, name) or f"{heading}, against gold" not in table, heading


def test_a_table_of_other_results_says_nothing(tmp_path: Path) -> None:
    results = read_restored(BOARD / "accepted")
    name = "auc_raw/forget"
    pooled = results.pooled("do_nothing", name)
    assert pooled is not None and pooled.value is not None
    file = tmp_path / "leaderboard.csv"
    head = f"label,{name},{name}:low,{name}:high\ndo_nothing,"
    file.write_text(f"{head}{pooled.value!r},0.25,0.75\n")
    assert stated(results, file) == {("do_nothing", name): (0.25, 0.75)}
    file.write_text(f"{head}{pooled.value + 0.01!r},0.25,0.75\n")
    assert stated(results, file) == {}
    assert stated(results, tmp_path / "none.csv") == {}
    file.write_text(f"{head}{pooled.value!r},0.25\n")
    with pytest.raises(InputError, match=r"leaderboard\.csv: this is no table of a board"):
        stated(results, file)
    file.write_text(f"{head}{pooled.value!r},a half,0.75\n")
    with pytest.raises(InputError, match=r"leaderboard\.csv: this is no table of a board"):
        stated(results, file)


def test_what_is_not_the_mean_of_its_users_is_not_restored(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BOARD / "accepted", tmp_path / "accepted"))
    table = pq.read_table(folder / "per_user.parquet").to_pandas()
    table["value"] = np.where(table["metric"] == "hit@10", table["value"] + 0.1, table["value"])
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "per_user.parquet")
    results = read_restored(folder)
    assert ("finetune-s0", "hit@10/retain") not in results.replicates
    assert ("finetune-s0", "ndcg@10/retain") in results.replicates


def test_what_does_not_follow_from_users_values_is_kept_by_replicates_for_every_row(tmp_path: Path) -> None:
    """Where users are asked unequally many queries, the mean over queries is none over users."""
    folder = Path(shutil.copytree(BOARD / "accepted", tmp_path / "accepted"))
    results = read_restored(folder)
    name = "hit@10/forget"
    cells = [item.record.identity.cell for label in results.labels for item in results.row(label) if item.find(name)]
    table = pq.read_table(folder / "bootstrap.parquet")
    rng = np.random.default_rng(0)
    more = {
        "cell": cells,
        "metric": ["hit@10"] * len(cells),
        "view": ["forget"] * len(cells),
        "replicates": list(0.2 + 0.01 * rng.standard_normal((len(cells), 250))),
    }
    joined = pa.concat_tables([table, pa.table(more, schema=table.schema)])
    pq.write_table(joined, folder / "bootstrap.parquet")

    def kept() -> set[tuple[str, str]]:
        found = pq.read_table(pa.BufferReader(accept._replicates(folder, {}))).to_pylist()
        return {(row["cell"], f"{row['metric']}/{row['view']}") for row in found}

    assert name not in {measurement for _, measurement in kept()}
    users = pq.read_table(folder / "per_user.parquet").to_pandas()
    one = (users["cell"] == "finetune-s0") & (users["metric"] == "hit@10") & (users["view"] == "forget")
    assert one.sum() > 2
    users.loc[one, "value"] = np.where(np.arange(one.sum()) % 2, users.loc[one, "value"], 1.0)
    pq.write_table(pa.Table.from_pandas(users, preserve_index=False), folder / "per_user.parquet")
    judged = {cell for cell, measurement in kept() if measurement == name}
    assert {"finetune-s0", "do-nothing-s0", "retrain-s2", "control-s1"} <= judged
    # All rows are then read by what was kept, so that they can be compared.
    again = read_restored(folder)
    assert {len(again.replicates[cell, name]) for cell in judged} == {250}
    assert against_gold(again, name)


def test_a_page_says_what_it_cannot_compare() -> None:
    results = read_restored(ROOT / "leaderboards" / "ml-1m-users" / "accepted")
    shown = data.columns(results)
    titles = data.uncompared(results, shown)
    lacking = {column.title for column in shown if column.name == "auc_raw/forget"}
    assert lacking and lacking <= set(titles)
    assert not {column.title for column in shown if column.name == "hit@10/retain"} & set(titles)
