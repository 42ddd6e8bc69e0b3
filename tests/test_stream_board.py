"""A stream of requests, through the command line: every step has its records, and the last one is the row."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import TINY, plugin_package, vestige
from vestige import api
from vestige.data.request import Part
from vestige.pipeline.board import load
from vestige.pipeline.jobs import Job
from vestige.pipeline.plan import Plan
from vestige.plugins import load as load_plugins

STEPS = 2
STREAM = TINY.replace("[request]\ncount = 8", f'[request]\nkind = "stream"\ncount = 5\nsteps = {STEPS}')
METHODS = (
    '\n[[method]]\nname = "grad_diff"\nsteps = 10\n\n[[method]]\nname = "uniform_on_f"\n\n[[method]]\nname = "breaks"\n'
)

BREAKS = """
import vestige
from vestige.errors import InputError
from vestige.methods import Unlearned
from vestige.specs import MethodSpec


class Breaks:
    def __init__(self, config):
        pass

    def unlearn(self, task):
        import torch
        weight = next(task.recommender.module.parameters())
        if float(weight.detach().flatten()[0]) == 7.0:
            raise InputError("it cannot forget twice")
        with torch.no_grad():
            weight.view(-1)[0] = 7.0
        return Unlearned(task.recommender)


@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="breaks", version="1", summary="Fails at its second step.", factory="breaks:Breaks")]
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "board.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stream")
    board = write(root / "tiny", STREAM + METHODS)
    plugins = plugin_package(root / "plugins", "breaks", BREAKS)
    done = vestige("run", board, "--out", root / "out", cache=root / "cache", cwd=root, python_path=plugins)
    assert done.returncode == 1, done.stderr  # a method fails, as it must
    return root / "out"


def record(out: Path, cell: str) -> dict:
    return json.loads((out / "records" / f"{cell}.json").read_text())


def test_every_step_has_its_records(finished: Path) -> None:
    for label in ("do-nothing", "retrain", "finetune", "grad-diff", "uniform-on-f", "control", "popularity"):
        last, first = record(finished, f"{label}-s0"), record(finished, f"{label}-s0-step1")
        assert (first["identity"]["step"], last["identity"]["step"]) == (1, STEPS)
        assert first["outcome"]["status"] == last["outcome"]["status"] == "ok"
        roles = [one["keys"]["roles"] for one in (first, last)]
        assert roles[0]["base"] == roles[1]["base"]
        assert all(roles[0][role] != roles[1][role] for role in ("gold", "control", "popularity"))
        assert last["identity"]["request"]["steps"] == STEPS


def test_gold_is_gold_at_every_step_and_a_row_is_the_last(finished: Path) -> None:
    steps = pd.read_csv(finished / "stream.csv")
    assert set(steps.step) == {1, STEPS}
    value = steps.set_index(["label", "step", "metric", "view"]).value.sort_index()
    rows = pd.read_csv(finished / "results.csv").set_index(["label", "metric", "view"]).value.sort_index()
    for step in (1, STEPS):
        for metric in ("hit@10:vs_gold", "first_hit@10:vs_gold", "distance"):
            assert value["retrain", step, metric, "forget"].item() == 0
    for label in ("do_nothing", "finetune", "grad_diff"):
        for metric in ("hit@10", "first_hit@10", "distance"):
            assert value[label, STEPS, metric, "forget"].item() == rows[label, metric, "forget"].item()
        assert value[label, STEPS, "ndcg@10", "retain"].item() == rows[label, "ndcg@10", "retain"].item()
    # After the first step, the first request is all that was asked for.
    assert value["finetune", 1, "first_hit@10", "forget"].item() == value["finetune", 1, "hit@10", "forget"].item()
    # do_nothing is base whenever it is asked, and the first request is asked about in the same words.
    same = [value["do_nothing", step, "ndcg@10", "retain"].item() for step in (1, STEPS)]
    assert same[0] == same[1]
    same = [value["do_nothing", step, "first_hit@10", "forget"].item() for step in (1, STEPS)]
    assert same[0] == same[1]
    assert value["do_nothing", STEPS, "first_hit@10:vs_gold", "forget"].item() == pytest.approx(
        value["do_nothing", STEPS, "first_hit@10", "forget"].item()
        - value["retrain", STEPS, "first_hit@10", "forget"].item()
    )


