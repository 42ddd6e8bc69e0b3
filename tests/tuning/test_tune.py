"""`vestige tune` through the command line: a study from nothing, again, longer, broken, and used by a board."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import TINY, plugin_package, vestige
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic

BOARD = """
title = "Small"
seeds = [0]
threads = 1
recheck = false
controls = false

[dataset]
name = "interactions"
path = "data.inter"

[request]
count = 50

[recommender]
name = "sasrec"
d_model = 16
d_ff = 32
layers = 1
heads = 1
dropout = 0.0
passes = 40
window = 16
learning_rate = 1e-2

[attacks]
names = []
"""

Rows = list[tuple[int, int, int]]


def rows() -> Rows:
    """(user, item, time): enough to learn from and to remember that fidelity and utility are defined."""
    data = Synthetic(SyntheticConfig(users=260, items=60, events=16, tastes=6, chance=0.3), Path()).load()
    return list(zip(data.user.tolist(), data.item.tolist(), data.timestamp.tolist(), strict=True))


def other_test_items(had: Rows) -> Rows:
    """The same interactions, but the last item of every user is that of the user before."""
    last = {user: place for place, (user, _, _) in enumerate(had)}
    items = [had[place][1] for place in last.values()]
    changed = list(had)
    for place, item in zip(last.values(), items[-1:] + items[:-1], strict=True):
        changed[place] = (had[place][0], item, had[place][2])
    return changed


def small(folder: Path, of: Rows, text: str = BOARD) -> Path:
    folder.mkdir(parents=True)
    (folder / "board.toml").write_text(text)
    (folder / "data.inter").write_text("".join(f"{user}\t{item}\t1\t{time}\n" for user, item, time in of))
    return folder


def tune(board: Path, out: Path, cache: Path, *more: object, python_path: Path | None = None, cold: bool = False):
    words = ("tune", board, "--out", out, *more)
    return vestige(*words, cache=cache, cwd=board.parent, python_path=python_path, cold=cold)


def without_seconds(file: Path) -> str:
    """The study, but for what was measured with a clock."""
    content = json.loads(file.read_bytes())
    for one in (content, *content["trials"]):
        for name in [name for name in one if name.endswith("seconds")]:
            assert one.pop(name) > 0
    return json.dumps(content)


Made = tuple[Path, Path, Path, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study of four trials: the board, the cache, the file, and what was printed."""
    root = tmp_path_factory.mktemp("tune")
    board = small(root / "small", rows())
    done = tune(board, root / "out", root / "cache", "--method", "grad_diff", "--trials", 4)
    assert done.returncode == 0, done.stderr
    return board, root / "cache", root / "out" / "tuning" / "grad_diff.json", done.stdout


def test_a_study_says_what_was_tried_and_what_came_of_it(made: Made) -> None:
    _, cache, file, printed = made
    study = json.loads(file.read_bytes())
    assert (study["board"], study["method"]["name"], study["preset"]) == ("small", "grad_diff", None)
    assert (study["seeds"], study["budget"], study["dataset"]["config"]["path"]) == ([1], 4, "data.inter")
    assert study["trials"][0]["settings"] == {"learning_rate": 5e-4, "forget_weight": 0.2, "steps": 200}
    assert study["space"]["learning_rate"] == {"kind": "float", "low": 5e-5, "high": 5e-3, "log": True}
    for trial in study["trials"]:
        faithful, useful = trial["fidelity"], trial["utility"]
        assert trial["status"] == "ok" and trial["seconds"] > 0 and trial["flops"] > 0
        assert 0 < faithful <= 1 and 0 < useful <= 1
        assert trial["score"] == pytest.approx(2 * faithful * useful / (faithful + useful))
        assert 50 <= trial["settings"]["steps"] <= 400
    settings = [json.dumps(trial["settings"]) for trial in study["trials"]]
    assert len(set(settings)) == 4
    best = max(study["trials"], key=lambda trial: trial["score"])
    assert (study["best"], study["settings"]) == (best["number"], best["settings"])
    assert best["score"] >= study["trials"][0]["score"]
    assert study["seconds"] == pytest.approx(sum(trial["seconds"] for trial in study["trials"]))
    assert study["roles_seconds"] > study["retrain_seconds"] > 0
    assert str(file.parents[2]) not in file.read_text()
    lines = printed.splitlines()
    assert lines[0].split() == ["trial", "score", "fidelity", "utility", "seconds", "settings"]
    assert [line.split()[0] for line in lines[1:5]] == list("0123")
    assert f"{best['number']} ★" in printed and f"{best['score']:.4f}" in printed
    assert lines[-1] == f"study: {file}"
    assert not list((cache / "store").glob("attack/*"))


