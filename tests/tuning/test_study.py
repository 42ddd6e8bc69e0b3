"""A board takes its settings from a study, and refuses one that is not of what it runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY
from tests.results.made import results
from vestige import plugins
from vestige.configs import Config
from vestige.data.request import Part
from vestige.errors import InputError
from vestige.pipeline import board as boards
from vestige.pipeline import tuning
from vestige.pipeline.inputs import load_data, load_split, prepare
from vestige.pipeline.plan import plan
from vestige.pipeline.store import Store
from vestige.pipeline.study import Study, Trial, defaults, dump, read
from vestige.results.collect import about_of
from vestige.results.tables import markdown
from vestige.results.tuned import about_study, summary, trial_rows
from vestige.search import to_json
from vestige.specs import MethodSpec

PLUGINS = plugins.load()
NPO = PLUGINS.get(MethodSpec, "npo")
SETTINGS = {"learning_rate": 2e-4, "beta": 0.7, "retain_weight": 2.0, "steps": 120}
OWN = {"learning_rate": 5e-4, "beta": 0.5, "retain_weight": 1.0, "steps": 200}
USING = TINY + '\n[[method]]\nname = "npo"\ntuned = "tuning/npo.json"\n'

Edit = Callable[[dict[str, Any]], object]


def board_with(folder: Path, text: str = USING, edit: Edit | None = None, **more: Any) -> boards.Board:
    """A board in `folder` and, beside it, a study of npo that was made on it, edited."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "board.toml").write_text(text)
    plain = boards.load(str(folder), PLUGINS, tuned=False)
    trials = (
        Trial(number=0, settings=OWN, score=0.4, fidelity=0.3, utility=0.6, seconds=2.0, flops=10.0),
        Trial(number=1, settings=SETTINGS, score=0.7, fidelity=0.7, utility=0.7, seconds=3.0, flops=20.0),
        Trial(number=2, settings=OWN, status="method_error", message="FloatingPointError: nan", seconds=1.0),
    )
    study = Study(
        board="tiny",
        method=tuning.describe_portably(NPO, NPO.config()),
        distribution="vestige",
        distribution_version="0",
        preset=None,
        dataset=tuning.describe_portably(plain.dataset.spec, plain.dataset.config),
        request=plain.config.request.model_dump(mode="json"),
        holdout=plain.config.holdout.model_dump(mode="json"),
        recommender=tuning.describe_portably(plain.recommender.spec, plain.recommender.config),
        seeds=(1,),
        budget=3,
        objective="x",
        sampler="x",
        space=to_json(NPO.search),
        trials=trials,
        best=1,
        settings=SETTINGS,
        seconds=6.0,
        flops=None,
        retrain_seconds=12.0,
        roles_seconds=40.0,
    )
    content = json.loads(dump(study))
    if edit:
        edit(content)
    (folder / "tuning").mkdir(exist_ok=True)
    (folder / "tuning" / "npo.json").write_text(json.dumps(content))
    return boards.load(str(folder), PLUGINS, **more)


def test_a_row_has_the_settings_of_its_study_and_the_boards_own_win(tmp_path: Path) -> None:
    method = board_with(tmp_path / "b").methods[-1]
    assert method.config == NPO.config(**SETTINGS)
    text = USING + "beta = 3.0\nbatch_size = 7\n"
    method = board_with(tmp_path / "b", text).methods[-1]
    assert method.config == NPO.config(**{**SETTINGS, "beta": 3.0, "batch_size": 7})


def test_its_cells_are_those_of_a_row_with_these_settings(tmp_path: Path, shared_cache: Path) -> None:
    """Where settings come from is no part of a key, and of a record neither."""
    store = Store(shared_cache / "store")
    written = "".join(f"{name} = {value}\n" for name, value in SETTINGS.items())
    boards_ = [
        board_with(tmp_path / "tiny"),
        board_with(tmp_path / "other" / "tiny", USING.replace('tuned = "tuning/npo.json"\n', written)),
    ]
    assert boards_[0].methods[-1].study and not boards_[1].methods[-1].study
    one, other = (plan(b, PLUGINS, prepare(b, store)) for b in boards_)
    assert [job.key for job in one.jobs] == [job.key for job in other.jobs]


def test_a_study_is_found_from_the_board_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board_with(tmp_path / "below")
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "board.toml").write_text('extends = "../below"\ntitle = "Above"\n')
    monkeypatch.chdir("/")
    assert boards.load(str(tmp_path / "above"), PLUGINS).methods[-1].config == NPO.config(**SETTINGS)
    (tmp_path / "above" / "board.toml").write_text('extends = "../below"\ntitle = "Above"\n[recommender]\npasses = 9\n')
    with pytest.raises(InputError, match=r"a study with another \[recommender\]"):
        boards.load(str(tmp_path / "above"), PLUGINS)


