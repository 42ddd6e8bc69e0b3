"""The steps one by one, from files to files, through the command line."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import T5ForConditionalGeneration

from tests.conftest import environment, vestige
from vestige import cli, plugins
from vestige.data.interchange import read_samples
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw
from vestige.data.sequences import sequences
from vestige.errors import VestigeError
from vestige.steps.manifest import open_model, read_data, read_manifest
from vestige.steps.measure import Sample, _paired
from vestige.steps.running import Machine
from vestige.steps.train import train
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic

DATA = Synthetic(SyntheticConfig(users=60, items=40, events=16, tastes=4), Path()).load()
TINY = ("d_model=16", "d_ff=32", "layers=1", "heads=2", "window=8")
LAST = ("--split", "last")

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")

Run = Callable[..., subprocess.CompletedProcess[str]]


def settings(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def good(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stderr
    return done


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """One sentence, and exit code 2."""
    assert done.returncode == 2, done.stdout + done.stderr
    # A process of its own is quiet; here the libraries were imported by other tests, bars and all.
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Loading weights")]
    assert len(said) == 1, done.stderr
    for part in parts:
        assert part in said[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of interactions: ratings 3 to 5, ids that are text."""
    root = tmp_path_factory.mktemp("steps")
    rows = zip(DATA.user.tolist(), DATA.item.tolist(), range(len(DATA)), strict=True)
    lines = [f"u{user}\ti{item}\t{3 + place % 3}\t{place}" for user, item, place in rows]
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (root / "mine.inter").write_text("\n".join([head, *lines]) + "\n")
    return root


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    """The command line in this process: what is imported once need not be imported again."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(root)
            patch.setattr(sys, "argv", ["vestige", *words])
            patch.setattr(signal, "signal", lambda *_: None)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return command


def test_the_command_line_as_a_process_of_its_own(made: Path) -> None:
    """As typed, with the published options' underscores: nothing but the tables on standard output."""
    words = ("evaluate", "--compare", *models("--k_values=5", "--eval_sample_size", "4"))
    done = good(vestige(*words, cache=made / "cache", cwd=made))
    assert done.stdout.splitlines()[1].startswith("hit@5/retain")
    assert not done.stderr


def train_words(output: str, *more: str) -> list[str]:
    own = ["train", "--output_dir", output, "--dataset_path", "mine.inter", "--epochs", "4", "--threads", "1"]
    return [*own, *LAST, *settings(*TINY), *more]


