"""A training that was stopped and gone on with is the one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vestige.data.sequences import sequences
from vestige.progress import Progress, silent
from vestige.recommenders import contract, training
from vestige.recommenders.contract import Catalogue, FitReport, Resumable
from vestige.recommenders.popularity import Popularity
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig

# Dropout, so that torch's own random numbers are gone on with; batches that do not divide the sequences.
SHAPE = {"d_model": 8, "d_ff": 8, "layers": 1, "heads": 2, "dropout": 0.2, "batch_size": 4, "passes": 21}
CATALOGUE = Catalogue(tuple(map(str, range(30))))
ROWS = sequences([np.random.default_rng(n).integers(0, 30, 3 + n).tolist() for n in range(11)])
OTHER_ROWS = ROWS.take(np.arange(10))

Model = SASRec | T5Recommender
EACH = pytest.mark.parametrize("of", [SASRec, T5Recommender])


class Stopped(Exception):
    """As if the process had been ended."""


def stops_after(share: float) -> Progress:
    def progress(done: float, text: str = "") -> None:
        if done > share:
            raise Stopped

    return progress


def new(of: type[Model], **settings: object) -> Model:
    values = {**SHAPE, **settings}
    config = SASRecConfig(**values) if of is SASRec else T5RecommenderConfig(**values)  # type: ignore[arg-type]
    return of(config, CATALOGUE)  # type: ignore[arg-type]


def weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def whole(of: type[Model]) -> tuple[dict[str, torch.Tensor], FitReport]:
    model = new(of)
    report = model.fit(ROWS, 5, silent)
    return weights(model), report


def stopped(of: type[Model], file: Path, share: float, **settings: object) -> None:
    with pytest.raises(Stopped):
        new(of, **settings).fit_or_resume(ROWS, 5, stops_after(share), file, 0.0)
    assert file.exists()


@EACH
def test_stopped_twice_gives_the_same_bytes(of: type[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "COUNTED", 20)  # so that steps are counted before, between and after
    wanted, told = whole(of)
    file = tmp_path / "kept" / "training"
    stopped(of, file, 0.0)
    stopped(of, file, 0.5)
    begun: list[float] = []
    model = new(of)
    report = model.fit_or_resume(ROWS, 5, lambda done, text="": begun.append(done), file, 0.0)
    assert begun[0] > 0.5  # it did go on
    assert equal(weights(model), wanted)
    assert (report.loss, report.flops, report.steps, report.uncounted) == (
        told.loss,
        told.flops,
        told.steps,
        told.uncounted,
    )
    assert report.earlier_seconds > 0 == told.earlier_seconds
    assert not any(tmp_path.rglob("*training*"))


@pytest.mark.parametrize("fault", ["seed", "data", "settings", "cut short", "no safetensors", "nothing"])
def test_what_belongs_to_another_training_or_is_damaged_is_not_gone_on_from(fault: str, tmp_path: Path) -> None:
    of, file = SASRec, tmp_path / "training"
    stopped(of, file, 0.3, **({"weight_decay": 0.3} if fault == "settings" else {}))
    content = file.read_bytes()
    if fault == "cut short":
        file.write_bytes(content[: len(content) // 2])
    elif fault == "no safetensors":
        file.write_bytes(b"something else")
    elif fault == "nothing":
        file.write_bytes(b"")
    seed, rows = 6 if fault == "seed" else 5, OTHER_ROWS if fault == "data" else ROWS
    begun: list[float] = []
    model = new(of)
    model.fit_or_resume(rows, seed, lambda done, text="": begun.append(done), file, 0.0)
    assert begun[0] < 0.1
    assert not file.exists()


def test_it_is_written_no_more_often_than_asked(tmp_path: Path) -> None:
    file = tmp_path / "training"
    with pytest.raises(Stopped):
        new(SASRec).fit_or_resume(ROWS, 5, stops_after(0.5), file, 3600.0)
    assert not file.exists()


def test_who_cannot_resume_just_trains(tmp_path: Path) -> None:
    model = Popularity(PopularityConfig(), CATALOGUE, "cpu")
    assert not isinstance(model, Resumable)
    contract.fit(model, ROWS, 0, silent, tmp_path / "training")
    assert not list(tmp_path.iterdir())