def test_cost_adds_up(finished: Path) -> None:
    steps = pd.read_csv(finished / "stream.csv").set_index(["label", "step", "metric"]).value.sort_index()
    for label in ("finetune", "grad_diff", "retrain"):
        one, two = (steps[label, step, "seconds"].item() for step in (1, STEPS))
        assert steps[label, STEPS, "cumulative_seconds"].item() == pytest.approx(one + two)
        assert steps[label, 1, "cumulative_seconds"].item() == one
        assert steps[label, STEPS, "cumulative_cost_seconds"].item() == pytest.approx(
            (one + two) / sum(steps["retrain", step, "seconds"].item() for step in (1, STEPS))
        )
    assert steps["retrain", STEPS, "cumulative_cost_seconds"].item() == 1


def test_methods_go_on_from_where_they_stood_or_say_that_they_did_not(finished: Path) -> None:
    started = {
        label: record(finished, f"{label}-s0")["outcome"]["notes"]["stream"]["started from"]
        for label in ("finetune", "grad-diff", "uniform-on-f")
    }
    own = "its own state after step 1"
    assert started == {"finetune": own, "grad-diff": own, "uniform-on-f": "base, with all requests so far"}
    histories = [
        record(finished, f"uniform-on-f-s0{step}")["outcome"]["notes"]["method"]["histories"] for step in ("-step1", "")
    ]
    assert histories[1] > histories[0]  # of both requests
    text = " ".join((finished / "leaderboard.md").read_text().split())
    assert "2 requests follow one another, and a row shows what is left after the last of them." in text
    assert "with all requests so far: uniform_on_f" in text
    assert "## Step by step" in text and "stream.svg" in text
    assert (finished / "stream.svg").read_text().startswith("<svg")
    assert "cost** is that of the last step alone" in text


def test_what_all_steps_took_together_stands_in_a_table(finished: Path) -> None:
    lines = (finished / "leaderboard.md").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if "time of all steps so far" in line)
    end = lines.index("", start)
    rows = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in lines[start + 2 : end]}
    table = pd.read_csv(finished / "stream.csv").set_index(["label", "metric", "step"]).value
    assert rows["retrain (gold)"] == ["1.000", "1.000"]
    for step in (1, 2):
        assert float(rows["grad_diff"][step - 1]) == pytest.approx(
            table["grad_diff", "cumulative_cost_seconds", step], abs=6e-4
        )
    assert rows["breaks"][1] == "—"  # it failed there


def test_a_method_that_fails_ends_there(finished: Path) -> None:
    assert record(finished, "breaks-s0-step1")["outcome"]["status"] == "ok"
    failed = record(finished, "breaks-s0")
    assert failed["outcome"]["status"] == "method_error"
    assert "it cannot forget twice" in failed["outcome"]["message"]
    assert "- breaks, seed 0, step 2: method_error: " in (finished / "leaderboard.md").read_text()
    steps = pd.read_csv(finished / "stream.csv")
    mine = steps[steps.label == "breaks"].set_index("step")
    assert set(mine.loc[1, "status"]) == {"ok"} and mine.loc[STEPS, "status"] == "method_error"


