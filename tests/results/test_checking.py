"""Fresh against accepted results: what is compared with what, what is refused, and what is written."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.results.real import WHOLE, old_folder
from vestige.errors import InputError
from vestige.measuring.contract import PerUser
from vestige.results import compare, differences, verdict_files
from vestige.results.accepted import read_accepted, same_inputs
from vestige.results.checking import check
from vestige.results.differences import shift_of
from vestige.results.gate import Verdict
from vestige.results.sides import Basis, Side, read_side
from vestige.results.tolerances import DEFAULTS, gated

SEEDS = (0, 1, 2)


@cache
def old_side() -> Side:
    """What they say."""
    return read_side(old_folder())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(old_folder(), tmp_path / "copy"))


def edit(folder: Path, cell: str, change: Callable[[dict[str, Any]], None], run: bool = False) -> None:
    file = folder / "records" / f"{cell}{'.run' if run else ''}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def move(folder: Path, label: str, name: str, by: float, seeds: tuple[int, ...] = SEEDS) -> None:
    """Moves a measurement of a row and the values of its users, as another model would."""
    metric, _, view = name.partition("/")
    cells = [
        file.name.removesuffix(".json")
        for file in (folder / "records").glob("*.json")
        if not file.name.endswith(".run.json")
        and json.loads(file.read_text())["identity"]["label"] == label
        and json.loads(file.read_text())["identity"]["seed"] in seeds
    ]
    assert len(cells) == len(seeds)
    table = pq.read_table(folder / "per_user.parquet").to_pandas()
    rows = table["cell"].isin(cells) & (table["metric"] == metric) & (table["view"] == view)
    table.loc[rows, "value"] += by
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "per_user.parquet")

    def change(record: dict[str, Any]) -> None:
        for m in record["outcome"]["measurements"]:
            if (m["metric"], m["view"]) == (metric, view):
                m["value"] += by
                m["interval"] = m["interval"] and [bound + by for bound in m["interval"]]

    for cell in cells:
        edit(folder, cell, change)


def verdicts(fresh: Path, old: Path | None = None, **tolerance: float) -> dict[tuple[str, str], str]:
    found = check(read_side(fresh), read_side(old) if old else old_side(), tolerance)
    return {(f.comparison.label, f.comparison.name): str(f.verdict) for f in found.findings}


def test_the_same_results_pass_and_every_default_is_among_them(folder: Path) -> None:
    whole = read_side(WHOLE)
    found = check(read_side(WHOLE), whole, {})
    assert found.verdict is Verdict.PASS
    assert {f.message for f in found.findings} == {"unchanged"}
    assert not found.warnings and not found.advice and not found.lost and not found.added
    assert {f.comparison.label for f in found.findings} == set(whole.results.competing)
    assert ("finetune", "hit@10/retain") in verdicts(folder)
    assert ("dual_memory (published)", "router_auc/forget") in verdicts(folder)


def test_a_loss_of_one_row_fails_that_measurement_alone(folder: Path) -> None:
    move(folder, "finetune", "hit@10/retain", -0.05)
    failed = {key for key, verdict in verdicts(folder).items() if verdict != "PASS"}
    assert failed == {("finetune", "hit@10/retain")}
    assert set(verdicts(folder, **{"hit@10/retain": 0.06}).values()) == {"PASS"}


def test_a_gain_passes(folder: Path) -> None:
    move(folder, "finetune", "hit@10/retain", 0.05)
    assert set(verdicts(folder).values()) == {"PASS"}


@pytest.mark.parametrize(("by", "verdict"), [(0.05, "FAIL"), (-0.05, "PASS")])
def test_where_gold_is_the_target_the_distance_counts(folder: Path, by: float, verdict: str) -> None:
    move(folder, "finetune", "hit@10/forget", by)  # finetune still remembers: it is above gold
    assert verdicts(folder)["finetune", "hit@10/forget"] == verdict


def test_gold_is_not_judged_by_itself(folder: Path) -> None:
    move(folder, "retrain", "hit@10/forget", -0.15)
    assert ("retrain", "hit@10/forget") not in verdicts(folder)
    assert ("retrain", "hit@10/retain") in verdicts(folder)


def test_what_is_told_of_users_on_one_side_alone_is_compared_by_what_both_have(folder: Path) -> None:
    table = pq.read_table(folder / "per_user.parquet").to_pandas()
    gone = table["metric"] == "streisand"
    assert gone.any()
    pq.write_table(pa.Table.from_pandas(table[~gone], preserve_index=False), folder / "per_user.parquet")
    side = read_side(folder)
    some = {("finetune-s0", "streisand/forget"): np.linspace(-0.1, 0.1, 250)}
    fresh = replace(side, results=replace(side.results, replicates={**side.results.replicates, **some}))
    old = old_side()
    kept = {key: r for key, r in old.results.replicates.items() if key[1] != "streisand/forget"}
    accepted = replace(old, results=replace(old.results, replicates=kept))
    _, _, basis = shift_of(fresh, accepted, "finetune", None, "streisand/forget", [0])
    assert basis is Basis.INTERVALS


def test_where_gold_was_trained_anew_differences_to_gold_are_compared(folder: Path) -> None:
    """Every row falls with gold: nothing is lost against it. Gold's own row says that the recommender got worse."""
    for label in ("do_nothing", "retrain", "finetune", "dual_memory (published)"):
        move(folder, label, "hit@10/retain", -0.05)
    assert verdicts(folder)["finetune", "hit@10/retain"] == "FAIL"

    def anew(record: dict[str, Any]) -> None:
        record["keys"]["roles"]["gold"] = "another"

    for file in (folder / "records").glob("*-s?.json"):
        edit(folder, file.stem, anew)
    found = {key: v for key, v in verdicts(folder).items() if key[1] == "hit@10/retain"}
    assert found["retrain", "hit@10/retain"] == "FAIL"
    assert {v for (label, _), v in found.items() if label != "retrain"} == {"PASS"}