def setting(*path: str | int, to: Any) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        inside: Any = content
        for part in path[:-1]:
            inside = inside[part]
        inside[path[-1]] = to

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (setting("method", "name", to="simnpo"), "is a study of 'simnpo', but this row is 'npo'"),
        (setting("preset", to="strong"), "is a study of 'npo:strong', but this row is 'npo'"),
        (setting("dataset", "config", "users", to=61), r"with another \[dataset\] than the board's"),
        (setting("dataset", "name", to="ml-100k"), r"with another \[dataset\]"),
        (setting("request", "count", to=9), r"with another \[request\]"),
        (setting("request", "count", to=-1), r"with another \[request\]"),
        (setting("holdout", "rule", to="temporal"), r"with another \[holdout\]"),
        (setting("recommender", "config", "passes", to=9), r"with another \[recommender\]"),
        (setting("seeds", to=[3, 0]), "on the seed 0, which is one of the board's"),
        (setting("schema_version", to=2), "its schema version is 2, but this Vestige reads 1"),
        (setting("settings", "beta", to=9.0), "must be those of the trial with the highest score"),
        (setting("trials", 0, "score", to=0.9), "must be those of the trial with the highest score"),
        (setting("trials", 0, "scoer", to=0.9), "this is no study"),
        (setting("surprise", to=1), "this is no study"),
    ],
)
def test_a_study_of_something_else_is_refused_in_a_sentence(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        board_with(tmp_path / "b", edit=edit)
    assert "npo.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_study_of_a_board_before_a_setting_existed_is_still_of_it(tmp_path: Path) -> None:
    def older(content: dict[str, Any]) -> None:
        del content["recommender"]["config"]["amp"], content["request"]["missing"], content["dataset"]["config"]["seed"]

    assert board_with(tmp_path / "b", edit=older).methods[-1].config == NPO.config(**SETTINGS)


def test_a_study_without_a_good_trial_a_missing_one_and_a_broken_one(tmp_path: Path) -> None:
    def failed(content: dict[str, Any]) -> None:
        for trial in content["trials"]:
            trial |= {"score": None, "status": "oom"}
        content |= {"best": None, "settings": {}}

    with pytest.raises(InputError, match="whose trials all failed"):
        board_with(tmp_path / "b", edit=failed)
    file = tmp_path / "b" / "tuning" / "npo.json"
    file.write_text("{")
    with pytest.raises(InputError, match="this is no study"):
        boards.load(str(tmp_path / "b"), PLUGINS)
    file.unlink()
    with pytest.raises(InputError, match="there is no such study; `vestige tune` writes one"):
        boards.load(str(tmp_path / "b"), PLUGINS)
    assert boards.load(str(tmp_path / "b"), PLUGINS, tuned=False).methods[-1].config == NPO.config()


def test_a_run_on_a_seed_of_the_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="on the seed 1, which is one of the board's"):
        board_with(tmp_path / "b", seeds=(1,))


def listed(study: dict[str, Any]) -> None:
    """As if it had been made on a board of a list."""
    study["request"] = {"file": "forget.txt"}
    study["list_digest"] = "0" * 64


def test_the_tables_say_how_a_row_was_tuned_and_others_say_nothing(tmp_path: Path) -> None:
    (kept,) = about_of(board_with(tmp_path / "c", USING), ())["tuned"]
    assert kept["set"] == []
    (kept,) = about_of(board_with(tmp_path / "d", USING + "batch_size = 7\n"), ())["tuned"]
    assert kept["set"] == ["batch_size"] and kept["settings"] == SETTINGS
    board = board_with(tmp_path / "b", USING + "beta = 3.0\n")
    about = about_of(board, ())
    (kept,) = about["tuned"]
    assert (kept["trials"], kept["failed"], kept["default"], kept["chosen"]) == (3, 1, 0.4, 0.7)
    assert kept["settings"]["beta"] == 3.0 and kept["set"] == ["beta"]
    assert kept["versions"] == [NPO.version, NPO.version]
    made = results({"npo": {"hit@10/retain": (0.2, 0.01)}, "do_nothing": {"hit@10/retain": (0.2, 0.01)}})
    made.about["tuned"] = about["tuned"]  # type: ignore[index]
    text = markdown(made)
    row = next(line for line in text.splitlines() if "3 (1 failed)" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:7] == ["npo", "3 (1 failed)", "6.0", "0.50", "0.4000", "0.7000", "1"]
    assert cells[7] == "learning_rate 0.0002, beta 3, retain_weight 2, steps 120; set by the board: beta"
    made.about["tuned"] = [{**about["tuned"][0], "versions": ["1", "3"]}]  # type: ignore[index]
    assert "set by the board: beta; tuned as version 1, run as 3" in markdown(made)
    board_of_list = board_with(tmp_path / "l", USING.replace("count = 8", 'file = "users.txt"'), listed)
    made.about["tuned"] = about_of(board_of_list, ())["tuned"]  # type: ignore[index]
    assert "steps 120; tuned on another list |" in markdown(made) and "another list" not in text
    assert text.index("Change against base") < text.index("How rows were tuned") < text.index("How to read this")
    assert "tuned" not in about_of(boards.load("smoke", PLUGINS), ())
    del made.about["tuned"]  # type: ignore[attr-defined]
    assert "tuned" not in markdown(made).partition("## How to read")[0]


