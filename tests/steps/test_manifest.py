"""What a manifest says of the plugins that were used."""

from pathlib import Path

from vestige.pipeline.board import Chosen
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.specs import RecommenderSpec
from vestige.steps.manifest import PluginUse, use_of


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
