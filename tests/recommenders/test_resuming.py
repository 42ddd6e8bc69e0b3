"""A training that was stopped and gone on with is the one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vestige.data.sequences import sequences
from vestige.progress import Progress, silent
from vestige.recommenders import contract, training
from vestige.recommenders.bookmark import FILE
from vestige.recommenders.contract import Catalogue, FitReport, Resumable, Unfinished
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


def at(folder: Path, training: str = "this one", every: float = 0.0) -> Unfinished:
    return Unfinished(folder, training, every)


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


def stopped(of: type[Model], folder: Path, share: float, **settings: object) -> None:
    with pytest.raises(Stopped):
        new(of, **settings).fit_or_resume(ROWS, 5, stops_after(share), at(folder))
    assert [file.name for file in folder.iterdir()] == [FILE]


@EACH
def test_stopped_twice_gives_the_same_bytes(of: type[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "COUNTED", 20)  # so that steps are counted before, between and after
    wanted, told = whole(of)
    folder = tmp_path / "kept" / "training"
    stopped(of, folder, 0.0)
    stopped(of, folder, 0.5)
    begun: list[float] = []
    model = new(of)
    report = model.fit_or_resume(ROWS, 5, lambda done, text="": begun.append(done), at(folder))
    assert begun[0] > 0.5  # it did go on
    assert equal(weights(model), wanted)
    assert (report.loss, report.flops, report.steps, report.uncounted) == (
        told.loss,
        told.flops,
        told.steps,
        told.uncounted,
    )
    assert report.earlier_seconds > 0 == told.earlier_seconds
    # What was trained is not safe yet; whoever has written it closes the folder.
    at(folder).close()
    assert not folder.exists()


@pytest.mark.parametrize("fault", ["seed", "data", "settings", "training", "cut short", "no safetensors", "nothing"])
def test_what_another_training_left_or_was_cut_short_is_not_gone_on_from(fault: str, tmp_path: Path) -> None:
    stopped(SASRec, tmp_path, 0.3, **({"weight_decay": 0.3} if fault == "settings" else {}))
    file = tmp_path / FILE
    content = file.read_bytes()
    if fault in ("cut short", "no safetensors", "nothing"):
        file.write_bytes({"cut short": content[: len(content) // 2], "nothing": b""}.get(fault, b"something else"))
    seed, rows = 6 if fault == "seed" else 5, OTHER_ROWS if fault == "data" else ROWS
    begun: list[float] = []
    where = at(tmp_path, "another" if fault == "training" else "this one", every=3600.0)
    new(SASRec).fit_or_resume(rows, seed, lambda done, text="": begun.append(done), where)
    assert begun[0] < 0.1


def test_it_is_written_no_more_often_than_asked(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        new(SASRec).fit_or_resume(ROWS, 5, stops_after(0.5), at(tmp_path, every=3600.0))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_takes_nothing_ends_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    model = new(SASRec, passes=2)
    model.fit_or_resume(ROWS, 5, silent, at(tmp_path / "file"))
    plain = new(SASRec, passes=2)
    plain.fit(ROWS, 5, silent)
    assert equal(weights(model), weights(plain))


def test_who_cannot_resume_just_trains(tmp_path: Path) -> None:
    model = Popularity(PopularityConfig(), CATALOGUE, "cpu")
    assert not isinstance(model, Resumable)
    contract.fit(model, ROWS, 0, silent, at(tmp_path))
    assert not list(tmp_path.iterdir())