def test_a_submitted_stream_is_verified_record_by_record(finished: Path, tmp_path: Path) -> None:
    """Without the row that fails."""
    root = finished.parent
    board = write(tmp_path / "tiny", STREAM + METHODS.rpartition("\n[[method]]")[0])
    again = vestige("run", board, "--out", tmp_path / "out", cache=root / "cache", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    words = ("verify", tmp_path / "out", "--board", board, "--no-rerun")
    done = vestige(*words, cache=root / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    accepted = vestige("accept", board, "--out", tmp_path / "out", cache=root / "cache", cwd=tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    assert (board / "stream.csv").exists() and (board / "accepted" / "records" / "grad-diff-s0-step1.json").exists()
    (tmp_path / "out" / "records" / "finetune-s0-step1.json").unlink()
    (tmp_path / "out" / "records" / "finetune-s0-step1.run.json").unlink()
    done = vestige(*words, cache=root / "cache", cwd=tmp_path)
    assert done.returncode == 1 and "finetune-s0-step1 is missing" in done.stdout
    refused = vestige("accept", board, "--out", tmp_path / "out", cache=root / "cache", cwd=tmp_path)
    assert refused.returncode == 2 and "no record of 'finetune', seed 0, step 1" in refused.stderr


def planned(tmp_path: Path, text: str, of: str = "users", attacks: str = "[]") -> Plan:
    more = f'[request]\nkind = "stream"\nof = "{of}"\ncount = 2\nsteps = 3'
    more += "\npercent = 10" * (of == "interactions")
    text = text.replace("[request]\ncount = 8", more).replace("names = []", f"names = {attacks}")
    board = write(tmp_path / of, text)
    return api.make_plan(str(board), fetch=False).plan


@pytest.mark.parametrize("of", ["users", "interactions", "items"])
def test_a_plan_trains_base_once_and_gold_at_every_step(tmp_path: Path, of: str) -> None:
    text = TINY.replace("recheck = false", "swap = true").replace("controls = false\n", "")
    plan = planned(tmp_path, text, of, '["relearn"]')
    roles: dict[str, list[Job]] = {}
    for job in plan.jobs:
        if job.stage == "train":
            roles.setdefault(job.label.split(",")[0].removeprefix("train "), []).append(job)
    assert {role: len(jobs) for role, jobs in roles.items()} == {
        "base": 1, "swap": 1, "gold": 3, "control": 3, "recheck": 3, "popularity": 3,
    }  # fmt: skip
    tuned = [job for job in plan.jobs if job.stage == "unlearn" and job.label.startswith("finetune")]
    for world in (Part.FORGET, Part.UNSEEN):
        chain = [job for job in tuned if job.payload["forget"] == world]
        assert [job.payload["step"] for job in chain] == [1, 2, 3]
        assert [("unlearn", chain[step - 1].key) in chain[step].needs for step in (1, 2)] == [True, True]
        assert len({job.payload["seed"] for job in chain}) == 3
    # Controls are what they are of all requests so far: one that goes on would teach the last ones over the first.
    for control in ("overfitted", "destroyed"):
        steps = [job.payload for job in plan.jobs if job.stage == "unlearn" and job.label.startswith(control)]
        assert sorted({payload["step"] for payload in steps}) == [1, 2, 3]
        assert not any("before" in payload for payload in steps)
    assert {job.payload["step"] for job in plan.jobs if job.stage == "attack"} == {3}
    names = [cell.id for cell in plan.cells if cell.label == "finetune"]
    assert names == ["finetune-s0-step1", "finetune-s0-step2", "finetune-s0"]
    assert [cell.last for cell in plan.cells if cell.label == "finetune"] == [False, False, True]


@pytest.mark.parametrize("of", ["users", "items"])
def test_models_of_the_second_world_are_asked_as_it_is_there(tmp_path: Path, of: str) -> None:
    """Where items wait to be withdrawn; a retraining stands in for that of the other world, and is asked as trained."""
    plan = planned(tmp_path, TINY.replace("recheck = false", "swap = true"), of)
    scored = [job for job in plan.jobs if job.stage == "score"]
    second = {("score", job.key) for job in scored if "world" in job.payload["views"]}
    unlearned = {
        ("unlearn", j.key) for j in plan.jobs if j.payload.get("forget") == Part.UNSEEN and j.payload["step"] < 3
    }
    swap = {("train", job.key) for job in plan.jobs if job.label.startswith("train swap")}
    assert len(unlearned) == 4 and len(swap) == 1  # do_nothing and finetune
    asked = {need for job in scored if ("score", job.key) in second for need in job.needs}
    if of == "users":
        assert not second
        return
    assert unlearned | swap <= asked
    for job in scored:
        whom = f"{job.payload['model']['role']} {job.payload['step']}"
        assert (("score", job.key) in second) == (
            whom in ("swap 1", "swap 2") or (job.payload["step"] < 3 and bool(set(job.needs) & unlearned))
        ), whom
    measured = [job for job in plan.jobs if job.stage == "measure" and job.label.startswith("measure finetune")]
    assert [("score", job.payload["swapped"]["scores"]) in second for job in measured] == [True, True, False]
    assert not any("world" in job.payload.get("views", {}) for job in plan.jobs if job.stage != "score")


def test_a_single_request_has_no_step_in_any_payload(board: Path) -> None:
    plan = api.make_plan(str(board), fetch=False).plan
    assert not any({"step", "before"} & set(job.payload) for job in plan.jobs)
    assert all(cell.step is None and cell.last for cell in plan.cells)


def test_a_board_may_replace_a_stream_that_it_extends(tmp_path: Path) -> None:
    write(tmp_path / "below", STREAM)
    above = 'title = "One"\nextends = "../below"\n[request]\nkind = "users"\ncount = 4\n'
    config = load(str(write(tmp_path / "above", above)), load_plugins()).config
    assert config.request.kind == "users" and config.request.requests == 1


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            'kind = "stream"\nfile = "x.txt"',
            "a stream draws its requests: give count or fraction of one step, not file",
        ),
        ("count = 3\nsteps = 4", "steps is for kind = 'stream'"),
        ('kind = "stream"\ncount = 20', "count can be at most 5 in each of 5 steps"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, request_: str, message: str) -> None:
    board = write(tmp_path / "tiny", TINY.replace("[request]\ncount = 8", f"[request]\n{request_}"))
    done = vestige("plan", board, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
