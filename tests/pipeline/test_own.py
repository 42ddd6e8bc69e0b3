"""Methods that train their own base: their roles are planned, stored and measured beside the board's."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY, plugin_package, vestige
from vestige import api
from vestige.errors import InputError
from vestige.pipeline.own import combined
from vestige.testing import tiny_context

SISA = '\n[[method]]\nname = "sisa"\nshards = 2\n'

BREAKS = """
import vestige
from vestige.specs import MethodSpec

@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="breaks", version="1", summary="Breaks.", factory="breaks:Breaks", own_base=True)]

class Breaks:
    def __init__(self, config):
        pass

    def recommender(self, maker):
        raise RuntimeError("no shard to be had")

    def load_recommender(self, folder, maker):
        return maker.load(folder)

    def unlearn(self, task):
        raise NotImplementedError
"""


def planned(folder: Path, text: str) -> api.Planned:
    (folder / "board.toml").write_text(text)
    return api.make_plan(str(folder))


def test_own_roles_are_trained_as_the_boards_are_and_change_nothing_else(board: Path) -> None:
    text = TINY.replace("threads = 1", "threads = 1\nswap = true")
    before, after = (planned(board, text + more).plan for more in ("", SISA))
    assert {job.id: job.payload for job in before.jobs}.items() <= {job.id: job.payload for job in after.jobs}.items()
    added = [job.payload for job in after.jobs if job.id not in {known.id for known in before.jobs}]
    own = {str(sorted(p["parts"])): p["seed"] for p in added if p["stage"] == "train"}
    known = {p["seed"]: p["parts"] for p in (job.payload for job in before.jobs) if p["stage"] == "train"}
    assert all(payload["method"]["name"] == "sisa" for payload in added if payload["stage"] == "train")
    assert sum(payload["stage"] == "train" for payload in added) == 4  # base, gold, control, swap
    assert all(str(sorted(known[seed])) == parts for parts, seed in own.items())
    cells = {cell.id: cell for cell in after.cells}
    assert set(cells) - {cell.id for cell in before.cells} == {"sisa-s0", "sisa-own-base-s0", "sisa-own-gold-s0"}
    payload, board_roles = cells["sisa-s0"].job.payload, cells["finetune-s0"].job.payload["roles"]
    assert payload["subject"]["base"] == payload["roles"]["base"]["key"]
    assert payload["swapped"]["base"] == payload["roles"]["swap"]["key"]
    for role in ("base", "gold", "control", "swap"):
        assert payload["roles"][role]["board"]["key"] == board_roles[role]["key"] != payload["roles"][role]["key"]
    assert payload["roles"]["popularity"] == board_roles["popularity"]


def test_the_label_of_an_own_row_cannot_be_taken(board: Path) -> None:
    with pytest.raises(InputError, match="taken by a method's own row"):
        planned(board, TINY + SISA + '\n[[method]]\nname = "npo"\nlabel = "SISA own gold"\n')


def test_a_role_is_the_methods_where_training_is_asked_about_and_the_boards_elsewhere() -> None:
    context = tiny_context()
    own, of_board = context.roles["gold"], context.roles["base"]
    cost = replace(of_board.cost, seconds=7.0)
    found = combined(own, replace(of_board, cost=cost))
    assert found.name == "gold" and found.cost == cost and found.load is own.load and found.attempts is own.attempts
    assert found.elsewhere.keys() == found.scores.keys() - {"forget", "unseen_train"}
    assert all(load is of_board.load for load in found.elsewhere.values())
    for view in context.views.queries:
        source = own if view in ("forget", "unseen_train") else of_board
        assert found.scores[view] is source.scores[view], view
        assert not np.array_equal(own.scores[view].log_prob, of_board.scores[view].log_prob)


def test_a_board_measures_it_against_its_own_kind(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TINY.replace("names = []", 'names = ["quantise"]')
    metrics = '\n[metrics]\nnames = ["ranking", "fidelity", "recovery", "cost"]\n'
    (board / "board.toml").write_text(text + SISA + metrics)
    site = plugin_package(tmp_path / "site", "breaks", BREAKS)
    out = tmp_path / "out"
    words = ("run", board, "--out", out, "--method", "breaks")
    done = vestige(*words, cache=tmp_path / "cache", cwd=tmp_path, python_path=site)
    assert done.returncode == 1, done.stderr
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    status = table.drop_duplicates("label").set_index("label").status
    assert {label for label in status.index if status[label] != "ok"} == {
        "breaks", "breaks: own base", "breaks: own gold",
    }  # fmt: skip
    assert status["breaks"] == "method_error"

    measured = table.set_index(["label", "metric", "view"])
    value, note = pd.to_numeric(measured.value), measured.note
    assert value["sisa", "hit@10:vs_gold", "forget"] == pytest.approx(
        value["sisa", "hit@10", "forget"] - value["sisa: own gold", "hit@10", "forget"]
    )
    assert value["sisa", "ndcg@10:vs_gold", "retain"] == pytest.approx(
        value["sisa", "ndcg@10", "retain"] - value["retrain", "ndcg@10", "retain"]
    )
    assert value["sisa: own gold", "distance", "forget"] == 0
    assert value["sisa: own base", "hit@10:vs_base", "forget"] == 0
    assert value["sisa", "distance", "forget"] > 0
    assert value["sisa: own gold", "ndcg@10:vs_gold", "retain"] != 0
    assert 0.5 < value["sisa: own base", "cost_flops", ""] < 2
    assert 0.4 < value["sisa", "cost_flops", ""] < 2
    remembered = value["sisa: own base", "hit@10", "forget"]
    assert f"base {remembered:.4f}" in note["sisa", "recovery:none", "forget"]
    assert "base" in note["sisa", "recovery:int8", "forget"]

    record = json.loads((out / "records" / "sisa-s0.json").read_text())
    board_record = json.loads((out / "records" / "retrain-s0.json").read_text())
    assert record["outcome"]["notes"]["own roles"] == {"trained by the method itself": "base, gold, control"}
    assert "own roles" not in board_record["outcome"]["notes"] and "board_roles" not in board_record["keys"]
    roles = board_record["keys"]["roles"]
    assert record["keys"]["board_roles"] == {role: key for role, key in roles.items() if role != "popularity"}
    page = (out / "leaderboard.md").read_text()
    assert "*sisa: own base*" in page and "*sisa: own gold*" in page
    assert page.count("**own base**, **own gold**") == 1

    # Where `breaks` is not installed, its own rows are no strangers to the board, and all other keys are the board's.
    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path / "cache"))
    steps = {step.name: step for step in api.verify(out, board=str(board), rerun=False).steps}
    assert steps["keys"].status == steps["settings"].status == "ok", steps["keys"].message
    assert "breaks" in steps["cells"].message and "no cell" not in steps["cells"].message
    assert steps["plugins"].message.count("not installed") == 1
