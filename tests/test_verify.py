"""A third party's results are verified; whatever is tampered with is found, and said in a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.conftest import TINY, plugin_package, vestige
from vestige import api
from vestige.errors import InputError

BOARD = TINY.replace("seeds = [0]", "seeds = [0, 1]")

SHRINK = """
import torch
import vestige
from vestige.methods import Unlearned
from vestige.specs import MethodSpec


class Strength(vestige.Config):
    strength: float = 0.01


@vestige.hookimpl
def vestige_methods():
    return [
        MethodSpec(name="shrink", version="1", summary="Shrinks.", factory="shrinking:Shrink", config=Strength,
                   presets={"strong": {"strength": 0.5}})
    ]


class Shrink:
    def __init__(self, config):
        self.config = config

    def unlearn(self, task):
        with torch.no_grad():
            for weight in task.recommender.module.parameters():
                weight.mul_(1 - self.config.strength)
        return Unlearned(task.recommender)
"""

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a board, a package with a method, the results of both and their cache; never changed."""
    root = tmp_path_factory.mktemp("submitted")
    (root / "tiny").mkdir()
    (root / "tiny" / "board.toml").write_text(BOARD)
    plugin_package(root / "site", "shrinking", SHRINK)
    words = ("run", "tiny", "--out", "out", "--method", "shrink:strong")
    done = vestige(*words, cache=root / "cache", cwd=root, python_path=root / "site")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def folder(submitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those results, to tamper with, where the method is installed and the store is the submitter's."""
    monkeypatch.setenv("VESTIGE_CACHE", str(submitted / "cache"))
    monkeypatch.syspath_prepend(str(submitted / "site"))
    shutil.copytree(submitted / "out", tmp_path / "out")
    return tmp_path / "out"


def verify(submitted: Path, folder: Path, rerun: bool = False, **more: Any) -> dict[str, str]:
    """The message of every check that failed, by its name."""
    found = api.verify(folder, board=str(submitted / "tiny"), rerun=rerun, **more)
    for step in found.steps:
        assert step.message and "\n" not in step.message
    failed = {step.name: step.message for step in found.steps if step.status == "FAIL"}
    assert found.ok == (not failed)
    return failed


def edit(folder: Path, name: str, change: Change) -> None:
    file = folder / "records" / f"{name}.json"
    content = json.loads(file.read_bytes())
    change(content)
    file.write_text(json.dumps(content))


def measurement(record: dict[str, Any], metric: str, view: str) -> dict[str, Any]:
    (found,) = [m for m in record["outcome"]["measurements"] if (m["metric"], m["view"]) == (metric, view)]
    return found


def edit_users(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / "per_user.parquet")), folder / "per_user.parquet")


def where(table: pa.Table, cell: str, metric: str, view: str) -> np.ndarray[Any, Any]:
    wanted = {"cell": cell, "metric": metric, "view": view}
    return np.all([pc.cast(table[c], pa.string()).to_numpy() == text for c, text in wanted.items()], axis=0)