def test_cells_that_are_missing_or_fail_are_failures(folder: Path) -> None:
    for end in ("", ".run"):
        (folder / "records" / f"recheck-s1{end}.json").unlink()

    def fail(record: dict[str, Any]) -> None:
        record["outcome"] |= {"status": "oom", "message": "too \x1b[1mlarge", "measurements": []}

    edit(folder, "finetune-s2", fail)
    found = check(read_side(folder), old_side(), {})
    assert found.verdict is Verdict.FAIL
    assert {(lost.label, lost.seed) for lost in found.lost} == {("recheck", 1), ("finetune", 2)}
    root = ElementTree.fromstring(verdict_files.junit(found))
    failed = {(case.get("classname"), case.get("name")) for case in root.iterfind(".//testcase[failure]")}
    assert failed == {("ml-100k.recheck", "seed 1"), ("ml-100k.finetune", "seed 2")}


def test_a_measurement_that_is_gone_is_a_failure(folder: Path) -> None:
    def drop(record: dict[str, Any]) -> None:
        kept = [m for m in record["outcome"]["measurements"] if m["metric"] != "auc_calibrated"]
        record["outcome"]["measurements"] = kept

    edit(folder, "finetune-s1", drop)
    assert verdicts(folder)["finetune", "auc_calibrated/forget"] == "FAIL"


def about(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "board.json").read_text())
    change(content)
    (folder / "board.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a["attacked_by"]["attacks"].pop(), "is not made any more"),
        (
            lambda a: a["attacked_by"]["attacks"][1]["config"].update(decoy_share=0.9),
            "the attack evasion is set differently",
        ),
        (lambda a: a["attacked_by"]["attacks"].append({"name": "new", "config": {}}), "the attack new is new"),
        (lambda a: a["attacked_by"].update(shadows=None), "shadow models: "),
    ],
    ids=["gone", "set", "new", "shadows"],
)
def test_the_worst_of_other_attacks_is_another_thing(folder: Path, change: Any, said: str) -> None:
    """A method is not safer because the attack that found something is not made any more."""
    about(folder, change)
    found = check(read_side(folder), old_side(), {})
    assert any(said in warning for warning in found.warnings)
    failed = {(f.comparison.name) for f in found.of(Verdict.FAIL)}
    # Shadow models tell who was forgotten; they bring nothing back.
    assert failed == (set() if said == "shadow models: " else {"recovery_api/forget", "recovery_weights/forget"})
    assert all("accept anew" in f.message for f in found.of(Verdict.FAIL))
    private = check(read_side(folder), old_side(), {"privacy_api": 0.1})
    assert "privacy_api" in {f.comparison.name for f in private.of(Verdict.FAIL)}