def test_the_same_command_costs_nothing_and_a_longer_study_only_what_is_new(made: Made, tmp_path: Path) -> None:
    board, cache, file, printed = made
    again = tune(board, tmp_path, cache, "--method", "grad_diff", "--trials", 4)
    assert again.returncode == 0 and again.stderr.strip() == "Everything is stored; nothing to run."
    assert (tmp_path / "tuning" / "grad_diff.json").read_bytes() == file.read_bytes()
    assert again.stdout.splitlines()[:-1] == printed.splitlines()[:-1]
    longer = tune(board, tmp_path, cache, "--method", "grad_diff", "--trials", 5)
    assert longer.returncode == 0 and "[3/3]" in longer.stderr and "grad_diff, trial 4" in longer.stderr
    trials = json.loads((tmp_path / "tuning" / "grad_diff.json").read_bytes())["trials"]
    assert len(trials) == 5 and trials[:4] == json.loads(file.read_bytes())["trials"]


def test_a_store_cleared_of_models_is_filled_again_and_the_study_is_the_same(made: Made, tmp_path: Path) -> None:
    board, cache, file, _ = made
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    for stage in ("train", "unlearn"):
        shutil.rmtree(copy / "store" / stage)
    again = tune(board, tmp_path / "out", copy, "--method", "grad_diff", "--trials", 4)
    assert again.returncode == 0, again.stderr
    assert "train gold, seed 1: done" in again.stderr and "measure" not in again.stderr
    assert without_seconds(tmp_path / "out" / "tuning" / "grad_diff.json") == without_seconds(file)


def test_from_nothing_with_other_test_items_it_is_the_same_study(made: Made, tmp_path: Path) -> None:
    """Nothing of a study depends on a test item, nor on anything else that is not in the board."""
    _, _, file, _ = made
    had = rows()
    changed = other_test_items(had)
    assert sum(one != other for one, other in zip(had, changed, strict=True)) > 200
    board = small(tmp_path / "small", changed)
    words = ("--method", "grad_diff", "--trials", 4, "--workers", 2)
    done = tune(board, tmp_path / "out", tmp_path / "cache", *words, cold=True)
    assert done.returncode == 0, done.stderr
    assert without_seconds(tmp_path / "out" / "tuning" / "grad_diff.json") == without_seconds(file)