def test_honest_results_are_verified_through_the_command_line(submitted: Path, tmp_path: Path) -> None:
    before = {f: f.read_bytes() for f in (submitted / "out").rglob("*") if f.is_file()}
    words = ("verify", "out", "--board", "tiny", "--seed", 1, "--json", tmp_path / "found.json")
    done = vestige(*words, cache=submitted / "cache", cwd=submitted, python_path=submitted / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, verdict = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(lines)
    assert "seed 1 was run again: 6 cells are equal to the last bit" in lines[-1]
    assert verdict == "out, board tiny: verified"
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ok"] and found["schema_version"] == 1
    assert [c["name"] for c in found["checks"]] == [line.split()[1] for line in lines]
    assert {f: f.read_bytes() for f in (submitted / "out").rglob("*") if f.is_file()} == before


def test_tampered_results_exit_with_one_and_unusable_words_with_two(submitted: Path, folder: Path) -> None:
    edit(folder, "finetune-s0", lambda r: measurement(r, "hit@10", "retain").update(value=0.9))
    options = {"cache": submitted / "cache", "cwd": submitted, "python_path": submitted / "site"}
    done = vestige("verify", folder, "--board", "tiny", "--no-rerun", **options)
    assert done.returncode == 1 and "FAIL      values" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("1 of 8 checks failed")
    unusable = vestige("verify", folder, "--board", "tiny", "--seed", 7, **options)
    assert unusable.returncode == 2 and "has the seeds [0, 1]" in unusable.stderr
    assert len(unusable.stderr.strip().splitlines()) == 1


def test_what_cannot_be_verified_at_all(submitted: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"its board 'tiny' does not come with Vestige; name its folder with --board"):
        api.verify(folder)
    with pytest.raises(InputError, match="there are no records here"):
        verify(submitted, submitted)


def test_a_value_edited_by_hand(submitted: Path, folder: Path) -> None:
    edit(folder, "finetune-s1", lambda r: measurement(r, "hit@10", "retain").update(value=0.9, interval=[0.8, 1.0]))
    failed = verify(submitted, folder)
    assert failed["values"].startswith("finetune-s1: hit@10/retain is 0.9, but the values of its ")
    assert set(failed) == {"values", "intervals"}


def test_an_interval_edited_by_hand(submitted: Path, folder: Path) -> None:
    def narrower(record: dict[str, Any]) -> None:
        for m in record["outcome"]["measurements"]:
            if (m["metric"], m["view"]) == ("ndcg@5", "retain"):
                m["interval"] = [m["value"] - 1e-3, m["value"] + 1e-3]

    edit(folder, "shrink-strong-s0", narrower)
    (message,) = (failed := verify(submitted, folder)).values()
    assert set(failed) == {"intervals"}
    assert message.startswith("shrink-strong-s0: the interval of ndcg@5/retain is [")
    (folder / "bootstrap.parquet").unlink()  # accepted results have none; then the values of the users tell
    assert "its users' values give" in verify(submitted, folder)["intervals"]


def test_seeds_that_were_swapped(submitted: Path, folder: Path) -> None:
    records = folder / "records"
    for end in (".json", ".run.json"):
        one, other = ((records / f"finetune-s{seed}{end}") for seed in (0, 1))
        contents = [json.loads(file.read_bytes()) for file in (one, other)]
        for seed, content in enumerate(reversed(contents)):
            identity = content.get("identity", content)
            identity["cell"] = f"finetune-s{seed}"
            if "seed" in identity:
                identity["seed"] = seed
            (records / f"finetune-s{seed}{end}").write_text(json.dumps(content))
    failed = verify(submitted, folder)
    assert failed["keys"].startswith("finetune-s0: the key of the split is ")
    assert "it is of another seed, request or holdout" in failed["keys"]


def test_files_that_change_names(submitted: Path, folder: Path) -> None:
    records = folder / "records"
    (records / "finetune-s1.json").rename(records / "x.json")
    (records / "finetune-s1.run.json").rename(records / "x.run.json")
    assert "it is of the cell 'finetune-s1'" in verify(submitted, folder)["schema"]


def test_another_split(submitted: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tiny").mkdir(parents=True)
    (other / "tiny" / "board.toml").write_text(BOARD.replace("count = 8", "count = 9"))
    failed = verify(other, folder)
    assert "of another seed, request or holdout" in failed["keys"]
    assert failed["settings"].startswith("do-nothing-s0: request.count is 8, but here it is 9")


def test_other_data(submitted: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tiny").mkdir(parents=True)
    (other / "tiny" / "board.toml").write_text(BOARD.replace("tastes = 4", "tastes = 5"))
    assert "the dataset has other content" in verify(other, folder)["keys"]


def test_roles_of_other_settings(submitted: Path, folder: Path) -> None:
    edit(folder, "control-s0", lambda r: r["keys"]["roles"].update(gold="0" * 64))
    failed = verify(submitted, folder)
    assert set(failed) == {"keys"} and failed["keys"].startswith("control-s0: the key of roles.gold is 000000000000…")


def test_versions_that_were_not_those_of_the_run(submitted: Path, folder: Path) -> None:
    edit(folder, "control-s0.run", lambda r: r["provenance"]["libraries"].update(torch="1.0"))
    assert "with torch 1.0" in verify(submitted, folder)["keys"]
    edit(folder, "control-s0.run", lambda r: r["provenance"]["libraries"].pop("torch"))
    assert "must all be stated" in verify(submitted, folder)["keys"]


def test_a_missing_cell(submitted: Path, folder: Path) -> None:
    for end in (".json", ".run.json"):
        (folder / "records" / f"popularity-s1{end}").unlink()
    assert verify(submitted, folder)["cells"].startswith("the cell popularity-s1 is missing")


def test_a_cell_that_failed(submitted: Path, folder: Path) -> None:
    edit(folder, "finetune-s1", lambda r: r["outcome"].update(status="oom", message="too large"))
    assert "finetune-s1 was not measured (oom: too large)" in verify(submitted, folder)["cells"]


def test_a_truncated_table(submitted: Path, folder: Path) -> None:
    file = folder / "per_user.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    failed = verify(submitted, folder)
    assert set(failed) == {"schema"} and "per_user.parquet: cannot be read" in failed["schema"]


def test_files_that_are_no_tables(submitted: Path, folder: Path) -> None:
    (folder / "bootstrap.parquet").write_bytes(b"PAR1")
    assert "bootstrap.parquet: cannot be read" in verify(submitted, folder)["schema"]
    (folder / "bootstrap.parquet").unlink()
    (folder / "board.json").write_text("{")
    assert "board.json is missing or cannot be read" in verify(submitted, folder)["schema"]
    (folder / "board.json").write_text('{"name": "tiny", "title": "T", "columns": [], "k": [10], "labels": []}')
    assert "board.json: seeds: field required" in verify(submitted, folder)["schema"]
    (folder / "board.json").unlink()
    assert "board.json is missing" in verify(submitted, folder)["schema"]


def test_a_measurement_that_stands_twice(submitted: Path, folder: Path) -> None:
    """Shown by its first value and checked by its last, it could say anything."""

    def forge(record: dict[str, Any]) -> None:
        true = measurement(record, "fidelity", "forget")
        record["outcome"]["measurements"].insert(0, {**true, "value": 0.999, "interval": None, "note": ""})

    edit(folder, "finetune-s1", forge)
    assert "fidelity/forget stands twice" in verify(submitted, folder)["schema"]


def test_labels_that_leave_a_row_out(submitted: Path, folder: Path) -> None:
    """They decide which rows the tables show, and which the re-run judges."""
    about = json.loads((folder / "board.json").read_bytes())
    about["labels"].remove("control")
    (folder / "board.json").write_text(json.dumps(about))
    assert "labels: 'control' is missing, of which there are records" in verify(submitted, folder)["schema"]
    about["labels"] += ["control", "nobody"]
    (folder / "board.json").write_text(json.dumps(about))
    assert verify(submitted, folder)["settings"].startswith("board.json: labels are")


def test_another_schema_version(submitted: Path, folder: Path) -> None:
    edit(folder, "finetune-s1", lambda r: r.update(schema_version=7))
    assert "its schema version is 7, but this Vestige reads 1" in verify(submitted, folder)["schema"]


def test_numbers_that_are_not_finite(submitted: Path, folder: Path) -> None:
    edit(folder, "finetune-s1", lambda r: measurement(r, "hit@10", "retain").update(value=float("nan")))
    assert "value: input should be a finite number" in verify(submitted, folder)["schema"]


def test_users_by_their_ids(submitted: Path, folder: Path) -> None:
    def ids(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index("user"), "user", pc.add(table["user"], 196))

    edit_users(folder, ids)
    assert "must be row numbers from 0 to 59, not ids" in verify(submitted, folder)["users"]


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()])
def test_users_by_ids_that_cannot_be_rows(submitted: Path, folder: Path, kind: pa.DataType) -> None:
    """There would be no place for them, and no memory for their weights."""

    def ids(table: pa.Table) -> pa.Table:
        users = pc.cast(pc.add(pc.cast(table["user"], pa.int64()), 2 * 10**9), kind)
        return table.set_column(table.schema.get_field_index("user"), "user", users)

    edit_users(folder, ids)
    failed = verify(submitted, folder)
    assert set(failed) == {"schema"} and "per_user.parquet: users must be " in failed["schema"]


def test_values_of_users_that_were_taken_out(submitted: Path, folder: Path) -> None:
    edit_users(folder, lambda t: t.filter(pa.array(~where(t, "finetune-s0", "hit@10", "retain"))))
    failed = verify(submitted, folder)
    assert set(failed) == {"values"}
    assert "has no values of hit@10/retain of finetune-s0" in failed["values"]


@pytest.mark.parametrize(("metric", "view"), [("hit@10", "retain"), ("distance", "forget")])
def test_values_of_users_that_were_taken_out_of_all_cells(
    submitted: Path, folder: Path, metric: str, view: str
) -> None:
    """Else whoever drops them may state any value."""

    def without(table: pa.Table) -> pa.Table:
        cells = pc.unique(table["cell"]).to_pylist()
        return table.filter(pa.array(~np.any([where(table, cell, metric, view) for cell in cells], axis=0)))

    edit_users(folder, without)
    failed = verify(submitted, folder)
    assert set(failed) == {"values"}
    assert f"has no values of {metric}/{view} of " in failed["values"]


def test_a_result_among_the_costs(submitted: Path, folder: Path) -> None:
    """Costs vary from run to run, so nobody compares them; a table shows them all the same."""
    true = json.loads((folder / "records" / "do-nothing-s1.json").read_bytes())
    forged = {**measurement(true, "hit@10", "retain"), "metric": "made_up@10", "value": 0.0, "interval": None}
    edit(folder, "finetune-s1.run", lambda r: r["cost"].append(forged))
    failed = verify(submitted, folder, rerun=True, seed=1)
    assert set(failed) == {"re-run"}
    assert "finetune-s1: made_up@10/retain stands among the costs of one run only" in failed["re-run"]
    taken = measurement(true, "hit@10", "retain")
    edit(folder, "finetune-s1.run", lambda r: r["cost"].append(taken))
    assert "finetune-s1.run.json: hit@10/retain is no cost" in verify(submitted, folder)["schema"]
    edit(folder, "finetune-s1.run", lambda r: r["cost"].append(taken))
    assert "hit@10/retain stands twice" in verify(submitted, folder)["schema"]


def replicates(folder: Path, change: Callable[[list[list[float]]], list[list[float]]]) -> None:
    table = pq.read_table(folder / "bootstrap.parquet")
    lists = pa.array(change(table["replicates"].to_pylist()), pa.list_(pa.float32()))
    at = table.schema.get_field_index("replicates")
    pq.write_table(table.set_column(at, "replicates", lists), folder / "bootstrap.parquet")


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [[float("nan"), *row[1:]] for row in rows],
        lambda rows: [rows[0][:-1], *rows[1:]],
        lambda rows: [[] for _ in rows],
        lambda rows: [row[:1] for row in rows],
    ],
    ids=["nan", "ragged", "none", "one"],
)
def test_replicates_that_no_interval_can_be_read_from(submitted: Path, folder: Path, change: Any) -> None:
    replicates(folder, change)
    failed = verify(submitted, folder)
    assert set(failed) == {"schema"} and "bootstrap.parquet: every measurement must have as many" in failed["schema"]