def test_a_direction_that_was_turned_round_is_not_compared(folder: Path) -> None:
    def turned(record: dict[str, Any]) -> None:
        for m in record["outcome"]["measurements"]:
            if (m["metric"], m["view"]) == ("hit@10", "retain"):
                m["better"] = "none"

    for seed in SEEDS:
        edit(folder, f"finetune-s{seed}", turned)
    for fresh, old in ((folder, old_folder()), (old_folder(), folder)):
        assert verdicts(fresh, old)["finetune", "hit@10/retain"] == "FAIL"


def test_a_tolerance_that_nothing_is_judged_by_is_said() -> None:
    side = old_side()
    said = check(side, side, {"distance/retain": 0.1, "ks_p": 0.1, "hit@10": 0.02}).warnings
    assert said == (
        "the tolerance of distance/retain is for nothing that is measured here",
        "the tolerance of ks_p says nothing: neither way of it is the better one",
    )


def in_steps(folder: Path, steps: int = 2, leave: tuple[tuple[str, int], ...] = ()) -> None:
    """The results as those of a stream, in which every step came out alike; without (cell, step) of `leave`."""
    records = folder / "records"
    for file in sorted(records.glob("*-s?.json")):
        record, run = (json.loads(f.read_text()) for f in (file, file.with_suffix(".run.json")))
        for step in range(1, steps + 1):
            end = "" if step == steps else f"-step{step}"
            record["identity"] |= {"step": step, "cell": file.stem.partition("-step")[0] + end}
            run["cell"] = record["identity"]["cell"]
            if (file.stem, step) not in leave:
                (records / f"{run['cell']}.json").write_text(json.dumps(record))
                (records / f"{run['cell']}.run.json").write_text(json.dumps(run))
        if (file.stem, steps) in leave:
            file.unlink()
            file.with_suffix(".run.json").unlink()
    about(folder, lambda a: a.update(steps=steps))


def test_every_step_of_a_stream_must_be_there(folder: Path, tmp_path: Path) -> None:
    in_steps(folder)
    fresh = Path(shutil.copytree(folder, tmp_path / "fresh"))
    read_accepted(folder, "ml-100k", SEEDS)
    assert check(read_side(fresh), read_side(folder), {}).verdict is Verdict.PASS
    for end in ("", ".run"):
        (fresh / "records" / f"retrain-s1-step1{end}.json").unlink()
    edit(
        fresh, "finetune-s0-step1", lambda r: r["outcome"].update(status="measure_error", message="m", measurements=[])
    )
    found = check(read_side(fresh), read_side(folder), {})
    assert {(lost.label, lost.seed) for lost in found.lost} == {("retrain", 1), ("finetune", 0)}
    assert "step 1: measure_error: m" in {lost.reason for lost in found.lost}
    with pytest.raises(InputError, match=r"of '(finetune|retrain)', seed ., step 1"):
        read_accepted(fresh, "ml-100k", SEEDS)


def test_accepted_results_of_a_stream_without_its_end(folder: Path) -> None:
    in_steps(folder, leave=(("finetune-s0", 2),))
    with pytest.raises(InputError, match="there is no record of 'finetune', seed 0, step 2"):
        read_accepted(folder, "ml-100k", SEEDS)