@pytest.mark.skipif(os.name != "posix", reason="ends a process as the system does")
def test_a_training_that_was_killed_is_gone_on_with(made: Path) -> None:
    """What it writes is what an undisturbed one writes, byte for byte."""
    words = train_words("killed", "--save-every", "0", "--epochs", "60")
    unfinished = made / ".killed.unfinished"
    process = subprocess.Popen(
        [sys.executable, "-m", "vestige", *words], cwd=made, env=environment(made / "cache"), stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (unfinished / "training.safetensors").exists():
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert unfinished.exists() and not (made / "killed").exists() and list(made.glob(".killed.*.partial"))
    good(vestige(*words, cache=made / "cache", cwd=made))
    good(vestige(*train_words("undisturbed", "--epochs", "60"), cache=made / "cache", cwd=made))
    weights = [(made / name / "model" / "model.safetensors").read_bytes() for name in ("killed", "undisturbed")]
    assert weights[0] == weights[1]
    assert not unfinished.exists() and not list(made.glob(".killed.*"))
    assert not list(made.rglob(".lock"))


def test_what_another_process_still_writes_is_left_alone(tmp_path: Path) -> None:
    from vestige.steps.manifest import new_folder

    with new_folder(tmp_path / "out", overwrite=False) as busy:
        (tmp_path / ".out.abandon1.partial").mkdir()
        (tmp_path / ".out.b.abandon1.partial").mkdir()  # of a folder that is called out.b
        with new_folder(tmp_path / "out", overwrite=False) as other:
            assert busy.is_dir() and busy != other
            assert not (tmp_path / ".out.abandon1.partial").exists()
        (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".out.b.abandon1.partial", "elsewhere", "out"]


DRAW = ("--forget-users", "8", "--retain-users", "10", "--percent", "20", "--min-events", "6", "--high-rating", "3")
SMALL = ("--preset", "e2_strong", "--epochs", "2", "--batch-size", "64", "--router-epochs", "40", "--threads", "1")


@pytest.fixture(scope="module")
def made(root: Path, run: Run) -> Path:
    """A base, a dual memory of it, its gold and a second one."""
    good(run(*train_words("base")))
    good(run("unlearn", "--model", "base", "--output", "dual", *SMALL, *DRAW))
    exclude = ("--exclude", "dual/forget_samples_subset.json")
    good(run(*train_words("gold", *exclude)))
    good(run(*train_words("control", *exclude, "--seed", "1")))
    return root


def models(*more: str) -> list[str]:
    return ["--original_model", "base", "--unlearned_model", "dual", "--threads", "1", *more]


def attacked(*more: str) -> list[str]:
    return ["--original_model", "base", "--unlearned_artifacts", "dual", "--threads", "1", *more]


def table(file: Path) -> dict[tuple[str, str, str], float]:
    with file.open() as stream:
        rows = csv.DictReader(stream)
        return {(r["metric"], r["view"], r["model"]): float(r["value"]) for r in rows if r["value"]}


# -- what the folders hold ------------------------------------------------------------------------------------


def test_a_base_is_a_normal_checkpoint_and_its_manifest_says_how_it_was_made(made: Path) -> None:
    module = T5ForConditionalGeneration.from_pretrained(made / "base" / "model")
    assert module.config.d_model == 16
    manifest = read_manifest(made / "base")
    assert (manifest.made_by, manifest.passes, manifest.seed, manifest.threads) == ("train", 4, 0, 1)
    assert manifest.data.holdout == HoldoutConfig(rule="last")


def test_the_adapter_loads_with_peft_and_the_router_without_pickle(made: Path) -> None:
    base = T5ForConditionalGeneration.from_pretrained(made / "base" / "model")
    inside = made / "dual" / "model"
    assert PeftModel.from_pretrained(base, str(inside / "adapter")).peft_config["default"].r == 16
    assert load_file(inside / "router.safetensors")
    assert "threshold" in json.loads((inside / "router.json").read_text())
    assert {file.suffix for file in inside.rglob("*") if file.is_file()} <= {".json", ".safetensors", ".md"}


def test_the_lists_are_in_the_published_form_and_name_the_latest_training_interactions(made: Path) -> None:
    forget = read_samples(made / "dual" / "forget_samples_subset.json", "forget")
    retain = read_samples(made / "dual" / "retain_samples_subset.json", "retain")
    assert (len(forget), len(retain)) == (8, 10)
    assert not {one.user_id for one in forget} & {one.user_id for one in retain}
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    for one in forget:
        user = int(np.flatnonzero(source.data.user_ids == one.user_id)[0])
        own = (source.data.user == user) & (source.part == Part.RETAINED)
        assert source.data.item_ids[source.data.item[own]].tolist() == [*one.seq_items, *one.suppression_targets]


def test_the_same_command_gives_the_same_weights(made: Path, run: Run) -> None:
    good(run(*train_words("again")))
    for file in ("model.safetensors", "config.json"):
        assert (made / "again" / "model" / file).read_bytes() == (made / "base" / "model" / file).read_bytes()


def test_gold_has_learned_nothing_from_what_it_excludes(root: Path, run: Run, made: Path) -> None:
    """Whatever the excluded users did, gold's weights are the same."""
    lines = (root / "mine.inter").read_text().splitlines()
    users = ["u0", "u1", "u2"]
    (root / "leave.txt").write_text("\n".join(users) + "\n")
    changed = [lines[0]]
    for line in lines[1:]:
        user, item, *rest = line.split("\t")
        other = f"i{(int(item[1:]) + 1) % 40}" if user in users else item
        changed.append("\t".join([user, other, *rest]))
    (root / "changed.inter").write_text("\n".join(changed) + "\n")
    words = train_words("gold-a", "--exclude", "leave.txt")
    good(run(*words))
    words = ["gold-b" if word == "gold-a" else "changed.inter" if word == "mine.inter" else word for word in words]
    good(run(*words))
    weights = [(root / name / "model" / "model.safetensors").read_bytes() for name in ("gold-a", "gold-b")]
    assert weights[0] == weights[1]


# -- evaluate and attack --------------------------------------------------------------------------------------


def test_evaluate_measures_as_a_query_by_query_count_does(made: Path, run: Run) -> None:
    good(run("evaluate", "--compare", *models("--k_values", "5,10", "--output", "found.csv")))
    found = table(made / "found.csv")
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    model = open_model(made / "base", source, plugins.load(), "cpu")
    forget = {
        one.user_id: one.suppression_targets
        for one in read_samples(made / "dual" / "forget_samples_subset.json", "forget")
    }
    hits = []
    for user, name in enumerate(source.data.user_ids.tolist()):
        own = np.flatnonzero((source.data.user == user) & (source.part != Part.TEST))
        if name in forget:
            continue
        history = source.data.item[own].tolist()
        target = int(source.data.item[(source.data.user == user) & (source.part == Part.TEST)][0])
        scores = model.score(sequences([history]))[0].astype(float)
        rivals = [s for item, s in enumerate(scores) if item != target and item not in history]
        hits.append(sum(s > scores[target] for s in rivals) < 10)
    assert found["hit@10", "retain", "base"] == pytest.approx(np.mean(hits), abs=1e-6)
    assert all(found["ndcg@10", view, m] <= found["hit@10", view, m] for name, view, m in found if name == "hit@10")
    views = {view for _, view, _ in found}
    assert {"retain", "affected", "forget", "neighbours", "controls"} <= views


def test_unlearned_rows_that_main_answers_are_base_s_own(made: Path) -> None:
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    base, dual = (open_model(made / name, source, plugins.load(), "cpu") for name in ("base", "dual"))
    items = [source.data.item[source.data.user == user].tolist() for user in range(source.data.n_users)]
    rows = sequences([own[:length] for own in items for length in range(6, len(own))])
    routed = dual.parts().router.probability(rows) >= dual.parts().router.threshold  # type: ignore[attr-defined]
    ours, theirs = dual.score(rows), base.score(rows)
    assert 0 < routed.sum() < len(rows)
    assert np.array_equal(ours[~routed], theirs[~routed])
    assert (ours[routed] != theirs[routed]).any()


def test_gold_adds_differences_and_without_it_a_remark_says_what_is_missing(made: Path, run: Run) -> None:
    without = good(run("evaluate", *models()))
    assert "no gold was given" in without.stdout
    assert "unlearned − gold" not in without.stdout
    done = good(run("evaluate", *models("--gold_model", "gold", "--output", "gold.csv")))
    assert "unlearned − gold" in done.stdout
    assert "sent to the side memory: retain " in done.stdout
    found = table(made / "gold.csv")
    difference = found["hit@10", "forget", "unlearned"] - found["hit@10", "forget", "gold"]
    assert found["hit@10:vs_gold", "forget", "unlearned"] == pytest.approx(difference)


def test_a_base_that_cannot_remember_is_named(made: Path, run: Run) -> None:
    """Base and gold of one pass at a rate of next to nothing answer alike, so there is nothing to forget."""
    still = settings("learning_rate=1e-9")
    lists = "dual/forget_samples_subset.json"
    good(run(*train_words("base-0", *still)))
    good(run(*train_words("gold-0", *still, "--exclude", lists)))
    nothing = ("--method", "do_nothing", "--forget_samples", lists, "--threads", "1")
    good(run("unlearn", "--model", "base-0", "--output", "nothing-0", *nothing))
    words = ("--original_model", "base-0", "--unlearned_model", "nothing-0", "--gold_model", "gold-0", "--threads", "1")
    assert "base does not surely remember what was forgotten" in good(run("evaluate", *words)).stdout


def test_a_sample_says_its_size_and_asks_no_more(made: Path, run: Run) -> None:
    done = good(run("evaluate", *models("--eval_sample_size", "5", "--output", "sample.csv")))
    assert "at most 5 users of each view" in done.stdout
    with (made / "sample.csv").open() as stream:
        assert {row["users"] for row in csv.DictReader(stream) if row["view"] == "retain"} == {"5"}
    done = good(
        run("evaluate", *models("--retain_samples", "dual/retain_samples_subset.json", "--output", "named.csv"))
    )
    with (made / "named.csv").open() as stream:
        assert {row["users"] for row in csv.DictReader(stream) if row["view"] == "retain"} == {"10"}


def test_attack_gives_every_model_the_same_labels(made: Path, run: Run) -> None:
    done = good(run("attack", *attacked("--gold_model", "gold", "--control_model", "control", "--output", "auc.csv")))
    assert "their held-out interactions" in done.stdout
    found = table(made / "auc.csv")
    assert {m for name, _, m in found if name == "auc_raw"} == {"base", "unlearned", "gold", "control"}
    assert {m for name, _, m in found if name == "auc_calibrated"} == {"base", "unlearned", "gold", "control"}
    # The second gold is calibrated by the first, and not by itself, which would be 0.5 whatever it is.
    assert found["auc_calibrated", "forget", "control"] != 0.5
    # The blind attack sees no model, so it must say the same of all of them.
    assert len({value for (name, _, _), value in found.items() if name == "auc_blind"}) == 1


def test_a_sample_of_an_attack_is_of_pairs(made: Path, run: Run) -> None:
    done = good(run("attack", *attacked("--gold_model", "gold", "--eval_users", "6", "--output", "few.csv")))
    assert "6 pairs of users (a sample)" in done.stdout
    with (made / "few.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["metric"] == "auc_raw"]
    assert {row["users"] for row in rows} == {"6"}
    assert all(row["value"] for row in rows)


def test_nobody_is_in_two_pairs_of_an_attack() -> None:
    """Users who both forgot something and had something kept from the base are told from themselves: in another's pair
    they would be judged by an attack that was trained on them.
    """
    data = SyntheticConfig(users=20, items=40, events=16)
    interactions = Synthetic(data, Path()).load()
    part = np.full(len(interactions), Part.RETAINED)
    split = draw(interactions, RequestConfig(count=4), HoldoutConfig(), 0)
    asked = {"forget": np.arange(6, 18), "unseen_train": np.arange(12)}
    views = SimpleNamespace(users=lambda view: np.repeat(asked[view], 2))
    found = _paired(SimpleNamespace(data=interactions), replace(split, part=part), views, Sample())
    pairs = set(zip(found.forget_users.tolist(), found.unseen_users.tolist(), strict=True))
    assert {(user, user) for user in range(6, 12)} <= pairs and len(pairs) == 12
    of = Counter(user for pair in pairs for user in set(pair))
    assert set(of.values()) == {1}


def test_a_base_that_remembers_is_told_apart_and_gold_is_not(root: Path, run: Run) -> None:
    """T was kept from the base by `--exclude`, F was not: only the base knows which is which."""
    users = [f"u{n}" for n in range(60)]
    (root / "never.txt").write_text("\n".join(users[0:30:2]) + "\n")
    (root / "forget.txt").write_text("\n".join(users[1:30:2]) + "\n")
    long = ("--epochs", "150")
    good(run(*train_words("base-n", "--exclude", "never.txt", *long)))
    good(run(*train_words("gold-n", "--exclude", "never.txt", "--exclude", "forget.txt", *long)))
    words = ("--method", "do_nothing", "--threads", "1", "--forget_samples", "forget.txt")
    good(run("unlearn", "--model", "base-n", "--output", "nothing-n", *words))
    told = ("--original_model", "base-n", "--unlearned_artifacts", "nothing-n", "--gold_model", "gold-n")
    shown = good(run("evaluate", *told[:2], "--unlearned_model", "nothing-n", *told[4:], "--threads", "1")).stdout
    assert "base does not surely remember" not in shown
    assert "side memory" not in shown  # do_nothing has none
    done = good(run("attack", *told, "--threads", "1", "--output", "n.csv"))
    assert "what the base was never trained on" in done.stdout
    found = table(root / "n.csv")
    assert found["auc_raw", "forget", "base"] > 0.8
    assert found["auc_raw", "forget", "unlearned"] == found["auc_raw", "forget", "base"]
    assert abs(found["auc_raw", "forget", "gold"] - 0.5) < 0.25


def test_a_dual_memory_has_one_checksum_in_whatever_process_it_was_made(made: Path, run: Run) -> None:
    """PEFT keeps the layers' names as a set, in which text hashes by the chance of a process."""
    targets = [f"{part}.{name}" for part in ("SelfAttention", "EncDecAttention") for name in "qkvo"]
    more = ("--set", f"lora_targets={targets}", "--epochs", "1", "--router-epochs", "1")
    good(run("unlearn", "--model", "base", "--output", "many", *SMALL, *DRAW, *more))
    layers = json.loads((made / "many" / "model" / "adapter" / "adapter_config.json").read_text())["target_modules"]
    assert len(layers) == len(targets)
    assert layers == sorted(layers)


def test_recommend_serves_a_saved_dual_memory(made: Path, run: Run) -> None:
    (made / "histories.txt").write_text("i1 i2 i3\ni4\n")
    done = good(run("recommend", "--model", "dual", "--histories", "histories.txt", "-k", "3", "--threads", "1"))
    rows = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    assert [(row[0], row[1]) for row in rows] == [(line, rank) for line in "12" for rank in "123"]
    assert not {"i1", "i2", "i3"} & {row[2] for row in rows if row[0] == "1"}
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    scores = open_model(made / "dual", source, plugins.load(), "cpu").score(
        sequences([[source.data.item_ids.tolist().index(f"i{n}") for n in (1, 2, 3)]])
    )[0]
    for row in rows[:3]:
        assert scores[source.data.item_ids.tolist().index(row[2])] == pytest.approx(float(row[3]), abs=1e-3)


def test_a_warm_start_goes_on_from_the_folder_of_an_earlier_step(made: Path, run: Run) -> None:
    lists = ("--forget_samples", "dual/forget_samples_subset.json")
    good(run("unlearn", "--model", "base", "--output", "warm", *SMALL, *lists, "--warm_start", "dual"))
    saved = [load_file(made / name / "model" / "adapter" / "adapter_model.safetensors") for name in ("dual", "warm")]
    assert any((saved[0][key] != saved[1][key]).any() for key in saved[0])
    # What it went on from may go, and may be what it replaces.
    shutil.copytree(made / "warm", made / "once", dirs_exist_ok=True)
    words = ("--forget_samples", "dual/forget_samples_subset.json", "--warm_start", "once", "--overwrite")
    good(run("unlearn", "--model", "base", "--output", "once", *SMALL, *words))
    (made / "histories-w.txt").write_text("i1 i2\n")
    for name in ("warm", "once"):
        good(run("recommend", "--model", name, "--histories", "histories-w.txt", "--threads", "1"))


def test_what_base_was_never_trained_on_is_not_drawn(made: Path, run: Run) -> None:
    """Of a base that left people out, any draw of those who are left can be forgotten."""
    out = [f"u{user}" for user in range(40)]
    (made / "out.txt").write_text("\n".join(out))
    good(run(*train_words("less", "--exclude", "out.txt")))
    for seed in ("0", "1", "2"):
        words = ("--method", "do_nothing", "--threads", "1", *DRAW, "--retain-users", "5")
        good(run("unlearn", "--model", "less", "--output", f"less-{seed}", *words, "--seed", seed))
        for name in ("forget", "retain"):
            drawn = json.loads((made / f"less-{seed}" / f"{name}_samples_subset.json").read_text())
            assert len(drawn) == {"forget": 8, "retain": 5}[name]
            assert not {one["user_id"] for one in drawn} & set(out)


def test_a_list_that_was_edited_since_is_refused(made: Path, run: Run) -> None:
    """It says who is asked about: with another list, other people would be judged in silence."""
    shutil.copytree(made / "dual", made / "edited")
    file = made / "edited" / "forget_samples_subset.json"
    whole = json.loads(file.read_text())
    words = ["--original_model", "base", "--unlearned_model", "edited", "--threads", "1"]
    # Fewer people, or as many others of the same users' items.
    others = [{**one, "suppression_targets": one["seq_items"][-len(one["suppression_targets"]) :]} for one in whole]
    for edit in (whole[:3], others):
        file.write_text(json.dumps(edit))
        refused(run("evaluate", *words), "edited/forget_samples_subset.json", "it is another list than when the model")
    # A folder of before lists had a checksum: at least as many must be named.
    manifest = made / "edited" / "vestige.json"
    said = json.loads(manifest.read_text())
    del said["forgotten"]["sha256"]
    manifest.write_text(json.dumps(said))
    file.write_text(json.dumps(whole[:3]))
    refused(run("evaluate", *words), "put back the list of then")


def test_users_of_whom_all_is_held_out_are_not_forgotten(made: Path, run: Run) -> None:
    """u3 came after everybody else, so by time nothing of theirs is trained on."""
    head, *lines = (made / "mine.inter").read_text().splitlines()
    late = [
        f"{line.rpartition(chr(9))[0]}\t9{at:05}" if line.startswith("u3\t") else line for at, line in enumerate(lines)
    ]
    (made / "late.inter").write_text("\n".join([head, *late]) + "\n")
    good(run(*train_words("of-few", "--dataset_path", "late.inter", "--split", "temporal")))
    (made / "u3.txt").write_text("u5\nu3\n")
    nothing = ("--model", "of-few", "--method", "do_nothing", "--threads", "1", "--forget_samples", "u3.txt")
    refused(run("unlearn", "--output", "few-1", *nothing), "u3.txt, line 2", "nothing of user 'u3' is trained on")
    done = good(run("unlearn", "--output", "few-2", *nothing, "--missing", "drop"))
    assert "of 2 users that it names, 1 are taken; 0 are not in the dataset, of 1 all is held out" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("unlearn", "--model", "~nobody-of-this-name/x", "--output", "y"),
        ("unlearn", "--model", "base", "--output", "~nobody-of-this-name/x"),
        ("evaluate", "--original_model", "base", "--unlearned_model", "~nobody-of-this-name/x"),
        ("train", "--output_dir", "y", "--dataset_path", "~nobody-of-this-name/x"),
        ("train", "--output_dir", "y", "--dataset_path", "mine.inter", "--exclude", "~nobody-of-this-name/x"),
        ("data", "info", "interactions", "--path", "~nobody-of-this-name/x"),
    ],
)
def test_a_home_folder_of_nobody_is_one_sentence(made: Path, run: Run, words: tuple[str, ...]) -> None:
    refused(run(*words), "there is no such home folder")