def test_replicates_that_were_made_up(submitted: Path, folder: Path) -> None:
    """Accepted results keep a few, which no interval of a record shows; rows are told apart by them."""
    names = pq.read_table(folder / "bootstrap.parquet").to_pandas()
    at = int(
        np.flatnonzero((names.cell == "finetune-s1") & (names.metric == "hit@10") & (names["view"] == "retain"))[0]
    )
    auc = int(np.flatnonzero((names.cell == "finetune-s1") & (names.metric == "auc_raw"))[0])
    few = [row[:250] for row in names.replicates.map(list)]
    replicates(folder, lambda _: few)
    assert not verify(submitted, folder)
    replicates(folder, lambda _: [[v + 0.2 for v in row] if i == at else row for i, row in enumerate(few)])
    assert (
        "finetune-s1: the replicates of hit@10/retain in bootstrap.parquet are not"
        in verify(submitted, folder)["intervals"]
    )
    replicates(folder, lambda _: [[v + 0.2 for v in row] if i == auc else row for i, row in enumerate(few)])
    assert not verify(submitted, folder)
    failed = verify(submitted, folder, rerun=True, seed=1)
    assert "finetune-s1: the replicates of auc_raw/forget are not those that came out" in failed["re-run"]
    table = pq.read_table(folder / "bootstrap.parquet")
    cells = pa.array(["nobody-s1", *pc.cast(table["cell"], pa.string()).to_pylist()[1:]])
    pq.write_table(table.set_column(table.schema.get_field_index("cell"), "cell", cells), folder / "bootstrap.parquet")
    assert "of nobody-s1, which has no such measurement" in verify(submitted, folder)["values"]


