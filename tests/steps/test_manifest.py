"""What a manifest says of the plugins that were used, and the folder that a step writes."""

from pathlib import Path

import pytest

from vestige.errors import InputError, StoreError
from vestige.pipeline.board import Chosen
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.specs import RecommenderSpec
from vestige.steps.manifest import MANIFEST, PluginUse, new_folder, use_of


def use(init: Path, **settings: object) -> PluginUse:
    config = T5RecommenderConfig(init=str(init), **settings)  # type: ignore[arg-type]
    spec = RecommenderSpec(name="t5", version="1", summary="", factory="x:X", config=T5RecommenderConfig)
    return PluginUse(**use_of(Chosen(spec, config)))


def checkpoint(folder: Path, weights: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_text(weights)
    return folder


def test_a_checkpoint_counts_by_what_is_in_it_and_not_by_where_it_lies(tmp_path: Path) -> None:
    """A gold that began from other weights than base, under the same name, is no gold of it."""
    here = use(checkpoint(tmp_path / "a", "one"))
    assert here.same(use(checkpoint(tmp_path / "b", "one")))
    assert not here.same(use(checkpoint(tmp_path / "a", "two")))
    assert not here.same(use(checkpoint(tmp_path / "b", "one"), passes=3))


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_appears_while_a_step_runs_is_not_replaced(tmp_path: Path, overwrite: bool) -> None:
    """And what the step made is kept, where no later step sweeps it away."""
    folder = tmp_path / "base"
    if overwrite:
        folder.mkdir()
        (folder / MANIFEST).write_text("an earlier one")
    with (
        pytest.raises(StoreError, match="something was put there meanwhile") as said,
        new_folder(folder, overwrite) as at,
    ):
        (at / "weights").write_text("an hour's work")
        (folder / MANIFEST).unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)
        (folder / "thesis.txt").write_text("somebody's")
    assert (folder / "thesis.txt").read_text() == "somebody's"
    kept = Path(str(said.value).rpartition("lies in ")[2].rstrip("."))
    with new_folder(tmp_path / "base-2", False), pytest.raises(InputError), new_folder(folder, False):
        pass
    with pytest.raises(InputError), new_folder(folder, True):
        pass
    assert (kept / "weights").read_text() == "an hour's work" and kept.parent == tmp_path


def test_what_a_step_wrote_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    for number in (1, 2):
        with new_folder(tmp_path / "base", overwrite=number == 2) as at:
            (at / MANIFEST).write_text(str(number))
    assert (tmp_path / "base" / MANIFEST).read_text() == "2"
    assert [file.name for file in tmp_path.iterdir()] == ["base"]


def test_a_home_folder_that_is_not_there_is_one_sentence() -> None:
    with (
        pytest.raises(InputError, match="there is no such home folder"),
        new_folder(Path("~nobody-of-this-name/x"), False),
    ):
        pass
