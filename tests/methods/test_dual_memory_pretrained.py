"""Dual memory on a pretrained base with text prompts; of items of several tokens it says that it cannot."""

from pathlib import Path

import numpy as np
import pytest

from tests.methods.test_dual_memory import CATALOGUE, DATA
from tests.recommenders.test_t5_checkpoint import config_for, small_checkpoint
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, training
from vestige.errors import InputError
from vestige.methods import Budget, Task
from vestige.pipeline.tasks import make_task
from vestige.progress import silent
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige_methods.dual_memory.config import DualMemoryConfig
from vestige_methods.dual_memory.method import DualMemory

QUICK = DualMemoryConfig(epochs=2, batch_size=64, router_epochs=5)


def task_for(config: T5RecommenderConfig) -> Task:
    split = draw(DATA, RequestConfig(kind="users", count=8), HoldoutConfig(), 0)
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


def test_several_tokens_an_item_are_refused(tmp_path: Path) -> None:
    config = T5RecommenderConfig(d_model=16, d_ff=32, layers=1, heads=2, passes=1, window=6, items="sequential")
    with pytest.raises(InputError, match="dual_memory needs one token an item"):
        DualMemory(QUICK).unlearn(task_for(config))