def test_replicates_that_allow_for_more_than_the_mean_are_no_fault(submitted: Path, folder: Path) -> None:
    """Some statistics, as over-forgetting, have nearly the interval of a plain mean and other replicates."""
    names = pq.read_table(folder / "bootstrap.parquet").to_pandas()
    at = int(np.flatnonzero((names.cell == "finetune-s1") & (names.metric == "streisand"))[0])
    rows = [list(row) for row in names.replicates]
    replicates(folder, lambda _: [row[::-1] if i == at else row for i, row in enumerate(rows)])
    assert not verify(submitted, folder)


def test_what_tables_say_of_data_request_and_directions(submitted: Path, folder: Path) -> None:
    edit(folder, "finetune-s1", lambda r: measurement(r, "hit@10", "retain").update(better="lower"))
    assert "of hit@10/retain 'lower' is better" in verify(submitted, folder)["settings"]
    edit(folder, "finetune-s1", lambda r: measurement(r, "hit@10", "retain").update(better="higher"))
    assert not verify(submitted, folder)
    edit(folder, "finetune-s1", lambda r: r["outcome"]["notes"]["request"].update({"forgotten users": 1000}))
    assert verify(submitted, folder)["settings"].startswith("finetune-s1: the notes of the request are ")


def test_half_of_the_rows_do_not_outvote_what_a_distance_is(submitted: Path, folder: Path) -> None:
    for cell in ("do-nothing-s0", "control-s0", "popularity-s0", "finetune-s0"):
        edit(folder, cell, lambda r: measurement(r, "distance", "forget").update(value=0.0026))
    assert "distance/forget is 0.0026" in verify(submitted, folder)["values"]


