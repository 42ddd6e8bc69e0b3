"""What a trial is judged by and what it is said to have cost."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vestige.pipeline import tuning


class Kept:
    """A store of given costs and scores, by key."""

    def __init__(self, folder: Path, seconds: dict[str, float], scores: dict[str, float]) -> None:
        self.folder, self.seconds, self.made = folder, seconds, {}  # type: ignore[var-annotated]
        for key, score in scores.items():
            values = {"tuning_score": score, "tuning_fidelity": score, "tuning_utility": score}
            (folder / key).mkdir()
            rows = [{"metric": name, "value": value, "note": ""} for name, value in values.items()]
            (folder / key / "measurements.json").write_text(json.dumps(rows))

    def require(self, stage: str, key: str) -> Any:
        return SimpleNamespace(
            folder=self.folder / key, meta={"cost": {"seconds": self.seconds.get(key), "flops": self.seconds.get(key)}}
        )

    def make(self, stage: str, key: str, write: Any) -> None:
        self.made[key] = write(self.folder)


def cell(step: int, last: bool) -> Any:
    """After a step of a stream: a result of its own, a base that was trained once, and a gold of its own."""
    roles = {
        "base": {"stage": "train", "key": "base", "scores": "base scores", "board": {}},
        "gold": {"stage": "train", "key": f"gold {step}", "scores": f"gold {step} scores", "board": {}},
        "popularity": {"stage": "train", "key": "popularity", "scores": "popularity scores"},
    }
    subject = {"stage": "unlearn", "key": f"result {step}", "scores": f"result {step} scores"}
    job = SimpleNamespace(id=("measure", f"m{step}"), key=f"m{step}", payload={"subject": subject, "roles": roles})
    return SimpleNamespace(job=job, last=last, label="trial")


CELLS = [cell(1, last=False), cell(2, last=True)]
SECONDS = {"base": 100.0, "gold 1": 10.0, "gold 2": 20.0, "result 1": 1.0, "result 2": 2.0}


def test_a_stream_is_judged_after_its_last_step_and_its_base_is_paid_for_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SECONDS, {"m1": 0.1, "m2": 0.7})
    trial = tuning._scored(kept, CELLS, 3, {"lr": 1.0})  # type: ignore[arg-type]
    assert trial.score == trial.fidelity == 0.7
    assert trial.seconds == trial.flops == pytest.approx(sum(SECONDS.values()))


def test_a_failure_pays_for_the_base_of_its_own(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SECONDS, {})
    done = SimpleNamespace(status="ok", message="", seconds=100.0, killed=False)
    failed = SimpleNamespace(status="method_error", message="it broke", seconds=3.0, killed=False)
    outcomes = {
        ("train", "base"): done,
        ("train", "popularity"): done,
        ("unlearn", "result 2"): failed,
        ("measure", "m2"): SimpleNamespace(status="method_error", message="it broke", seconds=0.0, killed=False),
    }
    found = tuning._failure(SimpleNamespace(store=kept, limits=(None, None)), CELLS, outcomes)  # type: ignore[arg-type]
    assert found == {"status": "method_error", "message": "it broke", "seconds": 103.0}