# -- what is dropped ------------------------------------------------------------------------------------------


def test_what_a_list_names_and_is_not_there_is_counted_and_told(made: Path, run: Run) -> None:
    lists = json.loads((made / "dual" / "forget_samples_subset.json").read_text())
    named = sum(len(one["suppression_targets"]) for one in lists)
    more = [*lists, {"user_id": "nobody", "seq_items": ["nothing"], "suppression_targets": ["i1", "i2"]}]
    (made / "more.json").write_text(json.dumps(more))
    (made / "users.txt").write_text("u3\nnobody\nu5\n")
    nothing = ("--method", "do_nothing", "--threads", "1", "--missing", "drop")
    done = good(run("unlearn", "--model", "base", "--output", "drop-1", *nothing, "--forget_samples", "more.json"))
    said = (
        f"of {named + 2} interactions of {len(more)} users that it names, {named} are taken; 2 are not in the dataset"
    )
    assert said in done.stdout
    left = read_manifest(made / "drop-1").forgotten
    assert left is not None and left.notes["interactions named by the file"] == named + 2
    done = good(run("unlearn", "--model", "base", "--output", "drop-2", *nothing, "--forget_samples", "users.txt"))
    assert "users.txt: of 3 users that it names, 2 are taken; 1 are not in the dataset." in done.stdout.replace(
        "forget.txt", "users.txt"
    )
    done = good(run(*train_words("drop-3", "--exclude", "more.json", "--missing", "drop")))
    assert said in done.stdout
    refused(run(*train_words("drop-4", "--missing", "drop")), "--missing is for what --exclude names")
    strict = ("--forget_samples", "users.txt", "--method", "do_nothing", "--threads", "1")
    refused(run("unlearn", "--model", "base", "--output", "drop-5", *strict), "line 2", "'nobody'")