class Demanding(Config):
    """Settings of which one has no default."""

    strength: float
    steps: int = 3


def test_a_row_of_a_plugin_with_a_setting_that_must_be_said_is_told_too(tmp_path: Path) -> None:
    """It is said at the end of a run, where all that was computed would be lost to a fault."""
    board = board_with(tmp_path / "b")
    row = board.methods[-1]
    assert row.study is not None
    study = row.study.model_copy(
        update={"settings": {"steps": 5}, "method": row.study.method.model_copy(update={"config": {"strength": 2.0}})}
    )
    spec = replace(NPO, config=Demanding)
    assert defaults(spec) == {"steps": 3}
    for strength, said in ((2.0, []), (1.0, ["strength"])):
        about = about_study(replace(row, spec=spec, config=Demanding(strength=strength, steps=5), study=study))
        assert about["set"] == said
        assert about["settings"] == {"steps": 5}


def test_a_study_is_told_in_a_table_and_sentences(tmp_path: Path) -> None:
    board_with(tmp_path / "b")
    study = read(tmp_path / "b" / "tuning" / "npo.json")
    rows = trial_rows(study)
    assert [row[0] for row in rows] == ["0", "1 ★", "2"]
    assert rows[1][1:5] == ["0.7000", "0.7000", "0.7000", "3.0"] and rows[2][1] == "method_error"
    assert summary(study) == [
        "trial 2: method_error: FloatingPointError: nan",
        "npo: trial 1 scores 0.7000, its own settings 0.4000.",
        "The trials took 6.0 s, retraining 12.0 s (0.50 of it); seed 1.",
    ]


def test_the_seeds_of_a_study_are_none_of_the_boards(tmp_path: Path) -> None:
    board = board_with(tmp_path / "b", TINY.replace("seeds = [0]", "seeds = [0, 1, 3]"))
    assert tuning.free_seeds(board, None) == (2,)
    assert tuning.free_seeds(board, (7, 5)) == (7, 5)
    with pytest.raises(InputError, match=r"--seed 3: it is one of the board's \(0, 1, 3\).*such as 2"):
        tuning.free_seeds(board, (5, 3))
    with pytest.raises(InputError, match="every seed must stand once"):
        tuning.free_seeds(board, (5, 5))


def test_of_a_request_that_is_a_list_another_list_is_forgotten(tmp_path: Path, shared_cache: Path) -> None:
    """A list names the same on every seed, and settings are not chosen on what they are judged by."""
    store = Store(shared_cache / "store")
    board = board_with(tmp_path / "b", TINY.replace("count = 8", 'file = "users.txt"'))
    (tmp_path / "b" / "users.txt").write_text("3\n5\n17\n")
    studied, ran = prepare(tuning.tuning_board(board, PLUGINS, (1,)), store), prepare(board, store)
    one, other = (load_split(store, of.split_key).forget_users for of in (*studied.values(), *ran.values()))
    names = load_data(store, ran[0].content_hash).user_ids
    assert names[other].tolist() == ["3", "5", "17"] and not {*names[one].tolist()} & {"3", "5", "17"}
    drawn = board_with(tmp_path / "c", TINY)
    assert not tuning.tuning_board(drawn, PLUGINS, (1,)).stand_in_for


def test_a_study_shares_the_boards_trainings_and_nothing_else(tmp_path: Path, shared_cache: Path) -> None:
    """Roles are trained under the same keys as a run on that seed; whatever asks is asked apart, and only there."""
    store = Store(shared_cache / "store")
    text = TINY.replace("recheck = false", "swap = true").replace("names = []", 'names = ["evasion"]')
    board = board_with(tmp_path / "b", text + "\n[shadows]\ncount = 2\n")
    own = tuning.tuning_board(board, PLUGINS, (1,))
    study = plan(own, PLUGINS, prepare(own, store), held_out=Part.VALIDATION)
    ran = boards.load(str(tmp_path / "b"), PLUGINS, seeds=(1,))
    usual = plan(ran, PLUGINS, prepare(ran, store))
    trained = {job.key for job in study.jobs if job.stage == "train"}
    assert len(trained) == 4 and trained < {job.key for job in usual.jobs if job.stage == "train"}
    assert {job.stage for job in study.jobs} == {"train", "score", "measure"}
    asking = [job for job in study.jobs if "views" in job.payload]
    assert asking and all(job.payload["views"]["held_out"] == "VALIDATION" for job in asking)
    assert all("held_out" not in job.payload.get("views", {}) for job in usual.jobs)
    assert not {job.key for job in asking} & {job.key for job in usual.jobs}
