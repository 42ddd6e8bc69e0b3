"""MLflow is told of a run that asks for it, in MLflow's own store; and no run is lost by it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from tests.conftest import TINY, vestige
from vestige.configs import Config
from vestige.observers.mlflow import MlflowObserver, flat, safe

TAKEN = re.compile(r"[A-Za-z0-9_\-. /]*")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A folder with a board that was run, and its cache."""
    root = tmp_path_factory.mktemp("observed")
    (root / "tiny").mkdir()
    (root / "tiny" / "board.toml").write_text(TINY)
    (root / "cache").symlink_to(shared_cache)
    done = vestige("run", "tiny", cache=root / "cache", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A store of files, where MLflow's own settings point to."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    yield MlflowClient(tracking_uri=(tmp_path / "store").as_uri())


def runs(store: MlflowClient) -> tuple[list[Run], list[Run]]:
    """Those of boards, and those of cells."""
    experiment = store.get_experiment_by_name("vestige")
    assert experiment is not None
    found = list(store.search_runs([experiment.experiment_id]))
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return parents, [run for run in found if run not in parents]


def test_a_run_that_does_not_ask_for_it_logs_nothing(place: Path, store: MlflowClient, tmp_path: Path) -> None:
    assert vestige("run", "tiny", cache=place / "cache", cwd=place).returncode == 0
    assert store.get_experiment_by_name("vestige") is None
    assert not (place / "mlruns").exists() and not (place / "mlflow.db").exists()


def test_every_cell_is_logged_with_all_that_was_measured(place: Path, store: MlflowClient, tmp_path: Path) -> None:
    done = vestige("run", "tiny", "--observer", "mlflow", cache=place / "cache", cwd=place)
    assert done.returncode == 0 and "observer" not in done.stderr, done.stderr
    (parent,), cells = runs(store)
    assert parent.info.run_name == "tiny" and parent.info.status == "FINISHED"
    assert parent.data.params["dataset.name"] == "synthetic" and parent.data.params["seeds"] == "[0]"
    out = place / "vestige-out" / "tiny"
    leaderboard = Path(store.download_artifacts(parent.info.run_id, "leaderboard.md", str(tmp_path)))
    assert leaderboard.read_bytes() == (out / "leaderboard.md").read_bytes()
    records = {f.stem: json.loads(f.read_bytes()) for f in (out / "records").glob("*-s0.json")}
    assert {run.info.run_name for run in cells} == set(records)
    for run in cells:
        record = records[str(run.info.run_name)]
        cost = json.loads((out / "records" / f"{run.info.run_name}.run.json").read_bytes())["cost"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id and run.info.status == "FINISHED"
        assert run.data.params["label"] == record["identity"]["label"] and run.data.params["seed"] == "0"
        assert run.data.params["keys.data"] == record["keys"]["data"]
        assert run.data.params["keys.roles.gold"] == record["keys"]["roles"]["gold"]
        valued = [m for m in [*record["outcome"]["measurements"], *cost] if m["value"] is not None]
        # As many as were measured: no two of them have the same name there.
        assert len(run.data.metrics) == len(valued) > 50
        assert {run.data.metrics[safe(m["metric"], m["view"])] == m["value"] for m in valued} == {True}
        kept = store.download_artifacts(run.info.run_id, f"{run.info.run_name}.json", str(tmp_path))
        assert json.loads(Path(kept).read_bytes()) == record
    finetune = next(run for run in cells if run.info.run_name == "finetune-s0")
    assert finetune.data.params["config.share"] == "0.4"
    assert "hit_at_10/forget" in finetune.data.metrics and "hit_at_10.vs_gold/forget" in finetune.data.metrics


def test_a_server_that_is_gone_costs_nothing(
    place: Path, store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = vestige("run", "tiny", "--observer", "mlflow", "--out", tmp_path / "out", cache=place / "cache", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (
        done.stderr.count("an observer failed and was ignored (vestige:observer mlflow)") == 1
    )  # and it is not tried again
    assert (tmp_path / "out" / "leaderboard.md").read_bytes() == (
        place / "vestige-out" / "tiny" / "leaderboard.md"
    ).read_bytes()


def test_what_cannot_be_switched_on_is_refused_before_anything_is_run(place: Path, tmp_path: Path) -> None:
    (tmp_path / "site" / "mlflow").mkdir(parents=True)
    (tmp_path / "site" / "mlflow" / "__init__.py").write_text("raise ImportError('there is none')")
    words = ("run", "tiny", "--out", tmp_path / "out", "--observer")
    for name, site, message in (
        ("mlfow", None, "--observer: unknown observer 'mlfow'; did you mean 'mlflow'?"),
        ("mlflow", tmp_path / "site", "MLflow is missing (there is none); run, where Vestige lies: pip"),
    ):
        done = vestige(*words, name, cache=place / "cache", cwd=place, python_path=site)
        assert done.returncode == 2 and message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@given(st.text(min_size=1), st.text())
def test_any_name_becomes_one_that_mlflow_takes(metric: str, view: str) -> None:
    assert TAKEN.fullmatch(safe(metric, view))


def test_settings_are_flat() -> None:
    values = {"seeds": [0, 1], "method": [{"name": "a"}, {"name": "b"}], "limits": {"seconds": None}}
    assert dict(flat(values)) == {"seeds": [0, 1], "method.0.name": "a", "method.1.name": "b"}


def test_where_logging_fails_what_was_begun_is_said_to_have_failed(store: MlflowClient) -> None:
    """A run that nobody ends is shown as running for ever."""
    observer = MlflowObserver(Config())
    observer.vestige_board_started("tiny", {})
    record = {
        "identity": {"label": "x", "method": None, "row": "control", "seed": 0, "dataset": {"name": "d"},
                     "recommender": {"name": "r"}},
        "keys": {}, "outcome": {"status": "ok", "measurements": [{"metric": "a", "view": "", "value": "no number"}]},
    }  # fmt: skip
    with pytest.raises(ValueError):
        observer.vestige_cell_finished("tiny", "x-s0", record, {"cost": []})
    observer.vestige_board_finished(None)  # silent from here on
    (parent,), (cell,) = runs(store)
    assert parent.info.status == cell.info.status == "FAILED"