def test_most_users_may_be_left_out(made: Path, run: Run) -> None:
    """A step draws nobody to compare with, so half of all users are not too many."""
    (made / "most.txt").write_text("".join(f"u{n}\n" for n in range(45)))
    good(run(*train_words("few-left", "--exclude", "most.txt")))
    assert read_manifest(made / "few-left").notes["users"] == 15


def test_a_method_may_learn_what_to_keep_from_named_users_alone(made: Path, run: Run) -> None:
    words = ("--forget_samples", "dual/forget_samples_subset.json", "--method", "finetune", *settings("share=1.0"))
    named = ("--retain_samples", "dual/retain_samples_subset.json")
    words = (*words, "--threads", "1")
    good(run("unlearn", "--model", "base", "--output", "all-kept", *words))
    good(run("unlearn", "--model", "base", "--output", "ten-kept", *words, *named))
    assert (read_manifest(made / "all-kept").retained, read_manifest(made / "ten-kept").retained) == (
        None,
        "retain_samples_subset.json",
    )
    steps = [read_manifest(made / name).notes["steps"] for name in ("all-kept", "ten-kept")]
    assert steps[1] < steps[0]
    assert (made / "ten-kept" / named[1].removeprefix("dual/")).read_bytes() == (made / named[1]).read_bytes()