def test_both_ways_round_differences_are_as_sure(folder: Path) -> None:
    """One side tells how far retrainings lie apart, the other does not: which is named first must not matter."""
    move(folder, "finetune", "hit@10/retain", -0.01)
    for cell in ("control", "recheck"):
        for file in (folder / "records").glob(f"{cell}-s?*"):
            file.unlink()
    ways = [compare.compare(old_folder(), folder), compare.compare(folder, old_folder())]
    one, other = (next(c for c in way if c.rows[0] == "finetune" and c.name == "hit@10/retain").shift for way in ways)
    assert one.mean == pytest.approx(-0.01) == -other.mean
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert one.interval[1] - one.interval[0] > 0.002, "users alone would tell as much: each moved by the same"


def test_the_same_retrainings_on_both_sides_tell_no_more_than_on_one(folder: Path) -> None:
    """One method was changed; gold, control and recheck are the stored ones."""
    move(folder, "finetune", "hit@10/retain", -0.01)
    both = compare.compare(old_folder(), folder)
    one = next(c for c in both if c.rows[0] == "finetune" and c.name == "hit@10/retain").shift
    alone = differences.noise_floor(old_side(), "hit@10/retain", "higher", SEEDS)
    assert one.floor == alone.times(2)


def test_other_machines_versions_and_settings_are_warnings_and_costs_are_advice(folder: Path) -> None:
    def elsewhere(run: dict[str, Any]) -> None:
        run["provenance"]["processor"] = "another"
        run["provenance"]["libraries"]["torch"] = "9.9"
        for m in run["cost"]:
            if m["metric"] == "seconds":
                m["value"] *= 3

    def set_differently(record: dict[str, Any]) -> None:
        record["identity"]["method"]["version"] = "2"
        record["identity"]["method"]["config"]["share"] = 0.9

    for seed in SEEDS:
        edit(folder, f"finetune-s{seed}", elsewhere, run=True)
        edit(folder, f"finetune-s{seed}", set_differently)
    found = check(read_side(folder), old_side(), {})
    assert found.verdict is Verdict.PASS
    text = "\n".join(found.warnings)
    then = json.loads((old_folder() / "records" / "finetune-s0.run.json").read_text())["provenance"]
    assert f"processor: {then['processor']} → another" in text
    assert f"torch: {then['libraries']['torch']} → 9.9" in text
    assert "method of finetune: " in text and " → 2" in text
    assert "method of finetune is set differently: share" in text
    assert len(found.advice) == 1 and "3.0 times" in found.advice[0]


def test_a_value_that_should_be_the_same_is_pointed_at(folder: Path) -> None:
    def edited(record: dict[str, Any]) -> None:
        next(m for m in record["outcome"]["measurements"] if m["metric"] == "auc_raw")["value"] = 0.5

    edit(folder, "finetune-s0", edited)
    found = check(old_side(), read_side(folder), {})
    assert any("auc_raw/forget should be the same" in warning for warning in found.warnings)


def test_values_without_users_are_compared_by_intervals_where_no_replicates_were_kept(folder: Path) -> None:
    (folder / "bootstrap.parquet").unlink(missing_ok=True)
    side = read_side(folder)
    assert Basis.USERS in side.bases("finetune", "hit@10/retain", 0)
    assert side.bases("finetune", "auc_calibrated/forget", 0) == {Basis.INTERVALS, Basis.SEEDS}
    number = side.number("finetune", "auc_calibrated/forget", 0, Basis.INTERVALS, 4, 2)
    m = side.find("finetune", "auc_calibrated/forget", 0)
    assert m is not None and m[1].interval is not None
    assert 2 * 1.96 * number.errors[2] == pytest.approx(m[1].interval[1] - m[1].interval[0], rel=1e-3)


def test_errors_of_users_give_the_width_of_the_stated_interval() -> None:
    """The bootstrap's interval and the sandwich estimate of the same mean."""
    side = old_side()
    number = side.number("finetune", "hit@10/retain", 0, Basis.USERS, side.size("hit@10/retain", Basis.USERS), 0)
    found = side.find("finetune", "hit@10/retain", 0)
    assert found is not None and found[1].interval is not None
    width = found[1].interval[1] - found[1].interval[0]
    assert 2 * 1.96 * float((number.errors**2).sum()) ** 0.5 == pytest.approx(width, rel=0.08)