def test_settings_that_are_not_the_boards(submitted: Path, folder: Path) -> None:
    edit(folder, "shrink-strong-s0", lambda r: r["identity"]["method"]["config"].update(strength=0.1))
    failed = verify(submitted, folder)
    assert failed == {
        "settings": "shrink-strong-s0: method.config.strength is 0.1, but here it is 0.5."
    }  # fmt: skip


@pytest.mark.parametrize("key", ["remarks", "published"])
def test_words_under_the_tables_that_the_board_does_not_say(submitted: Path, folder: Path, key: str) -> None:
    about = json.loads((folder / "board.json").read_text())
    about[key] = ["Our method wins."] if key == "remarks" else [{"label": "ours", "values": {"hit@10/retain": 0.9}}]
    (folder / "board.json").write_text(json.dumps(about))
    failed = verify(submitted, folder)
    assert failed.keys() == {"settings"} and f"board.json: {key} are not what the board says" in failed["settings"]


def test_a_row_with_a_label_of_its_own(submitted: Path, folder: Path) -> None:
    for seed in (0, 1):
        for end in ("", ".run"):
            file = folder / "records" / f"shrink-strong-s{seed}{end}.json"
            text = file.read_text().replace("shrink-strong", "best").replace("shrink (strong)", "best")
            file.with_name(f"best-s{seed}{end}.json").write_text(text)
            file.unlink()
    said = (folder / "board.json").read_text()
    (folder / "board.json").write_text(said.replace("shrink (strong)", "best"))
    message = verify(submitted, folder)["cells"]
    assert "the row 'best' is neither the board's nor one that --method adds to it" in message
    assert "shrink or shrink (strong)" in message


