"""Accepted results have the intervals of the fresh ones again, where users' values are kept."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import ROOT
from vestige.results.cells import cell
from vestige.results.restoring import read_restored

BOARD = ROOT / "leaderboards" / "ml-100k"


def test_restored_intervals_are_those_of_the_committed_table() -> None:
    results = read_restored(BOARD / "accepted")
    table = (BOARD / "leaderboard.md").read_text()
    for label in ("finetune", "dual_memory (published)"):
        for name in ("hit@10/retain", "ndcg@10/retain", "distance/forget"):
            shown = cell(results, label, name)
            assert "[" in shown and shown in table, (label, name, shown)


def test_what_is_not_the_mean_of_its_users_is_not_restored(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BOARD / "accepted", tmp_path / "accepted"))
    table = pq.read_table(folder / "per_user.parquet").to_pandas()
    table["value"] = np.where(table["metric"] == "hit@10", table["value"] + 0.1, table["value"])
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "per_user.parquet")
    results = read_restored(folder)
    assert ("finetune-s0", "hit@10/retain") not in results.replicates
    assert ("finetune-s0", "ndcg@10/retain") in results.replicates