def test_the_error_of_a_mean_over_queries_is_not_read_off_users_alone() -> None:
    """Thirty items, one of which has four fifths of the queries: its fate is the mean's, as no item's value tells."""
    name, cell = "hit@10/forget", "finetune-s0"
    side = old_side()
    found = side.find("finetune", name, 0)
    assert found is not None and found[1].value is not None
    items, value = np.arange(30), found[1].value
    values = np.where(items == 0, value * 1.2, value * 0.2)
    noise = 0.05 * np.random.default_rng(0).standard_normal(250)
    kept = {**side.results.replicates, (cell, name): value + noise}
    uneven = replace(
        side,
        per_user={**side.per_user, (cell, name): PerUser(items, values)},
        results=replace(side.results, replicates=kept),
    )
    best = differences._best([(uneven, "finetune", 0)], name)
    number = uneven.number("finetune", name, 0, best, uneven.size(name, best), 0)
    assert float((number.errors**2).sum()) ** 0.5 == pytest.approx(0.05, rel=0.15)
    even = replace(uneven, per_user={**side.per_user, (cell, name): PerUser(items, np.full(30, value))})
    assert differences._best([(even, "finetune", 0)], name) is Basis.USERS
    # Where one side kept no replicates, users are paired all the same: of intervals nothing would be sure.
    unkept = replace(uneven, results=side.results)
    assert differences._best([(unkept, "finetune", 0), (uneven, "finetune", 0)], name) is Basis.USERS


def test_a_gold_that_does_not_beat_the_popularity_list_any_more_fails(folder: Path) -> None:
    move(folder, "popularity", "hit@10/retain", 0.3)
    found = check(read_side(folder), old_side(), {})
    assert {f.verdict for f in found.findings} == {Verdict.PASS}  # no row is worse than it was
    assert found.invalid is not None and found.verdict is Verdict.FAIL
    suite = ElementTree.fromstring(verdict_files.junit(found))[0]
    assert suite.get("failures") == "1" == str(len(suite.findall("testcase/failure")))
    assert suite.get("tests") == str(len(suite))
    # Where it was so when it was accepted, nothing has become worse.
    same = check(read_side(folder), read_side(folder), {})
    assert same.invalid is not None and same.verdict is Verdict.PASS
    assert "So it was when it was accepted." in verdict_files.markdown(same)


def test_a_board_whose_cells_all_failed_fails(folder: Path) -> None:
    (folder / "per_user.parquet").unlink()  # as a run leaves it that has measured nothing
    (folder / "bootstrap.parquet").unlink()
    cells = [f.name.removesuffix(".json") for f in (folder / "records").glob("*.json") if "run" not in f.name]
    for cell in cells:
        edit(folder, cell, lambda r: r["outcome"].update(status="method_error", message="broken", measurements=[]))
    found = check(read_side(folder), old_side(), {})
    assert found.verdict is Verdict.FAIL
    assert len(found.lost) == len(cells)
    assert "broken" in verdict_files.markdown(found)


def test_a_boards_tolerances_override_and_add() -> None:
    results = old_side().results
    assert gated(results, {})["hit@10/retain"] == 0.01
    own = gated(results, {"hit@10/retain": 0.5, "ks/forget": 0.1, "popularity@10": 0.2, "hit@10/affected": 0.1})
    assert own["hit@10/retain"] == 0.5
    assert own["ks/forget"] == 0.1
    assert own["popularity@10/retain"] == 0.2  # a metric without a view stands for all of them
    assert "ndcg@10/retain" not in gated(results, {"ndcg@10/retain": float("inf")})
    assert "hit@10/affected" not in own  # nothing of the kind was measured
    assert "popularity@10/retain" not in gated(results, {})


def test_every_default_says_why_and_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "gate.md").read_text()
    for entry in DEFAULTS:
        assert entry.reason.endswith(".")
        name = "headline AUC" if entry.name == "{auc}" else f"`{entry.name.replace('{k}', 'k')}`"
        assert f"| {name} | {entry.tolerance:g} |" in page, entry.name


