"""Dual memory keeps its promises: main untouched, unrouted rows bit-identical, test items out of reach."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import T5ForConditionalGeneration

from vestige.data.interactions import from_columns
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, training
from vestige.data.sequences import sequences
from vestige.errors import InputError
from vestige.methods import Budget, Task
from vestige.pipeline.tasks import make_task
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.flops import FlopsByShape, count_flops
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige_datasets.configs import SyntheticConfig
from vestige_datasets.synthetic import Synthetic
from vestige_methods.configs import FinetuneConfig, NoSettings
from vestige_methods.dual_memory.config import PRESETS, DualMemoryConfig
from vestige_methods.dual_memory.method import DualMemory, _positive_pools, _together
from vestige_methods.dual_memory.model import DualMemoryModel, weights_checksum
from vestige_methods.dual_memory.router import (
    Histories,
    choose_threshold,
    features_of,
    labelled_histories,
    observe,
    prefixes,
    shortened,
    train_router,
)
from vestige_methods.finetune import Finetune
from vestige_methods.retrain import Retrain

DATA = Synthetic(SyntheticConfig(users=60, items=40, events=16, tastes=4), Path()).load()
TINY = T5RecommenderConfig(
    d_model=16, d_ff=32, layers=1, heads=2, passes=25, window=8, context=10, recent=4, batch_size=8, learning_rate=1e-2
)
QUICK = DualMemoryConfig(**{**PRESETS["published"], "epochs": 10, "lr": 1e-2, "batch_size": 64})
CATALOGUE = Catalogue(tuple(DATA.item_ids.tolist()))


def base_of(split) -> T5Recommender:
    model = T5Recommender(TINY, CATALOGUE)
    model.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    return model


def task_for(kind: str, part: Part = Part.FORGET, data=DATA) -> Task:
    split = draw(data, RequestConfig(kind=kind, count=8, percent=20), HoldoutConfig(), 0)  # type: ignore[arg-type]
    return make_task(
        data,
        split,
        part,
        recommender=base_of(split),
        seed=5,
        device="cpu",
        budget=Budget(25, 1.0),
        progress=silent,
        fresh=lambda: T5Recommender(TINY, CATALOGUE),
    )


@pytest.fixture(scope="module", params=["users", "interactions"])
def done(request):
    task = task_for(request.param)
    before = weights_checksum(task.recommender.module)
    result = DualMemory(QUICK).unlearn(task)
    return task, before, result


def test_main_is_not_changed_and_unrouted_rows_are_bit_identical(done) -> None:
    task, before, result = done
    assert weights_checksum(task.recommender.module) == before
    histories = prefixes(task.retained, 2, np.random.default_rng(0))
    router = result.model.parts().router
    routed = router.probability(histories) >= router.threshold
    own, base = result.model.score(histories), result.model.parts().main.score(histories)
    assert not routed.all()
    assert np.array_equal(own[~routed], base[~routed])


def test_routed_rows_are_answered_by_the_side(done) -> None:
    task, _, result = done
    histories = task.forget.histories
    router = result.model.parts().router
    routed = router.probability(histories) >= router.threshold
    assert routed.any()
    own, side = result.model.score(histories), result.model.parts().side.score(histories)
    assert own[routed] == pytest.approx(side[routed], abs=1e-4)


def test_the_side_memory_suppresses_what_it_must(done) -> None:
    task, _, result = done
    rows = np.arange(len(task.forget))
    main, side = (
        m.score(task.forget.histories)[rows, task.forget.targets] for m in (result.model.main, result.model.side)
    )
    assert side.mean() < main.mean() - 0.2


def test_it_comes_back_from_its_files(done, tmp_path: Path) -> None:
    task, _, result = done
    (tmp_path / "base").mkdir()
    (tmp_path / "dual").mkdir()
    result.model.main.save(tmp_path / "base")
    result.model.save(tmp_path / "dual")
    base = T5Recommender.load(tmp_path / "base", TINY, CATALOGUE, "cpu")
    again = DualMemory(QUICK).load(tmp_path / "dual", base)
    histories = task.forget.histories
    assert np.array_equal(again.score(histories), result.model.score(histories))
    plain = T5ForConditionalGeneration.from_pretrained(tmp_path / "base")
    assert PeftModel.from_pretrained(plain, str(tmp_path / "dual" / "adapter")) is not None
    assert str(tmp_path) not in (tmp_path / "dual" / "adapter" / "adapter_config.json").read_text()
    other = T5Recommender(TINY, CATALOGUE)
    with pytest.raises(InputError, match="another base"):
        DualMemory(QUICK).load(tmp_path / "dual", other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no dual memory"):
        DualMemory(QUICK).load(tmp_path / "empty", base)


def test_equal_seeds_give_equal_models() -> None:
    one, two = (DualMemory(QUICK).unlearn(task_for("users")).model for _ in range(2))
    histories = sequences([[1, 2, 3], [4, 5]])
    assert np.array_equal(one.score(histories), two.score(histories))
    assert one.threshold == two.threshold


def test_soft_routing_lies_between_both_memories(done) -> None:
    task, _, result = done
    model = result.model
    soft = DualMemoryModel(model.main, model.adapter, model.router, model.threshold, ("encoder", "decoder"), "soft")
    histories, target = task.forget.histories, task.forget.targets
    rows = np.flatnonzero(model.parts().router.probability(histories) >= model.threshold)
    assert len(rows)
    values = [m.score(histories)[rows, target[rows]].mean() for m in (model.main, soft, model.side)]
    assert values[0] >= values[1] >= values[2]


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_no_test_or_never_trained_item_is_in_the_task(kind: str) -> None:
    """A canary: items that only ever stand in the test, validation or T position of somebody."""
    split = draw(DATA, RequestConfig(kind=kind, count=8, percent=20), HoldoutConfig(), 0)  # type: ignore[arg-type]
    items = DATA.item.astype(np.int64).copy()
    canary = DATA.n_items
    items[np.isin(split.part, [Part.TEST, Part.VALIDATION, Part.UNSEEN])] = canary
    # A real event keeps the canary in the catalogue under its own position.
    planted = from_columns(DATA.user, np.where(items == canary, 999, items), None, DATA.timestamp, "canary")
    canary_item = planted.item_ids.tolist().index("999")
    task = make_task(
        planted,
        split,
        Part.FORGET,
        recommender=None,
        seed=0,
        device="cpu",
        budget=Budget(1, 1),
        progress=silent,
        fresh=None,
    )
    for held in (task.retained.items, task.forget_sequences.items, task.forget.histories.items, task.forget.targets):
        assert canary_item not in held
    pools = _positive_pools(task, 3)
    assert canary_item not in pools.items
    assert (pools.lengths > 0).all()
    # In the world where F and T change places, it is T that must be forgotten, and F that must not be seen.
    swapped = make_task(
        planted,
        split,
        Part.UNSEEN,
        recommender=None,
        seed=0,
        device="cpu",
        budget=Budget(1, 1),
        progress=silent,
        fresh=None,
    )
    assert canary_item in swapped.forget.targets
    if kind == "users":
        assert not set(swapped.forget_sequences.users.tolist()) & set(split.forget_users.tolist())


def test_positives_are_nobodys_own_forgotten_items() -> None:
    task = task_for("users")
    pools = _positive_pools(task, 5)
    for row in range(len(pools)):
        assert not set(pools.row(row).tolist()) & set(task.forget_sequences.row(row).tolist())


def test_the_threshold_reaches_its_precision() -> None:
    rng = np.random.default_rng(0)
    forget = rng.random(4000) < 0.2
    p = np.clip(rng.normal(np.where(forget, 0.7, 0.3), 0.15), 0, 1).astype(np.float32)
    report = choose_threshold(p, forget, np.ones(4000), 0.8)
    routed = p >= report.threshold
    assert report.reached
    assert forget[routed].mean() == pytest.approx(report.precision) and report.precision >= 0.8
    assert routed[forget].mean() == pytest.approx(report.recall)
    hopeless = choose_threshold(np.full(10, 0.5, np.float32), np.arange(10) < 3, np.ones(10), 0.9)
    assert not hopeless.reached
    assert hopeless.precision == pytest.approx(0.3)


def labelled(rows: int, share: float, far: float) -> tuple[torch.Tensor, Histories]:
    """Activations of two classes whose means are `far` apart."""
    rng = np.random.default_rng(0)
    forget = rng.random(rows) < share
    features = torch.from_numpy((rng.normal(size=(rows, 4)) + far * forget[:, None] / 2).astype(np.float32))
    histories = Histories(sequences([[1]] * rows), forget, rng.random(rows) < 0.25, np.ones(rows))
    return features, histories


def test_a_router_is_trained_on_standardised_activations() -> None:
    """Whatever unit and offset they have; what it is given later are activations as they are."""
    features, histories = labelled(400, 0.3, 2.0)
    unit, offset = torch.tensor([1e-3, 1.0, 50.0, 1e4]), torch.tensor([0.0, 300.0, -7.0, 1e5])
    config = DualMemoryConfig(router_epochs=4, router_dropout=0.0)
    (one, said), (other, again) = (train_router(x, histories, config, 0) for x in (features, features * unit + offset))
    with torch.no_grad():
        expected = torch.sigmoid(one(features))
        assert torch.allclose(torch.sigmoid(other(features * unit + offset)), expected, atol=1e-3)
    held, forget = histories.held_out, histories.forget
    found = choose_threshold(expected.numpy()[held], forget[held], np.ones(held.sum()), config.target_precision)
    assert found.threshold == pytest.approx(said.threshold, abs=1e-6)
    assert (said.precision, said.recall) == (found.precision, found.recall)
    assert again.recall == pytest.approx(said.recall, abs=0.05)


def test_both_classes_weigh_the_same_in_a_router() -> None:
    """However few are to be forgotten: its probabilities are those of equal shares, not of their own."""
    features, histories = labelled(4000, 0.05, 0.8)
    router, _ = train_router(features, histories, DualMemoryConfig(router_epochs=20, router_dropout=0.0), 0)
    with torch.no_grad():
        p = torch.sigmoid(router(features)).numpy()
    forget = histories.forget
    assert p[forget].mean() > 0.5 > p[~forget].mean()
    assert p[forget].mean() + p[~forget].mean() == pytest.approx(1.0, abs=0.1)


def test_router_histories_hold_out_and_shorten() -> None:
    rng = np.random.default_rng(0)
    retained, forget = sequences([[1, 2, 3, 4, 5, 6]] * 80), sequences([[7, 8, 9, 10]] * 40, list(range(80, 120)))
    found = labelled_histories(retained, forget, True, 3, 4, rng, 80)
    rows = [found.rows.row(i).tolist() for i in range(len(found.rows))]
    assert all(rows) and all((row[0] >= 7) == label for row, label in zip(rows, found.forget, strict=True))
    assert rows.count([1, 2, 3, 4, 5, 6]) >= 80  # everybody's whole sequence
    for label, own, users in ((True, 3, 40), (False, 4, 80)):
        drawn = int((found.forget == label).sum())
        assert own * users < drawn <= own * users * 1.4, "so many of each, and shortened copies of a quarter"
    # Held-out histories stand for as many users as there are, and are never shortened.
    assert found.weight[found.forget].sum() - found.weight[found.forget & ~found.held_out].sum() == pytest.approx(40)
    assert found.weight[~found.forget & found.held_out].sum() == pytest.approx(80)
    held = [row for row, out in zip(rows, found.held_out, strict=True) if out]
    assert held and all(row == list(range(row[0], row[0] + len(row))) and row[0] in (1, 7) for row in held)
    short = shortened(sequences([list(range(30))] * 50), rng)
    assert (short.lengths >= 1).all() and short.lengths.max() < 30
    assert all(short.row(i)[-1] == 29 for i in range(50))


def test_whoever_is_shown_few_of_the_retained_weighs_them_for_all() -> None:
    """Else half of those who are asked would be taken for forgotten, and the threshold routes far too many."""
    retained, forget = sequences([[1, 2, 3, 4, 5, 6]] * 80), sequences([[7, 8, 9, 10]] * 40, list(range(80, 120)))
    whole, part = (labelled_histories(retained, forget, True, 3, 4, np.random.default_rng(0), n) for n in (80, 8000))
    assert part.weight[~part.forget].sum() == pytest.approx(8000) and whole.weight[
        ~whole.forget
    ].sum() == pytest.approx(80)
    assert (part.weight[part.forget] == whole.weight[whole.forget]).all()


def test_a_history_that_must_be_recognised_is_never_shown_as_one_that_must_not() -> None:
    """The latest interactions of a user all come after the same history, which is all that the user keeps."""
    rng = np.random.default_rng(0)
    short, long = list(range(40)), list(range(40, 90))
    retained = sequences([short] * 80 + [long] * 40)
    latest = sequences([long] * 120, list(range(80, 120)) * 3)
    found = labelled_histories(retained, latest, False, 96, 4, rng, 120)
    rows = [(int(found.rows.users[row]), tuple(found.rows.row(row).tolist())) for row in range(len(found.rows))]

    def those(chosen: np.ndarray) -> list[tuple[int, tuple[int, ...]]]:
        return [rows[row] for row in np.flatnonzero(chosen)]

    assert not set(those(found.forget)) & set(those(~found.forget))
    # Each is trained on once, beside shortened copies, and judged: it is what will be asked.
    for out in (False, True):
        asked = [row for row in those(found.forget & (found.held_out == out)) if len(row[1]) == 50]
        assert sorted(asked) == [(user, tuple(long)) for user in range(80, 120)]
    assert found.weight[found.forget].sum() == pytest.approx(40)
    # Of those who stay, what chooses the threshold was never trained on.
    judged, trained = (set(those(~found.forget & (found.held_out == out))) for out in (True, False))
    assert judged and not judged & trained


def test_somebody_who_keeps_nothing_has_the_positives_of_those_alike() -> None:
    """And no positive is an item that its user forgets."""
    task = task_for("interactions")
    mask = task.forget_mask.copy()
    mask[: int(task.forget_sequences.lengths[0])] = True
    everything = replace(task, forget_mask=mask)
    assert DualMemory(QUICK.model_copy(update={"epochs": 1})).unlearn(everything).notes["steps"] > 0
    pools = _positive_pools(everything, 3)
    assert (pools.lengths > 0).all() and pools.users.tolist() == task.forget_sequences.users.tolist()
    others = set(_positive_pools(replace(task, kind="users", forget_mask=np.ones_like(mask)), 3).row(0).tolist())
    assert set(pools.row(0).tolist()) == others
    row_of = np.repeat(np.arange(len(pools)), task.forget_sequences.lengths)
    for row in range(len(pools)):
        own = task.forget_sequences.items[row_of == row]
        assert not set(pools.row(row).tolist()) & set(own[mask[row_of == row]].tolist())
        if row:
            assert set(pools.row(row).tolist()) <= set(own.tolist())


def test_finetune_moves_and_retrain_starts_anew() -> None:
    task = task_for("users")
    before = weights_checksum(task.recommender.module)
    result = Finetune(FinetuneConfig(share=0.1)).unlearn(task)
    assert weights_checksum(result.model.module) != before
    assert result.notes["passes"] == pytest.approx(2.5)
    gold = T5Recommender(TINY, CATALOGUE)
    gold.fit(task.retained, task.seed, silent)
    again = Retrain(NoSettings()).unlearn(task)
    assert weights_checksum(again.model.module) == weights_checksum(gold.module)


def test_questions_that_are_asked_together_have_the_answers_they_have_alone() -> None:
    """Rows of other widths are padded, and padding says nothing."""
    model, rng = T5Recommender(TINY, CATALOGUE), np.random.default_rng(0)
    long = model.transitions(sequences([list(range(30)), list(range(9, 39))]), rng).inputs
    short = model.transitions_of(task_for("interactions").forget.take(np.arange(3))).inputs
    assert long.decoder.shape[1] != short.decoder.shape[1] and long.encoder.shape[1] != short.encoder.shape[1]
    alone = [model.answers(*model.encode(asked.encoder), asked) for asked in (long, short)]
    for both, parts in ((_together(long, short), alone), (_together(short, long), alone[::-1])):
        found = model.answers(*model.encode(both.encoder), both)
        assert np.allclose(found.detach(), np.concatenate([part.detach() for part in parts]), atol=1e-5)


def test_features_stand_in_the_order_of_their_histories() -> None:
    model = T5Recommender(TINY.model_copy(update={"score_batch_size": 2}), CATALOGUE)
    histories = sequences([list(range(n)) for n in (12, 3, 30, 1, 8)])
    found = features_of(model, histories, ("encoder", "decoder"))
    for row in range(len(histories)):
        alone = observe(model, *model.question(histories.take([row])), ("encoder", "decoder")).features
        assert np.allclose(found[row], alone[0].detach(), atol=1e-5)


def test_what_features_take_is_counted_once_a_shape_and_exactly() -> None:
    """Batches of one shape take the same; the features are those that are not counted."""
    model = T5Recommender(TINY.model_copy(update={"score_batch_size": 2}), CATALOGUE)
    histories = sequences([list(range(n)) for n in (12, 3, 30, 1, 8, 30, 30, 29, 28, 27)])
    counter, layers = FlopsByShape(), ("encoder", "decoder")
    counted = features_of(model, histories, layers, counter)
    whole = count_flops(lambda: features_of(model, histories, layers))
    assert torch.equal(counted, features_of(model, histories, layers))
    assert counter.total.count == whole.count > 0
    assert set(counter.total.uncounted) <= set(whole.uncounted)  # what puts the batches together is no part of it
    shapes = [tuple(model.question(histories.take([row]))[0].shape) for row in range(len(histories))]
    assert len(set(shapes)) < len(shapes)


def test_the_threshold_lies_under_the_last_that_it_takes() -> None:
    """A batch that is padded otherwise moves a probability by a rounding; what was chosen must still be routed."""
    p = np.asarray([0.9, 0.7, 0.2, 0.1], np.float32)
    forget = np.asarray([True, True, False, False])
    threshold = choose_threshold(p, forget, np.ones(4), 0.9).threshold
    assert 0.7 - 2e-4 < threshold < 0.7 - 1e-5
    close = np.asarray([0.9, 0.7, 0.7 - 1e-5, 0.1], np.float32)
    assert close[2] < choose_threshold(close, forget, np.ones(4), 0.9).threshold < close[1]
    assert choose_threshold(p[:1], forget[:1], np.ones(1), 0.9).threshold < p[0]


def test_with_amp_rows_are_routed_by_the_probabilities_that_are_told() -> None:
    split = draw(DATA, RequestConfig(count=8), HoldoutConfig(), 0)
    base = T5Recommender(TINY.model_copy(update={"amp": True}), CATALOGUE)
    base.fit(training(DATA, split, [Part.RETAINED, Part.FORGET]), 0, silent)
    task = replace(task_for("users"), recommender=base)
    model = DualMemory(QUICK.model_copy(update={"epochs": 2, "router_epochs": 5})).unlearn(task).model
    histories = task.retained
    p = model.parts().router.probability(histories)
    plain = base.score(histories)
    # Between two neighbours, as far from both as can be: by bfloat16 alone some would be taken for others.
    order = np.sort(p)
    for at in np.argsort(-np.diff(order))[:5]:
        model.threshold = float(order[at] + order[at + 1]) / 2
        routed = np.any(model.score(histories) != plain, axis=1)
        assert np.array_equal(routed, p >= model.threshold)


def test_a_smaller_last_batch_costs_less() -> None:
    task = task_for("interactions")
    one = QUICK.model_copy(update={"epochs": 1, "router_epochs": 1, "batch_size": len(task.forget)})
    two = one.model_copy(update={"batch_size": len(task.forget) - 1})  # a second batch of one, beside all of R's
    flops = [DualMemory(config).unlearn(task).flops for config in (one, two)]
    assert flops[0] is not None and flops[1] is not None and flops[1] < 1.9 * flops[0]


def test_where_nobody_stays_there_is_nothing_to_learn_from() -> None:
    task = task_for("users")
    alone = replace(task, retained=task.retained.take(np.zeros(0, np.int64)))
    with pytest.raises(InputError, match="needs somebody who is retained"):
        DualMemory(QUICK).unlearn(alone)
