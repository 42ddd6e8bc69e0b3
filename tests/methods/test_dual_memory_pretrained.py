"""Dual memory on a pretrained base with text prompts, and on items of several tokens."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.methods.test_dual_memory import CATALOGUE, DATA
from tests.recommenders.test_t5_checkpoint import config_for, small_checkpoint
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, training
from vestige.methods import Budget, Task
from vestige.pipeline.tasks import make_task
from vestige.progress import silent
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige_methods.dual_memory.config import PRESETS, DualMemoryConfig
from vestige_methods.dual_memory.method import DualMemory
from vestige_methods.dual_memory.model import DualMemoryModel

QUICK = DualMemoryConfig(epochs=2, batch_size=64, router_epochs=5)


def task_for(config: T5RecommenderConfig, kind: Literal["users", "interactions"] = "users") -> Task:
    request = RequestConfig(kind="users", count=8) if kind == "users" else RequestConfig(kind=kind, count=40)
    split = draw(DATA, request, HoldoutConfig(), 0)
    model = T5Recommender(config, CATALOGUE)
    model.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return make_task(
        DATA,
        split,
        Part.FORGET,
        recommender=model,
        seed=5,
        device="cpu",
        budget=Budget(3, 1.0),
        progress=silent,
        fresh=lambda: T5Recommender(config, CATALOGUE),
    )


@pytest.mark.parametrize("tied", [True, False])
def test_it_forgets_on_a_pretrained_base(tied: bool, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "unlearned").mkdir()
    folder = small_checkpoint(tmp_path / "pretrained", tied)
    task = task_for(config_for(folder))
    task.recommender.save(tmp_path / "base")
    before = task.recommender.score(task.forget.histories)
    model = DualMemory(QUICK).unlearn(task).model
    model.save(tmp_path / "unlearned")
    base = T5Recommender.load(tmp_path / "base", config_for(folder), CATALOGUE, "cpu")
    again = DualMemory(QUICK).load(tmp_path / "unlearned", base)
    after = model.score(task.forget.histories)
    assert np.array_equal(again.score(task.forget.histories), after)
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("items", ["sequential", "random"])
@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_it_forgets_items_of_several_tokens(items: str, kind: str, tmp_path: Path) -> None:
    """It hides items, by the probability of their whole names; the rows it keeps are the base's, bit for bit."""
    config = T5RecommenderConfig(
        d_model=16, d_ff=32, layers=1, heads=2, passes=30, window=6, recent=4, context=6, items=items
    )
    task = task_for(config, kind)
    assert isinstance(task.recommender, T5Recommender) and not task.recommender.codes.single
    settings = DualMemoryConfig(**{**PRESETS["distilled"], "epochs": 40, "lr": 1e-2, "router_epochs": 20})
    base = task.recommender.score(task.forget.histories)
    rest = task.retained
    of_the_rest = task.recommender.score(rest)
    model = DualMemory(settings).unlearn(task).model
    assert isinstance(model, DualMemoryModel)
    router = model.parts().router
    p = router.probability(task.forget.histories)
    after = model.score(task.forget.histories)
    kept = p < model.threshold
    assert kept.sum() < len(kept)
    stays = router.probability(rest) < model.threshold
    assert stays.any() and np.array_equal(model.score(rest)[stays], of_the_rest[stays])
    assert np.array_equal(after[kept], base[kept])
    target = task.forget.targets
    moved = (after - base)[np.arange(len(target)), target]
    assert moved[~kept].mean() < -0.5 and np.allclose(np.exp(after).sum(axis=1), 1, atol=1e-4)
    model.save(tmp_path)
    assert np.array_equal(DualMemory(settings).load(tmp_path, task.recommender).score(task.forget.histories), after)