# -- what is refused --------------------------------------------------------------------------------------------------


def test_accepted_results_of_another_schema_version(folder: Path) -> None:
    edit(folder, "finetune-s0", lambda record: record.update(schema_version=0))
    with pytest.raises(InputError, match=r"finetune-s0.json: its schema version is 0, but this Vestige reads 1"):
        read_accepted(folder, "ml-100k", SEEDS)


def test_accepted_results_of_which_something_is_lost(folder: Path, tmp_path: Path) -> None:
    """As a merge leaves them that took one side: whatever is not there would not be judged."""
    copies = [Path(shutil.copytree(folder, tmp_path / str(number))) for number in range(4)]
    for end in ("", ".run"):
        (copies[0] / "records" / f"finetune-s1{end}.json").unlink()
    edit(copies[1], "finetune-s1", lambda r: r["outcome"].update(status="oom", message="m"))
    about(copies[2], lambda a: a["labels"].remove("finetune"))
    table = pq.read_table(copies[3] / "per_user.parquet").to_pandas()
    gone = (table["metric"] == "hit@10") & (table["view"] == "retain")
    pq.write_table(pa.Table.from_pandas(table[~gone], preserve_index=False), copies[3] / "per_user.parquet")
    for copy, said in zip(
        copies,
        [
            "no record of 'finetune', seed 1",
            "a cell that failed",
            "labels: 'finetune' is missing",
            "no values of the users of",
        ],
        strict=True,
    ):
        with pytest.raises(InputError, match=said):
            read_accepted(copy, "ml-100k", SEEDS)


def test_numbers_that_are_not_finite_are_not_read(folder: Path) -> None:
    """One of them would make every other comparison seem unsure: Holm takes the largest p."""
    table = pq.read_table(folder / "per_user.parquet").to_pandas()
    table.loc[table.index[7], "value"] = np.nan
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "per_user.parquet")
    with pytest.raises(InputError, match=r"per_user\.parquet: a (value is not finite|field is missing)"):
        read_side(folder)
    shutil.copy(old_folder() / "per_user.parquet", folder)
    kept = pq.read_table(folder / "bootstrap.parquet")
    rows = kept["replicates"].to_pylist()
    rows[3][5] = float("nan")
    spoilt = kept.set_column(
        kept.schema.get_field_index("replicates"), "replicates", pa.array(rows, pa.list_(pa.float32()))
    )
    pq.write_table(spoilt, folder / "bootstrap.parquet")
    with pytest.raises(InputError, match="all finite"):
        read_side(folder)


@pytest.mark.parametrize(
    ("steps", "said"), [("2", "steps: input should be a valid integer"), (3, "no records of such a step")]
)
def test_steps_that_are_none(folder: Path, steps: Any, said: str) -> None:
    about(folder, lambda a: a.update(steps=steps))
    with pytest.raises(InputError, match=said):
        read_side(folder)


def test_accepted_results_of_other_seeds_or_boards(folder: Path) -> None:
    with pytest.raises(InputError, match=r"of the seeds \[0, 1, 2\], but the board has \[0, 1\]"):
        read_accepted(folder, "ml-100k", (0, 1))
    with pytest.raises(InputError, match="of ml-100k, not of other"):
        read_accepted(folder, "other", SEEDS)


def test_a_board_without_accepted_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no accepted results; run it, and make them the accepted ones"):
        read_accepted(tmp_path / "accepted", "any", (0,))
    (tmp_path / "accepted" / "records").mkdir(parents=True)
    with pytest.raises(InputError, match="there are no records here"):
        read_accepted(tmp_path / "accepted", "any", (0,))