def test_of_a_list_of_retained_users_those_who_are_not_may_be_dropped(made: Path, run: Run) -> None:
    """The published list names some whose every interaction is in the test period of the default split."""
    kept = json.loads((made / "dual" / "retain_samples_subset.json").read_text())
    gone = json.loads((made / "dual" / "forget_samples_subset.json").read_text())[:1]
    (made / "mixed.json").write_text(json.dumps([*kept, *gone]))
    words = ("--retain_samples", "mixed.json")
    refused(run("evaluate", *models(*words)), f"entry {len(kept) + 1}", "is not retained", "--missing drop")
    told = f"1 of {len(kept) + 1} users to retain are left out"
    assert told in good(run("evaluate", *models(*words, "--missing", "drop"))).stdout
    more = ("--forget_samples", "dual/forget_samples_subset.json", "--method", "finetune", *settings("share=0.3"))
    done = good(run("unlearn", "--model", "base", "--output", "mixed", *more, *words, "--missing", "drop"))
    assert "mixed.json: 1 of its users are left out" in done.stdout


def test_the_file_that_the_published_commands_name_means_its_folder(made: Path, run: Run) -> None:
    done = good(run("evaluate", *models("--unlearned_model", "dual/dual_memory_artifacts.pt")))
    assert "note: dual/dual_memory_artifacts.pt: models are folders here; dual is read." in done.stderr


