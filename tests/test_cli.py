"""The whole, through the command line: one run, resumed runs, killed runs, two at once, broken plugins, bad input."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import vestige as vestige_package
from tests.conftest import ROOT, TINY, environment, plugin_package, vestige

FULL = TINY.replace("recheck = false", "swap = true") + (
    '\n[[method]]\nname = "dual_memory"\npreset = "published"\nepochs = 2\nbatch_size = 64\nrouter_epochs = 5\n'
)


def run(board: Path, out: Path, cache: Path, *more: object, python_path: Path | None = None, cold: bool = False):
    words = ("run", board, "--out", out, *more)
    return vestige(*words, cache=cache, cwd=board.parent, python_path=python_path, cold=cold)


def deterministic(out: Path) -> dict[str, str]:
    """Checksums of everything that must be the same at every run, and results.csv without its cost rows."""
    files = {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest()
        for f in [*(out / "records").glob("*.json"), out / "per_user.parquet", out / "board.json"]
        if not f.name.endswith(".run.json")
    }
    rows = list(csv.reader((out / "results.csv").open()))
    kept = [row for row in rows if not row[9].startswith(("cost_", "seconds"))]
    assert len(kept) < len(rows)
    return {**files, "results.csv": str(kept)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A board with two worlds, run once: its folder, its results and its cache."""
    root = tmp_path_factory.mktemp("finished")
    board = root / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(FULL)
    done = run(board, root / "out", root / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == f"table: {root / 'out' / 'leaderboard.md'}"
    return board, root / "out", root / "cache"


def test_do_nothing_is_base_and_retrain_is_gold(finished: tuple[Path, Path, Path]) -> None:
    _, out, _ = finished
    table = pd.read_csv(out / "results.csv")
    assert set(table.status) == {"ok"}
    assert set(table.label) == {
        "do_nothing", "retrain", "finetune", "dual_memory (published)", "control", "recheck", "popularity",
    }  # fmt: skip
    value = table.set_index(["label", "metric", "view"]).value
    for view in ("retain", "unseen", "forget", "neighbours"):
        for k in (5, 10, 20):
            assert value["do_nothing", f"hit@{k}:vs_gold", view] == pytest.approx(
                value["do_nothing", f"hit@{k}", view] - value["retrain", f"hit@{k}", view]
            )
            assert value["retrain", f"ndcg@{k}:vs_gold", view] == 0
            for label in set(table.label):
                assert value[label, f"ndcg@{k}", view] <= value[label, f"hit@{k}", view]
    assert value["do_nothing", "fidelity", "forget"] in (0.0,) or pd.isna(value["do_nothing", "fidelity", "forget"])
    assert value["retrain", "distance", "forget"] == 0
    assert value["retrain", "cost_seconds"].item() == 1
    assert value["popularity", "auc_swap", "forget"] == pytest.approx(0.5)  # it is the same list in both worlds
    for name in ("auc_raw", "auc_calibrated", "auc_learned", "auc_swap"):
        assert 0 <= value["do_nothing", name, "forget"] <= 1


def test_records_say_what_they_are(finished: tuple[Path, Path, Path]) -> None:
    _, out, _ = finished
    record = json.loads((out / "records" / "dual-memory-published-s0.json").read_text())
    assert record["schema_version"] == 1
    assert record["identity"]["method"]["name"] == "dual_memory"
    assert record["identity"]["method"]["distribution"] == "vestige"
    assert record["identity"]["method"]["config"]["beta_weight"] == 240
    assert record["outcome"]["notes"]["dataset"]["duplicate interactions dropped"] == 0
    assert "router threshold" in record["outcome"]["notes"]["method"]
    run_record = json.loads((out / "records" / "dual-memory-published-s0.run.json").read_text())
    assert {"utc", "commit", "libraries", "python", "processor"} <= set(run_record["provenance"])
    model = run_record["provenance"]["model"]
    assert {"utc", "commit", "libraries", "python", "processor"} <= set(model)
    assert model["utc"] <= run_record["provenance"]["utc"]
    assert str(out.parent) not in (out / "records" / "dual-memory-published-s0.json").read_text()


def test_the_leaderboard_tells_the_whole(finished: tuple[Path, Path, Path]) -> None:
    _, out, _ = finished
    text = (out / "leaderboard.md").read_text()
    for needed in ("do_nothing (base)", "retrain (gold)", "*control*", "How to read this", "Change against base"):
        assert needed in text
    pooled = pd.read_csv(out / "leaderboard.csv").set_index("label")
    tidy = pd.read_csv(out / "results.csv").set_index(["label", "metric", "view"]).value
    assert pooled.loc["finetune", "hit@10/forget"] == pytest.approx(tidy["finetune", "hit@10", "forget"])


def test_nothing_to_do_changes_nothing(finished: tuple[Path, Path, Path]) -> None:
    board, out, cache = finished
    before = deterministic(out)
    runs = {file.name: file.read_bytes() for file in (out / "records").glob("*.run.json")}
    again = run(board, out, cache, "--workers", 2)
    assert again.returncode == 0
    assert "nothing to run" in again.stderr
    assert deterministic(out) == before
    # Whoever collects stored results did not make them: neither the time nor the commit is theirs.
    assert {file.name: file.read_bytes() for file in (out / "records").glob("*.run.json")} == runs
    planned = vestige("plan", board, cache=cache, cwd=board.parent)
    assert "would run" not in planned.stdout.replace(", 0 would run", "")


def test_a_second_run_from_nothing_is_the_same_to_the_byte(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    board, out, _ = finished
    assert run(board, tmp_path / "out", tmp_path / "cache", "--workers", 2, cold=True).returncode == 0
    assert deterministic(tmp_path / "out") == deterministic(out)


@pytest.mark.parametrize("seconds", [6, 10])
def test_a_killed_run_resumes_to_the_same(finished: tuple[Path, Path, Path], tmp_path: Path, seconds: int) -> None:
    board, out, _ = finished
    process = subprocess.Popen(
        [sys.executable, "-m", "vestige", "run", str(board), "--out", str(tmp_path / "out")],
        cwd=tmp_path,
        env=environment(tmp_path / "cache"),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _wait_for_workers(tmp_path / "cache")
    assert run(board, tmp_path / "out", tmp_path / "cache").returncode == 0
    assert deterministic(tmp_path / "out") == deterministic(out)


def _wait_for_workers(cache: Path) -> None:
    """A worker whose parent was killed ends by itself."""
    import psutil

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        mine = [p for p in psutil.process_iter(["cmdline"]) if str(cache) in " ".join(p.info["cmdline"] or [])]
        if not mine:
            return
        time.sleep(0.2)
    pytest.fail("a worker outlived its parent")


def test_two_runs_at_once_train_nothing_twice(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    board, out, _ = finished
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "vestige", "run", str(board), "--out", str(tmp_path / name)],
            cwd=tmp_path,
            env=environment(tmp_path / "cache"),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for name in ("one", "two")
    ]
    errors = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    made = [
        line.partition("] ")[2].partition(":")[0] for text in errors for line in text.splitlines() if "done in" in line
    ]
    jobs = [line for line in made if line.startswith(("train", "finetune", "dual_memory"))]
    assert len(jobs) == len(set(jobs)) > 6
    assert deterministic(tmp_path / "one") == deterministic(tmp_path / "two") == deterministic(out)


@pytest.mark.parametrize(
    ("request_table", "holdout"),
    [
        ('kind = "interactions"\ncount = 12\npercent = 20\nselect = "latest"', ""),
        ('kind = "interactions"\nfile = "forget.tsv"', ""),
        ('file = "users.txt"', ""),
        ("count = 6", '[holdout]\nrule = "temporal"\n'),
    ],
)
def test_other_requests_and_holdouts(tmp_path: Path, request_table: str, holdout: str) -> None:
    """From a file, whose timestamps interleave users; forgotten by position, by list, and under a temporal holdout."""
    import numpy as np

    from vestige_datasets.readers import read

    rng = np.random.default_rng(0)
    rows = [(u, i, 1 + i % 5, int(rng.integers(0, 10**6))) for u in range(50) for i in rng.permutation(40)[:14]]
    board = tmp_path / "tiny"
    board.mkdir()
    (board / "data.inter").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    data = read(board / "data.inter")
    events = [data.offsets[u] + 5 for u in range(10)]
    listed = [f"{data.user_ids[data.user[e]]}\t{data.item_ids[data.item[e]]}" for e in events]
    (board / "forget.tsv").write_text("\n".join(listed))
    (board / "users.txt").write_text("\n".join(data.user_ids[:6]))
    text = FULL.replace("count = 8", request_table).replace("[request]", holdout + "[request]")
    start, _, rest = text.partition("[dataset]")
    text = start + '[dataset]\nname = "interactions"\npath = "data.inter"\n' + rest[rest.index("[") :]
    (board / "board.toml").write_text(text)
    done = run(board, tmp_path / "out", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    value = table.set_index(["label", "metric", "view"]).value
    other = "affected" if "interactions" in request_table else "unseen"
    assert not pd.isna(value["dual_memory (published)", "hit@10", other])
    assert pd.isna(value["do_nothing", "auc_raw", "forget"]) == ("file" in request_table)
    assert not pd.isna(value["do_nothing", "auc_swap", "forget"])
    assert str(tmp_path) not in (tmp_path / "out" / "records" / "finetune-s0.json").read_text()


METHOD = """
import vestige
from vestige.specs import MethodSpec

@vestige.hookimpl
def vestige_methods():
    return [
        MethodSpec(name=name, version="1", summary=name, factory=f"strange_methods:{name.title().replace('_', '')}")
        for name in (
            "copies", "raises", "returns_nan", "wrong_shape", "returns_logits", "prints", "hangs", "exits", "quits",
            "read_only", "overdraws", "uses_trainer",
        )
    ]
"""

METHODS = """
import os, time
import numpy as np
from vestige.methods import Unlearned

class Copies:
    def __init__(self, config): pass
    def unlearn(self, task):
        assert not os.read(0, 1)  # where the worker's next job could be read
        share = np.float32(0.5)  # as torch's .numpy() has them
        return Unlearned(task.recommender, trainable_parameters=np.int64(3), notes={"share": share})

class Raises(Copies):
    def unlearn(self, task): raise ValueError("a plugin's own trouble")

class Prints(Copies):
    def unlearn(self, task):
        print("{not json"); os.write(1, b"neither\\n")
        return Unlearned(task.recommender)

class Hangs(Copies):
    def unlearn(self, task): time.sleep(600)

class Exits(Copies):
    def unlearn(self, task): os._exit(7)

class Quits(Copies):
    def unlearn(self, task): os._exit(0)

class ReadOnly(Copies):
    def unlearn(self, task): raise OSError(30, os.strerror(30), "/usr/lib/its-own-cache")

class Overdraws(Copies):
    def unlearn(self, task): return Unlearned(task.recommender, setup_seconds=1e4)

class UsesTrainer(Copies):
    def unlearn(self, task):
        import tempfile, torch
        from transformers import Trainer, TrainingArguments
        rows = [{"input_ids": torch.tensor([3, 4, 1]), "labels": torch.tensor([5, 1])}] * 4
        with tempfile.TemporaryDirectory() as folder:
            how = TrainingArguments(folder, max_steps=1, report_to=[], use_cpu=True, disable_tqdm=True)
            Trainer(model=task.recommender.module, args=how, train_dataset=rows).train()
        return Unlearned(task.recommender)

class Odd:
    def __init__(self, inner): self.inner = inner
    def save(self, folder): self.inner.save(folder)
    def score(self, histories): return self.change(self.inner.score(histories))

class Nan(Odd):
    def change(self, scores): return np.full_like(scores, np.nan)

class Narrow(Odd):
    def change(self, scores): return scores[:, :-1]

class ReturnsNan(Copies):
    kind = Nan
    def load(self, folder, recommender): return self.kind(recommender)

class WrongShape(ReturnsNan):
    kind = Narrow

class Logits(Odd):
    def change(self, scores): return scores + 3

class ReturnsLogits(ReturnsNan):
    kind = Logits
"""


def test_a_broken_method_costs_its_row_and_never_the_board(tmp_path: Path, finished: tuple[Path, Path, Path]) -> None:
    _, _, cache = finished
    site = plugin_package(tmp_path / "site", "strange", METHOD)
    (site / "strange_methods.py").write_text(METHODS)
    names = (
        "copies", "raises", "returns_nan", "wrong_shape", "returns_logits", "prints", "hangs", "exits", "quits",
        "read_only", "overdraws", "uses_trainer",
    )  # fmt: skip
    board = tmp_path / "tiny"
    board.mkdir()
    # One world, or what hangs would hang in both.
    (board / "board.toml").write_text(FULL.replace("swap = true", "swap = false") + "\n[limits]\nseconds = 12\n")
    words = [word for name in names for word in ("--method", name)]
    # From the repository's root, where a folder called `datasets` stands in the way of whoever uses a Trainer.
    done = vestige("run", board, "--out", tmp_path / "out", *words, cache=cache, cwd=ROOT, python_path=site, cold=True)
    assert done.returncode == 1, done.stderr
    table = pd.read_csv(tmp_path / "out" / "results.csv").drop_duplicates("label").set_index("label")
    expected = {
        "copies": ("ok", ""),
        "prints": ("ok", ""),
        "finetune": ("ok", ""),
        "uses_trainer": ("ok", ""),
        "raises": ("method_error", "a plugin's own trouble"),
        "returns_nan": ("method_error", "not finite"),
        "wrong_shape": ("method_error", "shape"),
        "hangs": ("timeout", "longer than the 12 s it was given"),
        "exits": ("method_error", "ended with code 7"),
        "quits": ("method_error", "ended with code 0"),
        "returns_logits": ("method_error", "sum to 20.0"),
        "read_only": ("method_error", "its-own-cache"),
        "overdraws": ("method_error", "setup_seconds is 10000"),
    }
    for label, (status, message) in expected.items():
        assert table.loc[label, "status"] == status, label
        assert message in str(table.loc[label, "note"]) or status == "ok"
    for label in ("raises", "returns_nan"):
        trace = json.loads((tmp_path / "out" / "records" / f"{label.replace('_', '-')}-s0.run.json").read_text())
        assert "Traceback" in trace["traceback"]
    told = json.loads((tmp_path / "out" / "records" / "copies-s0.json").read_text())["outcome"]["notes"]
    assert told["method"]["share"] == 0.5
    value = pd.read_csv(tmp_path / "out" / "results.csv").set_index(["label", "metric", "view"]).value
    assert value["copies", "hit@10", "forget"] == value["do_nothing", "hit@10", "forget"]
    # An edit of one method runs it again, and nothing else; a remark in its source is none.
    (site / "strange_methods.py").write_text(METHODS + "\n# remarked\n")
    words = ["plan", board, "--method", "copies", "--method", "dual_memory:e1_stable"]
    planned = vestige(*words, cache=cache, cwd=tmp_path, python_path=site)
    rows = {line.split()[0]: line.split()[-2:] for line in planned.stdout.splitlines() if "-s0" in line}
    assert rows["copies-s0"][-1] == "stored"
    (site / "strange_methods.py").write_text(METHODS + "\nEDITED = True\n")
    planned = vestige(*words, cache=cache, cwd=tmp_path, python_path=site)
    rows = {line.split()[0]: line.split()[-2:] for line in planned.stdout.splitlines() if "-s0" in line}
    assert rows["copies-s0"] == ["would", "run"]
    assert rows["finetune-s0"][-1] == "stored"
    assert "train: 5 jobs, 0 would run" in planned.stdout
    refused = vestige("run", board, "--method", "copies", "--strict-plugins", cache=cache, cwd=tmp_path)
    assert refused.returncode == 2
    assert "unknown method 'copies'" in refused.stderr


def test_a_recommender_that_raises_fails_its_seed_with_a_sentence(tmp_path: Path) -> None:
    site = plugin_package(
        tmp_path / "site",
        "fragile",
        "import vestige\nfrom vestige.specs import RecommenderSpec\n"
        "@vestige.hookimpl\ndef vestige_recommenders():\n"
        "    return [RecommenderSpec(name='fragile', version='1', summary='', factory='fragile:Fragile')]\n"
        "class Fragile:\n"
        "    reach = None\n"
        "    def __init__(self, config, catalogue, device): pass\n"
        "    def fit(self, sequences, seed, progress): raise RuntimeError('no heart')\n",
    )
    board = tmp_path / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(TINY.partition("[recommender]")[0] + '[recommender]\nname = "fragile"\n')
    done = run(board, tmp_path / "out", tmp_path / "cache", python_path=site)
    assert done.returncode == 1
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(table.status) == {"role_error"}
    assert table.note.str.contains("no heart").all()


def test_a_damaged_artifact_is_made_again_and_said(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    board, out, cache = finished
    before = deterministic(out)
    record = json.loads((out / "records" / "finetune-s0.json").read_text())
    measured = cache / "store" / "measure" / record["keys"]["measure"]
    (measured / "measurements.json").write_text("[]")
    again = run(board, out, cache)
    assert again.returncode == 0
    assert "damaged" in again.stderr and "made again" in again.stderr
    assert deterministic(out) == before


def test_render_and_accept(finished: tuple[Path, Path, Path]) -> None:
    board, out, cache = finished
    table = (out / "leaderboard.md").read_bytes()
    (out / "leaderboard.md").unlink()
    assert vestige("render", board, "--out", out, cache=cache, cwd=board.parent).returncode == 0
    assert (out / "leaderboard.md").read_bytes() == table
    done = vestige("accept", board, "--out", out, cache=cache, cwd=board.parent)
    assert done.returncode == 0, done.stderr
    there = {*(board / "accepted").rglob("*")}
    for words in (("render",), ("render", "--html"), ("view", "--no-browser")):
        refused = vestige(words[0], board, *words[1:], "--out", board / "accepted", cache=cache, cwd=board.parent)
        assert refused.returncode == 2 and "which `vestige accept` alone writes" in refused.stderr, refused.stderr
    assert {*(board / "accepted").rglob("*")} == there
    assert (board / "leaderboard.md").read_bytes() == table
    accepted = {file.name: file.read_bytes() for file in (board / "accepted" / "records").iterdir()}
    assert accepted == {file.name: file.read_bytes() for file in (out / "records").iterdir()}
    assert len(list((board / "accepted" / "records").glob("*.json"))) == 14
    # What people read is what the records say, whoever wrote in the table.
    (out / "leaderboard.md").write_text("best: mine\n")
    assert vestige("accept", board, "--out", out, cache=cache, cwd=board.parent).returncode == 0
    assert (board / "leaderboard.md").read_bytes() == table == (out / "leaderboard.md").read_bytes()
    # What is accepted plays no part in whether something must run.
    assert "nothing to run" in run(board, out, cache).stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count = 8", "count = 9", "the results are of another request than the board's"),
        ("d_model = 16", "d_model = 8", "the results are of another recommender than the board's"),
        ("share = 0.4", "share = 0.3", "the results are of another row 'finetune'"),
        (
            '[[method]]\nname = "finetune"',
            '[[method]]\nname = "npo"\n\n[[method]]\nname = "finetune"',
            "another row 'npo'",
        ),
        ("[request]", "[metrics]\nk = [20]\n\n[request]", "another set of metrics"),
        ("names = []", 'names = ["quantise"]', "another set of attacks"),
        ("names = []", "names = []\n\n[shadows]\ncount = 2", "another set of shadow models"),
        ("swap = true", "swap = false", "another value of swap"),
        ('title = "Tiny"', 'title = "Another"', "the board has another `title` now"),
        ("seeds = [0]", 'seeds = [0]\nremarks = ["One."]', "the board has another `remarks` now"),
    ],
)
def test_results_of_the_board_as_it_was_are_not_accepted(
    finished: tuple[Path, Path, Path], tmp_path: Path, old: str, new: str, message: str
) -> None:
    board, out, cache = finished
    text = (board / "board.toml").read_text()
    assert old in text
    place = tmp_path / board.name
    place.mkdir()
    (place / "board.toml").write_text(text.replace(old, new, 1))
    done = vestige("accept", place, "--out", out, cache=cache, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert [file.name for file in place.iterdir()] == ["board.toml"]


def test_rows_that_are_named_are_those_of_the_whole_board(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    board, out, cache = finished
    done = run(board, tmp_path / "out", cache, "--only", "dual_memory:published")
    assert done.returncode == 0 and "nothing to run" in done.stderr, done.stderr
    here, there = tmp_path / "out" / "records", out / "records"
    found = {file.name for file in here.iterdir()}
    left_out = {"finetune-s0.json", "finetune-s0.run.json"}
    assert found == {file.name for file in there.iterdir()} - left_out
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in found)
    assert "finetune" not in (tmp_path / "out" / "leaderboard.md").read_text()
    refused = vestige("accept", board, "--out", tmp_path / "out", cache=cache, cwd=tmp_path)
    assert refused.returncode == 2 and "row 'finetune' (it is missing" in refused.stderr, refused.stderr
    wrong = vestige("plan", board, "--only", "dual_memori", cache=cache, cwd=tmp_path)
    assert wrong.returncode == 2 and "did you mean 'dual_memory (published)'" in wrong.stderr, wrong.stderr


def test_an_edited_value_is_not_accepted(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    board, out, cache = finished
    place, copy = tmp_path / board.name, tmp_path / "out"
    place.mkdir()
    shutil.copy(board / "board.toml", place)
    shutil.copytree(out, copy)
    file = copy / "records" / "finetune-s0.json"
    record = json.loads(file.read_bytes())
    twice = json.loads(file.read_bytes())
    twice["outcome"]["measurements"].append(twice["outcome"]["measurements"][0])
    file.write_text(json.dumps(twice))
    done = vestige("accept", place, "--out", copy, cache=cache, cwd=tmp_path)
    assert done.returncode == 2 and "stands twice" in done.stderr, done.stderr
    for value, message in ((0.95, "the values of its users have the mean"), (float("nan"), "this is no record")):
        row = next(m for m in record["outcome"]["measurements"] if (m["metric"], m["view"]) == ("hit@10", "retain"))
        row["value"] = value
        file.write_text(json.dumps(record))
        done = vestige("accept", place, "--out", copy, cache=cache, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert not (place / "accepted").exists()
    # An interval that is not that of the replicates, as where a run was ended after the records and before these.
    record = json.loads((out / "records" / "finetune-s0.json").read_bytes())
    row = next(m for m in record["outcome"]["measurements"] if (m["metric"], m["view"]) == ("hit@10", "retain"))
    row["interval"] = [row["interval"][0] - 0.1, row["interval"][1]]
    file.write_text(json.dumps(record))
    done = vestige("accept", place, "--out", copy, cache=cache, cwd=tmp_path)
    assert done.returncode == 2 and "the interval of hit@10/retain is" in done.stderr, done.stderr
    assert "but bootstrap.parquet give" in done.stderr and not (place / "accepted").exists()
    for end in (".json", ".run.json"):
        shutil.copy(out / "records" / f"finetune-s0{end}", copy / "records")
        (copy / "records" / f"control-s0{end}").unlink()
    done = vestige("accept", place, "--out", copy, cache=cache, cwd=tmp_path)
    assert done.returncode == 2 and "'control' does not stand on every seed" in done.stderr, done.stderr


def test_a_run_replaces_nothing_that_is_not_its_boards(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    board, _, cache = finished
    for name, content, message in (
        ("mine/leaderboard.md", "mine\n", "leaderboard.md: no run wrote it"),
        ("notes/records/thesis.json", "{}", "thesis.json: no run wrote it"),
        ("other/board.json", '{"name": "other"}', "the results of 'other' lie there, not of 'tiny'"),
        ("broken/board.json", "{", "board.json: this is no board.json of a run"),
        ("table/stream.csv", "mine", "stream.csv: no run wrote it"),
        ("tiny/accepted/records/x.json", '{"identity": 1}', "`vestige accept` alone writes"),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(content)
        folder = tmp_path / Path(name).parts[0] / ("accepted" if "accepted" in name else "")
        done = run(board, folder, cache)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert file.read_text() == content and [f for f in folder.rglob("*") if f.is_file()] == [file]
    inside = vestige("run", board, "--out", ".", cache=cache, cwd=tmp_path / "tiny" / "accepted")
    assert inside.returncode == 2 and "`vestige accept` alone writes" in inside.stderr
    (tmp_path / "afile").write_text("")
    done = run(board, tmp_path / "afile", tmp_path / "empty")
    assert done.returncode == 2 and "afile: cannot be written" in done.stderr and "done in" not in done.stderr


def test_damaged_results_are_one_sentence_and_leave_the_tables_alone(
    finished: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    board, out, cache = finished
    for name, edit, message in (
        ("per_user.parquet", lambda old: old[:100], "per_user.parquet: cannot be read"),
        ("board.json", lambda old: old.replace(b'"k"', b'"kk"'), "board.json: k: field required"),
        ("board.json", lambda old: b"[" * 100_000, "board.json is missing or cannot be read"),
        ("records/retrain-s0.json", lambda old: old.replace(b'"kind"', b'"kin"'), "this is no record"),
        ("records/retrain-s0.json", lambda old: old.replace(b'"higher"', b'"banana"', 1), "this is no record"),
    ):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        table = (copy / "leaderboard.csv").stat().st_mtime_ns
        (copy / name).write_bytes(edit((copy / name).read_bytes()))
        done = vestige("render", board, "--out", copy, cache=cache, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, (name, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
        assert (copy / "leaderboard.csv").stat().st_mtime_ns == table


def test_places_are_looked_at_before_any_work(board: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "afile").write_text("")
    for words, message in (
        (("check", board, "--json", tmp_path / "folder"), "folder: this is a folder; name the file"),
        (("check", board, "--junit", ""), "this is a folder; name the file"),
        (("verify", tmp_path / "folder", "--json", tmp_path / "afile" / "x.json"), "afile is a file"),
        (("run", board, "--out", "~nobody-of-this-name/x"), "there is no such home folder"),
        (("tune", board, "--method", "finetune", "--out=~nobody-of-this-name/x"), "there is no such home folder"),
        (("evaluate", "--output", "."), "this is a folder; name the file"),
        (("verify", "x" * 300), "a name is longer than the system allows"),
    ):
        done = vestige(*words, cache=tmp_path / "cache", cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr and not (tmp_path / "cache" / "store").exists()


@pytest.mark.parametrize(
    ("words", "dropped"),
    [
        (("train", "--max_target_length", "10"), ["--max-target-length"]),
        (("unlearn", "--workers", "12", "--amp"), ["--workers"]),
        (
            ("evaluate", "--disable_fallback", "--num_return_sequences", "50", "--max_gen_len=150", "--verbose"),
            ["--disable-fallback", "--num-return-sequences", "--max-gen-len", "--verbose"],
        ),
        (("attack", "--k=50"), ["--k"]),
    ],
)
def test_what_published_commands_have_and_need_not_is_said_and_no_hindrance(
    words: tuple[str, ...], dropped: list[str], tmp_path: Path
) -> None:
    done = vestige(*words, cache=tmp_path / "cache", cwd=tmp_path)
    notes = [line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert notes == dropped
    assert "Missing option" in done.stderr and "No such option" not in done.stderr, done.stderr


def test_what_needless_options_leave() -> None:
    """Their values go with them, and nothing else does."""
    from vestige.step_commands import without_dropped

    for given, left in (
        ("evaluate --k-values 10 --max-gen-len 150 --verbose --compare", "evaluate --k-values 10 --compare"),
        ("unlearn --workers 12 --amp --workers=3 --output x", "unlearn --amp --output x"),
        ("unlearn --workers --amp", "unlearn --amp"),
        ("attack --k 50 --k=10", "attack"),
        ("recommend --k 5", "recommend --k 5"),
    ):
        assert without_dropped(given.split())[0] == left.split()


def test_a_published_script_is_named_by_its_command(tmp_path: Path) -> None:
    for script, command in (("train_dual_memory.py", "unlearn"), ("MIA", "attack")):
        done = vestige(script, "--model", "x", cache=tmp_path / "cache", cwd=tmp_path)
        assert done.returncode == 2 and f"here it is `vestige {command}`" in done.stderr, done.stderr


def test_the_python_api(finished: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    board, out, cache = finished
    monkeypatch.setenv("VESTIGE_CACHE", str(cache))
    results = vestige_package.run(str(board), out=out)
    assert results.made == 0
    assert {r.record.identity.label for r in results.records} >= {"do_nothing", "retrain"}
    assert set(results.table.columns) >= {"metric", "view", "value", "ci_low", "ci_high"}
    assert not results.failed


ATTACKS = """
import vestige
import numpy as np
from vestige.measuring.attacks import Recovered, Told
from vestige.specs import AttackSpec

@vestige.hookimpl
def vestige_attacks():
    more = dict(version='1', summary='', track='api')
    return [
        AttackSpec(name='reverse', factory='extra:Reverse', recovers=('reversed',), **more),
        AttackSpec(name='short', factory='extra:Short', tells=('short',), **more),
        AttackSpec(name='hashed', factory='extra:Hashed', tells=('hashed',), **more),
        AttackSpec(name='raises', factory='extra:Raises', recovers=('never',), **more),
        AttackSpec(name='shapeless', factory='extra:Shapeless', recovers=('shapeless',), **more),
    ]

@vestige.hookimpl
def vestige_cell_finished(board, cell, record):
    print('heard', cell, record['outcome']['status'])

class Quiet:
    def __init__(self, config): pass

class Reverse(Quiet):
    def attack(self, target):
        rows = target.forget.histories
        order = [i for a, b in zip(rows.offsets[:-1], rows.offsets[1:]) for i in range(b - 1, a - 1, -1)]
        reversed_rows = type(rows)(rows.items[order], rows.offsets, rows.users)
        yield Recovered('reversed', target.hits(reversed_rows))

class Short(Quiet):
    def attack(self, target):
        lengths = [target.queries(view).histories.lengths.astype(float) for view in ('forget', 'unseen_train')]
        yield Told('short', *lengths)

class Hashed(Quiet):
    def attack(self, target):
        draws = np.random.default_rng(abs(hash('vestige')))
        yield Told('hashed', *(draws.random(len(target.queries(view))) for view in ('forget', 'unseen_train')))

class Raises(Quiet):
    def attack(self, target):
        raise RuntimeError('an attack of its own')

class Shapeless(Quiet):
    def attack(self, target):
        yield Recovered('shapeless', target.hits()[:1])
"""


TAKEN = """
import vestige
from vestige.specs import AttackSpec

@vestige.hookimpl
def vestige_attacks():
    more = dict(version='1', summary='', track='api', factory='taken:Mine')
    return [
        AttackSpec(name='mine', recovers=('swap',), **more),
        AttackSpec(name='plain', recovers=('none',), **more),
        AttackSpec(name='raw', tells=('raw',), **more),
        AttackSpec(name='own', recovers=('raw', 'owned'), tells=('owned',), **more),
    ]
"""


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("evasion", "mine"), "'mine' and the attack 'evasion' would both give recovery:swap"),
        (("mine", "evasion"), "'evasion' and the attack 'mine' would both give recovery:swap"),
        (("plain",), "'plain' and the metric 'recovery' would both give recovery:none"),
        (("raw",), "'raw' and the metric 'membership' would both give auc_raw"),
        (("evasion", "own"), ""),
    ],
)
def test_an_attempt_takes_no_name_of_another(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    """Of two of one name one would silently be lost."""
    site = plugin_package(tmp_path / "site", "taken", TAKEN)
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "board.toml").write_text(FULL.replace("names = []", f"names = {json.dumps(names)}"))
    done = vestige("plan", tmp_path / "board", cache=tmp_path / "cache", cwd=tmp_path, python_path=site)
    assert done.returncode == (2 if message else 0), done.stderr
    assert message in done.stderr


def test_third_party_attacks_and_observers_are_heard(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, _, cache = finished
    site = plugin_package(tmp_path / "site", "extra", ATTACKS)
    board = tmp_path / "tiny"
    board.mkdir()
    names = '["reverse", "short", "hashed", "raises", "shapeless"]'
    (board / "board.toml").write_text(FULL.replace("names = []", f"names = {names}"))
    done = run(board, tmp_path / "out", cache, python_path=site)
    assert done.returncode == 0, done.stderr
    assert "heard finetune-s0 ok" in done.stdout
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    reversed_rows = table[table.metric == "recovery:reversed"]
    assert set(reversed_rows.label) == set(table.label)
    assert table[table.metric == "auc_short"].value.nunique() == 1  # it asks no model, so it says the same of each
    # Whoever draws from the hash of a word draws the same in every process, and so for each of the models.
    assert table[table.metric == "auc_hashed"].value.nunique() == 1
    notes = " ".join(table.note.dropna())
    assert "RuntimeError: an attack of its own" in notes
    assert "the attempt 'shapeless' has hits of shape (1,)" in notes
    assert "never" not in set(table.metric)


METRICS = """
import vestige
from vestige.specs import MetricSpec

@vestige.hookimpl
def vestige_metrics():
    return [MetricSpec(name='picky', version='1', summary='', factory='picky:Picky', measures=('picky',))]

class Picky:
    def __init__(self, config): pass

    def measure(self, context):
        if context.row == 'control': raise KeyError('not of this one')
        return []
"""


def test_a_metric_that_raises_is_named_and_costs_the_rows_it_raised_on(
    finished: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """A row that only some metrics saw could not be compared; the others are whole."""
    _, _, cache = finished
    site = plugin_package(tmp_path / "site", "picky", METRICS)
    board = tmp_path / "tiny"
    board.mkdir()
    (board / "board.toml").write_text(FULL + '\n[metrics]\nnames = ["ranking", "picky"]\n')
    done = run(board, tmp_path / "out", cache, python_path=site)
    assert done.returncode == 1, done.stderr
    rows = pd.read_csv(tmp_path / "out" / "results.csv").drop_duplicates("label").set_index("label")
    assert rows.loc["control", "status"] == "measure_error"
    assert "the metric 'picky' raised KeyError: 'not of this one'" in rows.loc["control", "note"]
    assert set(rows.status.drop("control")) == {"ok"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\t2\t3\t4\n1\t2\t3\n", "line 2: too few fields"),
        ("1\t2\t3\t4\n1\t2\tgood\t5\n", "line 2: the rating 'good' is not a number"),
        ("1\t2\t3\t4\n1\t2\t3\tnan\n", "line 2: the timestamp 'nan' is not a number"),
        ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\n", "line 2: too few fields"),
        ("user_id:token\trating:float\n1\t2\n", "line 1: the header names no item_id"),
        ("", "the file is empty"),
        ("1\t2\t3\t4\n\t2\t3\t4\n", "line 2: the user is missing"),
        ("1\t2\t3\t4\n1\t \t3\t4\n", "line 2: the item is missing"),
        ("1\t2\t3\t4\n1\t3\t1e60\t4\n", "line 2: the rating '1e60' is too large"),
        ("1::2::3\n", "line 1: too few fields"),
        ("1 2\n3\n", "line 2: a user and at least one item"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "data.inter" if "\t" in content or not content else tmp_path / "data.txt"
    file.write_text(content)
    done = vestige("data", "info", "interactions", "--path", file, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"vestige: {file}")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_other_bad_input_is_one_sentence(tmp_path: Path, board: Path) -> None:
    cache = tmp_path / "cache"
    (tmp_path / "latin.inter").write_bytes("1\t2\t3\t4\nä\t1\t1\t1\n".encode("latin-1"))
    for words, message in (
        (["data", "info", "interactions", "--path", tmp_path / "latin.inter"], "not UTF-8"),
        (["data", "info", "interactions", "--path", tmp_path / "none.inter"], "no such file"),
        (["data", "info", "ml-1OOk"], "did you mean 'ml-100k'"),
        (["run", "smok"], "did you mean 'smoke'"),
        (["run", tmp_path], "has no board.toml"),
        (["render", board, "--out", tmp_path / "nothing"], "there are no records here"),
        (["accept", board, "--out", tmp_path / "nothing"], "there are no records here"),
    ):
        done = vestige(*words, cache=cache, cwd=tmp_path)
        assert done.returncode == 2, words
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    (board / "board.toml").write_text(TINY.replace("count = 8", "count = 30"))
    done = vestige("run", board, cache=cache, cwd=tmp_path)
    assert done.returncode == 2
    assert "count can be at most 29" in done.stderr
    assert not (tmp_path / "vestige-out").exists()
    assert "Traceback" in vestige("--debug", "run", board, cache=cache, cwd=tmp_path).stderr


def test_no_workers_and_foreign_results_are_refused(
    finished: tuple[Path, Path, Path], board: Path, tmp_path: Path
) -> None:
    from vestige.errors import InputError

    _, out, cache = finished
    with pytest.raises(InputError, match="at least 1 is needed"):
        vestige_package.run(str(board), out=tmp_path / "out", workers=0)
    (board.parent / "other").mkdir()
    (board.parent / "other" / "board.toml").write_text(FULL)
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    done = vestige("accept", board.parent / "other", "--out", out, cache=cache, cwd=tmp_path)
    assert before == {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    assert done.returncode == 2
    assert "these are results of tiny, not of other" in done.stderr
    assert not (board.parent / "other" / "accepted").exists()


def test_sources_changed_during_a_run_are_refused(tmp_path: Path) -> None:
    from vestige import plugins
    from vestige.errors import VestigeError
    from vestige.pipeline.board import Chosen
    from vestige.pipeline.plan import describe
    from vestige.pipeline.stages import Workbench
    from vestige.pipeline.store import Store
    from vestige.specs import MethodSpec

    found = plugins.load()
    spec = found.get(MethodSpec, "finetune")
    bench = Workbench(Store(tmp_path), found)
    described = describe(Chosen(spec, spec.config()))
    assert bench._method(described) is not None
    with pytest.raises(VestigeError, match="changed while the board ran"):
        bench._method({**described, "digest": "of other sources"})


def test_a_plan_loads_nothing_that_only_jobs_need(board: Path, tmp_path: Path) -> None:
    plan = "import sys\nfrom vestige.cli import app\ntry:\n    app()\nfinally:\n    print('loaded:', *sys.modules)\n"
    words = [sys.executable, "-c", plan, "plan", board]
    env = environment(tmp_path / "cache")
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=env)
    shown, _, loaded = done.stdout.partition("loaded:")
    assert done.returncode == 0 and "would run" in shown, done.stderr
    assert "vestige" in loaded.split() and not {"torch", "transformers", "sklearn"} & set(loaded.split())


def test_an_executor_need_not_say_where_a_training_may_be_left_unfinished(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One written before trainings could be gone on with keeps working, and makes the same model."""
    from vestige import plugins
    from vestige.api import make_plan
    from vestige.pipeline.stages import Workbench
    from vestige.progress import silent

    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path / "cache"))
    planned = make_plan(str(board))
    job = next(job for job in planned.plan.jobs if job.stage == "train")
    bench = Workbench(planned.store, plugins.load())
    made = []
    for name, left in {"without": None, "with": tmp_path / "left"}.items():
        (tmp_path / name).mkdir()
        meta = bench.run(job.payload, tmp_path / name, silent, *([left] if left else []))
        made.append((meta["report"], {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}))
    assert made[0] == made[1] and made[0][1]


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that cannot be written")
def test_a_store_that_cannot_be_written_is_one_sentence(board: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "store").write_text("a file where the folder should be")
    done = vestige("run", board, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_cache_can_be_listed_and_emptied(finished: tuple[Path, Path, Path], tmp_path: Path) -> None:
    import shutil

    board, _, cache = finished
    shutil.copytree(cache, tmp_path / "cache")
    listed = vestige("cache", "ls", cache=tmp_path / "cache", cwd=tmp_path)
    assert "train" in listed.stdout and "artifacts" in listed.stdout
    assert (
        "would remove"
        in vestige("cache", "gc", "--keep-days", 0, "--dry-run", cache=tmp_path / "cache", cwd=tmp_path).stdout
    )
    vestige("cache", "gc", "--keep-days", 0, cache=tmp_path / "cache", cwd=tmp_path)
    assert "0 artifacts" in vestige("cache", "ls", cache=tmp_path / "cache", cwd=tmp_path).stdout
    assert vestige("plan", board, cache=tmp_path / "cache", cwd=tmp_path).returncode == 0