def test_what_only_a_run_can_tell(submitted: Path, folder: Path) -> None:
    """An AUC has no values of users; its interval may be wide enough to hold whatever is put there."""
    edit(folder, "finetune-s1", lambda r: measurement(r, "jensen_shannon", "forget").update(note="so good"))
    assert not verify(submitted, folder)
    assert not verify(submitted, folder, rerun=True, seed=0)
    failed = verify(submitted, folder, rerun=True, seed=1)
    assert set(failed) == {"re-run"} and "finetune-s1: jensen_shannon/forget" in failed["re-run"]


def test_on_another_machine_rows_are_compared_as_the_gate_does(submitted: Path, folder: Path) -> None:
    for file in (folder / "records").glob("*.run.json"):
        edit(folder, file.name.removesuffix(".json"), lambda r: r["provenance"].update(processor="abacus"))
    found = api.verify(folder, board=str(submitted / "tiny"))
    assert found.ok
    assert "not on the same (processor: abacus → " in found.steps[-1].message

    (folder / "bootstrap.parquet").unlink()
    for rate in (1.0, 0.0):  # claimed too high, and a rival's put too low

        def same_for_all(table: pa.Table, rate: float = rate) -> pa.Table:
            values = np.where(where(table, "finetune-s0", "hit@10", "retain"), rate, table["value"].to_numpy())
            column = table.schema.get_field_index("value")
            return table.set_column(column, "value", pa.array(values.astype(np.float32)))

        edit_users(folder, same_for_all)
        claimed = {"value": rate, "interval": [rate, rate]}
        edit(folder, "finetune-s0", lambda r, to=claimed: measurement(r, "hit@10", "retain").update(to))  # type: ignore[misc]
        failed = verify(submitted, folder, rerun=True)
        assert set(failed) == {"re-run"}
        assert "finetune: hit@10/retain is" in failed["re-run"] and f"{rate:g} as submitted" in failed["re-run"]


def test_a_method_that_is_not_installed(submitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_CACHE", str(submitted / "cache"))
    with pytest.raises(InputError, match=r"install shrinking 1\.0, or leave the run out with --no-rerun"):
        verify(submitted, submitted / "out", rerun=True)
    found = api.verify(submitted / "out", board=str(submitted / "tiny"), rerun=False)
    assert found.ok
    assert {step.name for step in found.steps if step.status == "left out"} == {"plugins", "re-run"}
    # Data, split and roles of its row are compared all the same.
    shutil.copytree(submitted / "out", tmp_path / "out")
    edit(tmp_path / "out", "shrink-strong-s1", lambda r: r["keys"]["roles"].update(base="0" * 64))
    assert verify(submitted, tmp_path / "out")["keys"].startswith("shrink-strong-s1: the key of roles.base is 0000")


def test_results_hold_no_id_of_a_user(tmp_path: Path) -> None:
    """What is committed to a public board names users by row only, and no path of the submitter's machine."""
    board = tmp_path / "private-folder" / "tiny"
    board.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = [
        f"zq{user:04d}zq\titem{item}\t5\t{t}" for user in range(40) for t, item in enumerate(rng.permutation(20)[:9])
    ]
    (board / "ratings.inter").write_text("\n".join(lines) + "\n")
    start, _, rest = TINY.partition("[dataset]")
    rest = (
        rest[rest.index("[request]") :]
        .replace("count = 8", 'file = "forget.txt"')
        .replace('name = "t5"', 'name = "popularity"')
    )
    of_t5 = {"d_model", "d_ff", "layers", "heads", "passes", "window", "batch_size"}
    rest = "\n".join(line for line in rest.splitlines() if line.partition(" =")[0] not in of_t5)
    rest = rest.replace('[[method]]\nname = "finetune"\nshare = 0.4', "")
    (board / "forget.txt").write_text("\n".join(f"zq{user:04d}zq" for user in range(5, 13)) + "\n")
    (board / "board.toml").write_text(f'{start}[dataset]\nname = "interactions"\npath = "ratings.inter"\n\n{rest}')
    done = vestige("run", board, "--out", tmp_path / "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert (tmp_path / "out" / "records" / "control-s0.json").is_file(), done.stderr
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(files) > 10
    for file in files:
        content = file.read_bytes()
        if file.suffix == ".parquet":
            content = str(pq.read_table(file).to_pydict()).encode()
        assert b"zq00" not in content, file
        assert b"private-folder" not in content, file