def test_a_board_runs_with_the_settings_of_its_study(made: Made, tmp_path: Path) -> None:
    _, cache, file, _ = made
    text = (
        BOARD.replace("seeds = [0]", "seeds = [2]")
        + '\n[[method]]\nname = "grad_diff"\ntuned = "tuning/grad_diff.json"\n'
    )
    board = small(tmp_path / "small", rows(), text + "batch_size = 16\n")
    (board / "tuning").mkdir()
    (board / "tuning" / "grad_diff.json").write_bytes(file.read_bytes())
    done = vestige("run", board, "--out", tmp_path / "out", cache=cache, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    study = json.loads(file.read_bytes())
    record = json.loads((tmp_path / "out" / "records" / "grad-diff-s2.json").read_bytes())
    config: dict[str, Any] = record["identity"]["method"]["config"]
    assert {name: config[name] for name in study["settings"]} == study["settings"]
    assert config["batch_size"] == 16 and set(record) == {"schema_version", "identity", "outcome", "keys"}
    assert "How rows were tuned" in (tmp_path / "out" / "leaderboard.md").read_text()
    assert "How rows were tuned" in done.stdout
    assert set(pd.read_csv(tmp_path / "out" / "results.csv").status) == {"ok"}
    refused = vestige("run", board, "--seed", 1, cache=cache, cwd=tmp_path)
    assert refused.returncode == 2 and "on the seed 1, which is one of the board's" in refused.stderr


def test_a_list_is_tuned_on_by_another_list_and_the_board_takes_the_study(tmp_path: Path) -> None:
    text = BOARD.replace("count = 50", 'file = "forget.txt"')
    board = small(tmp_path / "small", rows(), text)
    (board / "forget.txt").write_text("".join(f"{user}\n" for user in range(0, 250, 5)))
    done = tune(board, board, tmp_path / "cache", "--method", "grad_diff", "--trials", 2)
    assert done.returncode == 0, done.stderr
    study = json.loads((board / "tuning" / "grad_diff.json").read_bytes())
    assert "forget.txt: another list stands in for it: 50 forgotten users, " in done.stderr
    assert study["list_digest"] and study["request"]["file"] == "forget.txt"
    assert [trial["status"] for trial in study["trials"]] == ["ok", "ok"]
    (board / "forget.txt").rename(board / "renamed.txt")
    text = (
        text.replace("forget.txt", "renamed.txt")
        + '\n[[method]]\nname = "grad_diff"\ntuned = "tuning/grad_diff.json"\n'
    )
    (board / "board.toml").write_text(text)
    planned = vestige("plan", board, cache=tmp_path / "cache", cwd=tmp_path)
    assert planned.returncode == 0 and "grad_diff" in planned.stdout
    with (board / "renamed.txt").open("a") as file:
        file.write("3\n")
    refused = vestige("plan", board, cache=tmp_path / "cache", cwd=tmp_path)
    assert refused.returncode == 2 and len(refused.stderr.strip().splitlines()) == 1
    assert "renamed.txt: it is not the list that the study of 'grad_diff' was made for" in refused.stderr
    (board / "board.toml").write_text(text.replace('file = "renamed.txt"', "count = 50"))
    refused = vestige("plan", board, cache=tmp_path / "cache", cwd=tmp_path)
    assert refused.returncode == 2 and "a study with another [request] than the board's" in refused.stderr


def test_trials_stand_on_what_the_boards_row_sets(made: Made, tmp_path: Path) -> None:
    _, cache, file, _ = made
    row = '\n[[method]]\nname = "grad_diff"\nbatch_size = 16\nsteps = 60\n'
    board = small(tmp_path / "small", rows(), BOARD + row)
    done = tune(board, tmp_path / "out", cache, "--method", "grad_diff", "--trials", 2)
    assert done.returncode == 0, done.stderr
    study = json.loads((tmp_path / "out" / "tuning" / "grad_diff.json").read_bytes())
    assert study["trials"][0]["settings"] == {"learning_rate": 5e-4, "forget_weight": 0.2}
    assert study["method"]["config"]["batch_size"] == 16 and study["method"]["config"]["steps"] == 60
    # What the row sets wins over a study, so it is not searched: all trials take 60 small steps.
    assert set(study["space"]) == set(study["trials"][1]["settings"]) == {"learning_rate", "forget_weight"}
    elsewhere = json.loads(file.read_bytes())["trials"][0]
    assert study["trials"][0]["flops"] == study["trials"][1]["flops"] < elsewhere["flops"] * 60 / 200
    (board / "board.toml").write_text(BOARD + row + "learning_rate = 1e-3\nforget_weight = 0.1\n")
    refused = tune(board, tmp_path / "out", cache, "--method", "grad_diff")
    assert refused.returncode == 2
    assert "its row of 'grad_diff' sets all that could be searched" in refused.stderr


FRAGILE = """
import pydantic
import torch
import vestige
from vestige.methods import Unlearned
from vestige.search import Choice, Float
from vestige.specs import MethodSpec

class Settings(vestige.Config):
    strength: float = pydantic.Field(0.9, ge=0, le=1)
    way: str = "near"

    @pydantic.model_validator(mode="after")
    def _fits(self):
        if self.way == "far" and self.strength < 0.03:
            raise ValueError("too little for far")
        return self

@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="fragile", version="1", summary="Shrinks.", factory="fragile:Fragile", config=Settings,
                       search={"strength": Float(0.001, 0.05), "way": Choice(("near", "far"))})]

class Fragile:
    def __init__(self, config):
        self.config = config

    def unlearn(self, task):
        if self.config.strength > 0.5:
            raise FloatingPointError("the loss is nan")
        with torch.no_grad():
            for weight in task.recommender.module.parameters():
                weight.mul_(1 - self.config.strength)
        return Unlearned(task.recommender)
"""


def test_a_trial_that_fails_is_recorded_and_the_study_goes_on(made: Made, tmp_path: Path) -> None:
    """Its own settings fail, so they are no part of the choice; the failure is remembered under the same limits."""
    board, cache, _, _ = made
    site = plugin_package(tmp_path / "site", "fragile", FRAGILE)
    words = ("--method", "fragile", "--trials", 4)
    done = tune(board, tmp_path / "out", cache, *words, python_path=site)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "out" / "tuning" / "fragile.json"
    study = json.loads(file.read_bytes())
    first = study["trials"][0]
    assert (first["status"], first["message"]) == ("method_error", "FloatingPointError: the loss is nan")
    assert first["score"] is None and first["settings"] == {"strength": 0.9, "way": "near"} and first["seconds"] > 0
    statuses = {trial["status"] for trial in study["trials"][1:]}
    refused = [t for t in study["trials"] if t["settings"]["way"] == "far" and t["settings"]["strength"] < 0.03]
    assert refused and all(t["status"] == "config_error" and "too little for far" in t["message"] for t in refused)
    assert statuses == {"ok", "config_error"} and study["best"] > 0
    assert "trial 0: method_error: FloatingPointError: the loss is nan" in done.stdout
    assert f"trial {study['best']} scores" in done.stdout and "its own settings failed" in done.stdout
    again = tune(board, tmp_path / "out", cache, *words, python_path=site)
    assert again.stderr.strip() == "Everything is stored; nothing to run."
    assert json.loads(file.read_bytes()) == study
    other = tune(board, tmp_path / "out", cache, *words, "--timeout", 500, python_path=site)
    assert "[1/3] fragile, trial 0, seed 1: method_error" in other.stderr
    alone = tune(board, tmp_path / "out", cache, "--method", "fragile", "--trials", 1, python_path=site)
    assert alone.returncode == 1 and "every trial failed" in alone.stdout
    assert json.loads(file.read_bytes())["settings"] == {}


MORTAL = """
import os, signal
from pathlib import Path
import vestige
from vestige.methods import Unlearned
from vestige.search import Float
from vestige.specs import MethodSpec

class Settings(vestige.Config):
    strength: float = 0.01

@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="mortal", version="1", summary="Is killed once.", factory="mortal:Mortal", config=Settings,
                       search={"strength": Float(0.001, 0.05)})]

class Mortal:
    def __init__(self, config):
        pass

    def unlearn(self, task):
        died = Path(__file__).with_name("died")
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Unlearned(task.recommender)
"""


def test_a_trial_whose_process_was_killed_is_tried_again_by_the_next_study(made: Made, tmp_path: Path) -> None:
    """Whoever killed it, it need not have been its settings' fault."""
    board, cache, _, _ = made
    site = plugin_package(tmp_path / "site", "mortal", MORTAL)
    words = (board, tmp_path / "out", cache, "--method", "mortal", "--trials", 1)
    done = tune(*words, python_path=site)
    assert done.returncode == 1 and "trial 0: oom: the system killed the process" in done.stdout, done.stdout
    again = tune(*words, python_path=site)
    assert again.returncode == 0, again.stderr
    study = json.loads((tmp_path / "out" / "tuning" / "mortal.json").read_bytes())
    assert [trial["status"] for trial in study["trials"]] == ["ok"]


def flops_of(cache: Path) -> dict[str, float]:
    """Of every model in the store, by its key."""
    found = [file for stage in ("train", "unlearn") for file in (cache / "store").glob(f"{stage}/*/manifest.json")]
    return {file.parent.name: json.loads(file.read_bytes())["meta"]["cost"]["flops"] for file in found}


def test_a_method_with_a_base_of_its_own_is_judged_by_its_own_kind_and_pays_for_it(made: Made, tmp_path: Path) -> None:
    """It retrains, so where its base remembers it is faithful to its own gold whatever is set."""
    board, cache, _, _ = made
    before = flops_of(cache)
    done = tune(board, tmp_path / "out", cache, "--method", "sisa", "--trials", 3)
    assert done.returncode == 0, done.stderr
    trials = json.loads((tmp_path / "out" / "tuning" / "sisa.json").read_bytes())["trials"]
    assert trials[0]["settings"] == {"shards": 4, "partition": "random", "aggregation": "mean", "temperature": 0.1}
    assert all(trial["fidelity"] > 0.5 and 0 < trial["utility"] <= 1 for trial in trials if trial["status"] == "ok")
    assert trials[0]["status"] == "ok" and {trial["status"] for trial in trials} <= {"ok", "undefined"}
    made_for_it = [flops for key, flops in flops_of(cache).items() if key not in before]
    assert len(made_for_it) == 3 * 4  # base, gold, control, and what was unlearned
    assert sum(trial["flops"] for trial in trials) == pytest.approx(sum(made_for_it))


IDLE = """
import vestige
from vestige.methods import Unlearned
from vestige.search import Float
from vestige.specs import MethodSpec

class Settings(vestige.Config):
    rate: float = 1e-9

@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="idle", version="1", summary="Hardly learns.", factory="idle:Idle", config=Settings,
                       search={"rate": Float(1e-9, 1e-8)}, own_base=True)]

class Idle:
    def __init__(self, config):
        self.config = config

    def recommender(self, maker):
        model = maker.fresh()
        model.config = model.config.model_copy(update={"learning_rate": self.config.rate})
        return model

    def load_recommender(self, folder, maker):
        return maker.load(folder)

    def unlearn(self, task):
        return Unlearned(task.recommender)
"""


def test_an_own_base_that_remembers_nothing_has_no_score(made: Made, tmp_path: Path) -> None:
    """The board's base does remember, which says nothing of this method's."""
    board, cache, _, _ = made
    site = plugin_package(tmp_path / "site", "idle", IDLE)
    done = tune(board, tmp_path / "out", cache, "--method", "idle", "--trials", 2, python_path=site)
    assert done.returncode == 1 and "every trial failed" in done.stdout, done.stderr
    assert "trial 0: undefined: UNDEFINED: fidelity (base is not surely farther from gold" in done.stdout
    study = json.loads((tmp_path / "out" / "tuning" / "idle.json").read_bytes())
    assert [(trial["status"], trial["score"]) for trial in study["trials"]] == [("undefined", None)] * 2
    assert study["best"] is None and study["seconds"] > 0


def test_where_base_is_like_gold_no_trial_is_spent(tmp_path: Path) -> None:
    board = tmp_path / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(TINY.replace("passes = 3", "passes = 1"))
    done = tune(board, tmp_path / "out", tmp_path / "cache", "--method", "finetune")
    assert done.returncode == 2
    sentence = done.stderr.strip().splitlines()[-1]
    assert "tiny, seed 1: settings cannot be told apart, so no trial was run" in sentence
    assert "UNDEFINED: fidelity (base is not surely farther from gold than control is" in sentence
    assert not (tmp_path / "out").exists()
    stages = {folder.name for folder in (tmp_path / "cache" / "store").iterdir()}
    assert "unlearn" not in stages and "train" in stages


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "npoo"), "--method: unknown method 'npoo'; did you mean 'npo'?"),
        (("--method", "npo:strong"), "--method npo:strong: unknown preset 'strong'"),
        (("--method", "retrain"), "the method 'retrain' has no search space, so there is nothing to tune."),
        (("--method", "npo", "--seed", 0), "--seed 0: it is one of the board's (0)"),
        (("--method", "npo", "--seed", 4, "--seed", 4), "--seed 4: every seed must stand once."),
    ],
)
def test_what_cannot_be_tuned_is_one_sentence(
    made: Made, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    board, cache, _, _ = made
    done = tune(board, tmp_path / "out", cache, *words)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_study_that_could_not_be_written_is_not_begun(made: Made, tmp_path: Path) -> None:
    board, *_ = made
    (tmp_path / "file").write_text("somebody's")
    cache = tmp_path / "cache"
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        done = tune(board, out, cache, "--method", "npo")
        assert done.returncode == 2 and "cannot be written" in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not list((cache / "store").glob("train/*")) and (tmp_path / "file").read_text() == "somebody's"
