"""T5: deterministic, blind to the future, the same in a batch and alone, and a normal Hugging Face checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from vestige.data.sequences import Sequences, sequences
from vestige.errors import InputError
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue, Trainable
from vestige.recommenders.t5 import FIRST_ITEM, IGNORED, T5Recommender
from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig
from vestige.recommenders.torch_tools import resolve_device, step

CATALOGUE = Catalogue(tuple(str(100 + i) for i in range(20)))
TINY = T5RecommenderConfig(
    d_model=16, d_ff=32, layers=1, heads=2, passes=30, window=6, context=8, recent=3, batch_size=8, learning_rate=1e-2
)


def cycles() -> Sequences:
    """Users who walk round the catalogue, so that the next item is certain."""
    return sequences([[(start + step) % 20 for step in range(14)] for start in range(20)])


def trained(config: T5RecommenderConfig = TINY, seed: int = 1) -> T5Recommender:
    model = T5Recommender(config, CATALOGUE)
    model.fit(cycles(), seed, silent)
    return model


MODEL = trained()


def test_it_learns_what_can_be_learned() -> None:
    scores = MODEL.score(sequences([[3, 4, 5], [11, 12], [19]]))
    assert scores.argmax(axis=1).tolist() == [6, 13, 0]
    assert np.exp(scores.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(3), rel=1e-5)
    assert isinstance(MODEL, Trainable)


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_weights() -> None:
    histories = sequences([[1, 2, 3], [4]])
    assert np.array_equal(trained().score(histories), MODEL.score(histories))
    assert not np.array_equal(trained(seed=2).score(histories), MODEL.score(histories))


def test_a_query_is_answered_alike_alone_and_in_a_batch() -> None:
    rows = [[1], [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], list(range(20))]
    together = MODEL.score(sequences(rows))
    for row, expected in zip(rows, together, strict=True):
        assert MODEL.score(sequences([row]))[0] == pytest.approx(expected, abs=1e-5)


def test_only_the_last_context_and_recent_items_count() -> None:
    long = list(range(20))
    kept = TINY.context + TINY.recent
    assert MODEL.score(sequences([long]))[0] == pytest.approx(MODEL.score(sequences([long[-kept:]]))[0], abs=1e-6)


def test_windows_show_no_target_before_it_is_asked() -> None:
    rows = sequences([list(range(12)), [5, 6]])
    batch = MODEL.windows(rows, np.asarray([4, 0]), np.asarray([6, 2]))
    assert batch.targets.tolist() == [[4, 5, 6, 7, 8, 9], [5, 6] + [IGNORED] * 4]
    assert batch.decoder[0].tolist() == [0, *(i + FIRST_ITEM for i in [4, 5, 6, 7, 8])]
    assert batch.encoder[0].tolist() == [*(i + FIRST_ITEM for i in [0, 1, 2, 3]), 1]
    # What is asked at a position does not depend on what comes after it.
    changed = batch.decoder.clone()
    changed[0, 3:] = FIRST_ITEM + 19
    before, after = (MODEL.token_logits(batch.encoder, decoder)[0, :3] for decoder in (batch.decoder, changed))
    assert torch.allclose(before, after, atol=1e-5)


def test_every_transition_can_be_touched() -> None:
    rows, rng = sequences([list(range(20))]), np.random.default_rng(0)
    seen = {int(t) for _ in range(200) for t in MODEL.batch(rows, rng).targets.flatten() if t != IGNORED}
    assert seen == set(range(20))


def test_scoring_agrees_with_the_training_view() -> None:
    """One decoder step on the last items is what teacher forcing computes at that position."""
    history = [7, 8, 9]
    batch = MODEL.windows(sequences([[*history, 10]]), np.asarray([0]), np.asarray([4]))
    forced = torch.log_softmax(MODEL.token_logits(batch.encoder, batch.decoder)[0, 3], dim=-1)
    assert MODEL.score(sequences([history]))[0] == pytest.approx(forced.detach().numpy(), abs=1e-5)


def test_a_saved_model_is_a_normal_checkpoint(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    histories = sequences([[1, 2, 3], [4]])
    again = T5Recommender.load(tmp_path, TINY, CATALOGUE, "cpu")
    assert np.array_equal(again.score(histories), MODEL.score(histories))
    plain = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(plain.shared.weight, MODEL.module.shared.weight)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("item_100 item_119").input_ids == [FIRST_ITEM, FIRST_ITEM + 19]
    assert not list(tmp_path.glob("*.bin"))


def test_amp_trains_and_its_scores_are_not_rounded() -> None:
    """In bfloat16 many of them would be equal, and a rank what ties are broken by."""
    model = trained(TINY.model_copy(update={"amp": True, "passes": 5}))
    scores = model.score(sequences([[1, 2], [3]]))
    assert np.isfinite(scores).all()
    full = trained(TINY.model_copy(update={"passes": 5}))
    assert not np.array_equal(scores, full.score(sequences([[1, 2], [3]])))  # it was trained otherwise
    full.module.load_state_dict(model.module.state_dict())
    assert np.array_equal(scores, full.score(sequences([[1, 2], [3]])))
    rows, rng = sequences([[1, 2, 3, 4, 5]]), np.random.default_rng
    assert model.loss(rows, rng(0)).item() != full.loss(rows, rng(0)).item()  # the loss is that of training


def test_bad_devices_and_shapes_are_sentences() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no usable GPU"):
            resolve_device("cuda")
    with pytest.raises(ValueError, match="multiple of heads"):
        T5RecommenderConfig(d_model=10, heads=4)
    with pytest.raises(InputError, match="nothing to train on"):
        MODEL.train_on(sequences([]), 1, 0, silent)


def test_a_loss_that_is_no_number_stops_training() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        step(torch.optim.SGD([weight], lr=1), weight.sum() * float("nan"), [weight], 1.0)


def test_presets_fit_the_catalogue() -> None:
    for preset in PRESETS.values():
        T5RecommenderConfig(**preset)