# -- what cannot be used --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--k_values", "0"), ("--k-values", "at least 1")),
        (("--k_values", "ten"), ("--k-values", "'ten'")),
        (("--eval_sample_size", "0"), ("--eval-sample-size", "at least 1 user")),
        (("--num_beams", "-1"), ("--num-beams", "0 (exact) or more")),
        (("--gold_model", "base"), ("it is no gold of this request", "--exclude")),
        (("--gold_model", "dual"), ("a gold is a training",)),
        (("--gold_model", "short"), ("trained with other settings", "base")),
        (("--gold_model", "nowhere"), ("there is no such folder",)),
        (("--retain_samples", "dual/vestige.json"), ("a list of samples is needed",)),
        (("--retain_samples", "dual/forget_samples_subset.json"), ("entry 1", "is not retained")),
        (("--retain_samples", "odd.json"), ("entry 1", "'nothing' is not in the dataset", "--missing drop")),
        (("--missing", "drop"), ("--missing is for a list", "--retain-samples")),
        (
            ("--retain_samples", "dual/forget_samples_subset.json", "--missing", "drop"),
            ("none of the users that it names is retained",),
        ),
        (("--gold_model", "dual/vestige.json"), ("this is a file", "name the folder")),
        (("--device", "gpu"), ("--device", "cuda", "'gpu'")),
        pytest.param(("--device", "cuda"), ("no usable GPU", "cpu"), marks=without_gpu),
    ],
)
def test_evaluate_refuses_with_one_sentence(
    made: Path, run: Run, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    if "short" in words and not (made / "short").exists():
        again = train_words("short", "--exclude", "dual/forget_samples_subset.json")
        good(run(*["3" if word == "4" else word for word in again]))
    kept = json.loads((made / "dual" / "retain_samples_subset.json").read_text())[0]["user_id"]
    (made / "odd.json").write_text(json.dumps([{"user_id": kept, "seq_items": ["nothing"]}]))
    if "odd.json" in words:
        good(run("evaluate", *models(*words, "--missing", "drop")))
    refused(run("evaluate", *models(*words)), *parts)


def test_a_second_gold_needs_a_first_and_another_seed(made: Path, run: Run) -> None:
    refused(run("attack", *attacked("--control_model", "control")), "--gold-model")
    twice = ("--gold_model", "gold", "--control_model", "gold")
    refused(run("attack", *attacked(*twice)), "gold", "another seed", "--seed")


def test_what_has_no_history_cannot_be_asked_about(made: Path, run: Run) -> None:
    """Each forgets the first interaction there is."""
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    data = source.data
    once = [
        (data.user_ids[user], data.item_ids[own[0]])
        for user in range(data.n_users)
        if (own := data.item[data.user == user].tolist()).count(own[0]) == 1
    ]
    first = [f"{user}\t{item}" for user, item in once[:3]]
    (made / "first.tsv").write_text("\n".join(first) + "\n")
    words = ("--method", "do_nothing", "--threads", "1", "--forget_samples", "first.tsv")
    good(run("unlearn", "--model", "base", "--output", "first", *words))
    good(run(*train_words("gold-first", "--exclude", "first.tsv")))
    told = ("--original_model", "base", "--gold_model", "gold-first", "--threads", "1")
    shown = good(run("evaluate", *told, "--unlearned_model", "first")).stdout
    assert "nothing that was forgotten has an interaction before it in training" in shown
    refused(run("attack", *told, "--unlearned_artifacts", "first"), "nothing that was forgotten has an interaction")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--preset", "e2_stron"), ("unknown preset", "'e2_strong'")),
        (("--alpha_weight", "-1"), ("alpha_weight", "greater than or equal to 0")),
        (("--set", "lora_targets=['SelfAttention.query']"), ("lora_targets", "SelfAttention.q")),
        (("--set", "lorar=4"), ("unknown key 'lorar'", "lora_r")),
        (("--method", "finetune", "--alpha-weight", "3"), ("unknown key 'alpha_weight'",)),
        (("--method", "dual_memry"), ("unknown method", "'dual_memory'")),
        (("--forget_samples", "nobody.json"), ("nobody.json", "'nobody' is not in the dataset")),
        (("--forget_samples", "never-had.json"), ("never had item",)),
        (("--forget_samples", "keyless.json"), ("suppression_targets", "missing")),
        (("--forget_samples", "odd-kept.json"), ("entry 1", "seq_items: item 'nothing' is not in the dataset")),
        (
            ("--retain_samples", "nobody.json", "--method", "finetune"),
            ("nobody.json", "'nobody' is not in the dataset"),
        ),
        (("--missing", "drop"), ("--forget-samples",)),
        (("--forget_samples", "nobody.json", "--percent", "5"), ("nothing is drawn",)),
        (("--forget-users", "500"), ("500 forget",)),
        (("--set", "x"), ("KEY=VALUE",)),
        (("--set", "name=npo"), ("name=npo", "option of its own")),
        (("--method", "sisa"), ("base of its own",)),
    ],
)
def test_unlearn_refuses_with_one_sentence_and_leaves_nothing(
    made: Path, run: Run, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    (made / "nobody.json").write_text('[{"user_id": "nobody", "seq_items": [], "suppression_targets": ["i1"]}]')
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    had = {int(item) for item in source.data.item[source.data.user == 0]}
    never = next(str(name) for item, name in enumerate(source.data.item_ids) if item not in had)
    user = str(source.data.user_ids[0])
    (made / "never-had.json").write_text(
        json.dumps([{"user_id": user, "seq_items": [], "suppression_targets": [never]}])
    )
    (made / "keyless.json").write_text(json.dumps([{"user_id": user, "seq_items": []}]))
    first = int(source.data.item[source.data.offsets[0] + 1])
    kept = {"user_id": user, "seq_items": ["nothing"], "suppression_targets": [str(source.data.item_ids[first])]}
    (made / "odd-kept.json").write_text(json.dumps([kept]))
    before = set(made.iterdir())
    draw = () if {"--forget_samples", "--forget-users", "--missing"} & set(words) else DRAW
    refused(run("unlearn", "--model", "base", "--output", "refused", "--threads", "1", *draw, *words), *parts)
    assert set(made.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--dataset_path", "nowhere.inter"), ("nowhere.inter", "does not exist")),
        (("--model_name_or_path", "./nowhere"), ("init", "no such folder")),
        (("--epochs", "0"), ("passes", "greater than or equal to 1")),
        (("--split", "first"), ("--split", "'last' or 'temporal'")),
        (("--exclude", "empty.txt"), ("empty.txt", "empty")),
        (("--recommender", "sasrec", "--model_name_or_path", "gpt"), ("--model_name_or_path", "no checkpoint")),
        (("--missing", "maybe"), ("--missing", "'maybe'")),
        ((*LAST, *settings("init_scale=1e30")), ("the training loss became", "learning rate")),
    ],
)
def test_train_refuses_with_one_sentence_and_leaves_nothing(
    made: Path, run: Run, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    (made / "empty.txt").write_text("")
    before = set(made.iterdir())
    own = ["train", "--output_dir", "refused", "--dataset_path", "mine.inter", "--threads", "1"]
    refused(run(*own, *words), *parts)
    assert set(made.iterdir()) == before


def test_nothing_is_overwritten_unless_a_step_wrote_it(made: Path, run: Run) -> None:
    refused(run(*train_words("gold")), "something lies there already", "--overwrite")
    (made / "precious").mkdir(exist_ok=True)
    (made / "precious" / "thesis.txt").write_text("mine")
    refused(run(*train_words("precious", "--overwrite")), "written by no step")
    assert (made / "precious" / "thesis.txt").read_text() == "mine"


def test_an_unlearned_model_is_refused_beside_another_base_or_other_data(made: Path, run: Run) -> None:
    good(run(*train_words("other", "--seed", "5")))
    words = ("--original_model", "other", "--unlearned_model", "dual", "--threads", "1")
    refused(run("evaluate", *words), "made from another base")
    shutil.copytree(made / "base", made / "cut", dirs_exist_ok=True)
    weights = made / "cut" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (made / "histories-1.txt").write_text("i1\n")
    done = run("recommend", "--model", "cut", "--histories", "histories-1.txt", "--threads", "1")
    refused(done, "cut")
    few = (made / "mine.inter").read_text().splitlines()[:-20]
    (made / "less.inter").write_text("\n".join(few) + "\n")
    refused(run("evaluate", *models("--dataset_path", "less.inter")), "made from other data")


def test_what_was_never_learned_cannot_be_forgotten(made: Path, run: Run) -> None:
    words = ("--model", "gold", "--output", "none", "--threads", "1", "--method", "do_nothing")
    done = run("unlearn", *words, "--forget_samples", "dual/forget_samples_subset.json")
    refused(done, "left out when the base was trained")


def test_a_training_that_fails_leaves_the_folder_as_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vestige.recommenders.popularity import Popularity

    monkeypatch.chdir(root)
    found = plugins.load()
    kwargs = {
        "plugins": found,
        "place": root / "mine.inter",
        "recommender": "popularity",
        "machine": Machine(threads=1),
    }
    first = train(root / "popular", **kwargs)  # type: ignore[arg-type]
    before = {file: file.read_bytes() for file in (root / "popular").rglob("*") if file.is_file()}

    def breaks(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(Popularity, "fit", breaks)
    with pytest.raises(VestigeError, match=r"recommender 'popularity' failed \(RuntimeError: the disk is gone\)"):
        train(root / "popular", overwrite=True, **kwargs)  # type: ignore[arg-type]
    assert {file: file.read_bytes() for file in (root / "popular").rglob("*") if file.is_file()} == before
    assert not list(root.glob(".popular*"))
    assert first.recommender.name == "popularity"


@pytest.mark.parametrize("output", ["base", "base/inside", "."])
def test_a_base_is_never_written_over(made: Path, run: Run, output: str) -> None:
    before = {file: file.read_bytes() for file in (made / "base").rglob("*") if file.is_file()}
    words = ("--forget_samples", "dual/forget_samples_subset.json", "--method", "do_nothing", "--threads", "1")
    done = run("unlearn", "--model", "base", "--output", output, "--overwrite", *words)
    refused(done, "the base lies there")
    assert {file: file.read_bytes() for file in (made / "base").rglob("*") if file.is_file()} == before


def test_train_does_not_replace_the_folder_one_is_in(made: Path, run: Run) -> None:
    refused(run(*train_words(".")), "this is where you are")


def test_outputs_behind_links_and_tildes_find_their_base(
    made: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "far").mkdir()
    (made / "link").symlink_to(tmp_path / "far")
    (made / "histories-2.txt").write_text("i1\n")
    words = ("--forget_samples", "dual/forget_samples_subset.json", *SMALL)
    for output, place in (("link", tmp_path / "far"), ("~/there", tmp_path / "there")):
        good(run("unlearn", "--model", "base", f"--output={output}", *words))
        assert (place / "vestige.json").is_file()
        good(run("recommend", "--model", str(place), "--histories", "histories-2.txt", "--threads", "1"))
    assert (made / "link").is_symlink()
    (made / "link").unlink()


def test_a_model_whose_files_were_changed_is_refused(made: Path, run: Run, tmp_path: Path) -> None:
    (made / "histories-3.txt").write_text("i1\n")
    words = ("--histories", "histories-3.txt", "--threads", "1")
    for name, file in (("dual", "model/adapter/adapter_config.json"), ("base", "model/config.json")):
        copied = Path(shutil.copytree(made / name, made / f"{name}-changed"))
        (copied / file).write_text((copied / file).read_text().replace("{", "{ ", 1))
        refused(run("recommend", "--model", copied.name, *words), "not the files that were written")
        # Of a folder that an earlier version wrote no checksum is known; what is damaged is told all the same.
        manifest = json.loads((copied / "vestige.json").read_text())
        (copied / "vestige.json").write_text(json.dumps({**manifest, "sha256": None}))
        (copied / file).write_text("[]")
        refused(run("recommend", "--model", copied.name, *words), "read")
        shutil.rmtree(copied)


def test_a_file_that_is_not_there_is_named_and_not_the_output(made: Path, run: Run) -> None:
    words = ("--forget_samples", "dual/forget_samples_subset.json", "--method", "finetune", "--threads", "1")
    done = run("unlearn", "--model", "base", "--output", "gone", "--retain_samples", "gone.json", *words)
    refused(done, "gone.json")
    assert "cannot be written" not in done.stderr and not (made / "gone").exists()


def test_where_everybody_forgets_nobody_is_left_to_learn_from(made: Path, run: Run) -> None:
    source = read_data(read_manifest(made / "base").data, plugins.load(), None, "test")
    (made / "everybody.txt").write_text("\n".join(source.data.user_ids.tolist()) + "\n")
    words = ("--forget_samples", "everybody.txt", "--threads", "1")
    refused(run("unlearn", "--model", "base", "--output", "empty", *words), "nobody is left")