@pytest.mark.parametrize(
    ("name", "by"),
    [("hit@10/retain", 0.02), ("ndcg@10/retain", 0.0005), ("hit@10/forget", -0.05), ("distance/forget", -0.1)],
)
def test_a_value_edited_by_hand(folder: Path, name: str, by: float) -> None:
    metric, _, view = name.partition("/")

    def edited(record: dict[str, Any]) -> None:
        for m in record["outcome"]["measurements"]:
            if (m["metric"], m["view"]) == (metric, view):
                m["value"] += by

    read_accepted(folder, "ml-100k", SEEDS)
    edit(folder, "dual-memory-published-s1", edited)
    with pytest.raises(InputError, match=rf"dual-memory-published-s1.json: {name} is .* not edited by hand"):
        read_accepted(folder, "ml-100k", SEEDS)


def test_values_of_users_that_are_missing(folder: Path) -> None:
    (folder / "per_user.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match=r"per_user.parquet: cannot be read"):
        read_accepted(folder, "ml-100k", SEEDS)


def test_other_data_or_another_request() -> None:
    side = old_side()
    keys = {i.record.identity.seed: (i.record.keys["data"], i.record.keys["split"]) for i in side.results.finished}
    same_inputs(side, keys)
    with pytest.raises(InputError, match="of other data than the board's"):
        same_inputs(side, {**keys, 1: ("x", keys[1][1])})
    with pytest.raises(InputError, match="another request or holdout"):
        same_inputs(side, {**keys, 2: (keys[2][0], "x")})


# -- compare ----------------------------------------------------------------------------------------------------------


def test_compare_counts_users(folder: Path) -> None:
    move(folder, "finetune", "hit@10/retain", -0.05)
    found = {(c.rows[0], c.name): c for c in compare.compare(old_folder(), folder)}
    moved = found["finetune", "hit@10/retain"]
    assert moved.shift.mean == pytest.approx(-0.05)
    assert moved.counts == (0, 3 * 743, 0)
    same = found["retrain", "hit@10/retain"]
    assert same.counts == (0, 0, 3 * 743) and same.shift.interval == (0.0, 0.0)
    assert "| finetune" in compare.markdown(list(found.values()))


def test_compare_rows_is_antisymmetric() -> None:
    there = compare.compare_rows(old_folder(), ("finetune", "do_nothing"))
    back = compare.compare_rows(old_folder(), ("do_nothing", "finetune"))
    for one, other in zip(there, back, strict=True):
        assert one.shift.mean == pytest.approx(-other.shift.mean)
        assert one.counts is None or one.counts[:2] == other.counts[1::-1]  # type: ignore[index]


def test_what_cannot_be_compared_is_one_sentence(folder: Path) -> None:
    with pytest.raises(InputError, match="unknown row 'finetun'; did you mean 'finetune'"):
        compare.compare_rows(folder, ("finetun", "retrain"))
    with pytest.raises(InputError, match="compared with itself"):
        compare.compare_rows(folder, ("retrain", "retrain"))
    with pytest.raises(InputError, match=r"neither fresh results in .* nor accepted ones"):
        compare.results_folder("smoke", folder / "nowhere")
    for part, message in (("data", "they are of other data"), ("split", "another request or holdout")):
        for file in (folder / "records").glob("*-s0.json"):
            edit(folder, file.stem, lambda record, part=part: record["keys"].update({part: "x"}))  # type: ignore[misc]
        with pytest.raises(InputError, match=message):
            compare.compare(old_folder(), folder)
        shutil.rmtree(folder)
        shutil.copytree(old_folder(), folder)

    def seeded(record: dict[str, Any]) -> None:
        record["identity"]["seed"] += 7

    for file in (folder / "records").glob("*-s?.json"):
        edit(folder, file.stem, seeded)
    with pytest.raises(InputError, match="no seed in common"):
        compare.compare(old_folder(), folder)
    shutil.rmtree(folder)
    shutil.copytree(old_folder(), folder)

    def renamed(record: dict[str, Any]) -> None:
        record["identity"]["label"] += " of another board"

    for file in (folder / "records").glob("*-s?.json"):
        edit(folder, file.stem, renamed)
    about = json.loads((folder / "board.json").read_text())
    about["labels"] = [f"{label} of another board" for label in about["labels"]]
    (folder / "board.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="no row in common"):
        compare.compare(old_folder(), folder)
