"""SASRec: deterministic, blind to the future, the same in a batch and alone, and read back from its files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vestige.data.sequences import Sequences, sequences
from vestige.errors import InputError
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue, Modular, Represents, Trainable
from vestige.recommenders.cross_entropy import IGNORED
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig

ITEMS = 20
CATALOGUE = Catalogue(tuple(str(100 + i) for i in range(ITEMS)))
TINY = SASRecConfig(d_model=16, d_ff=32, layers=2, dropout=0.1, passes=60, window=6, batch_size=8, learning_rate=1e-2)


def cycles() -> Sequences:
    """Users who walk round the catalogue, so that the next item is certain."""
    return sequences([[(start + step) % ITEMS for step in range(14)] for start in range(ITEMS)])


def trained(config: SASRecConfig = TINY, seed: int = 1) -> SASRec:
    model = SASRec(config, CATALOGUE)
    model.fit(cycles(), seed, silent)
    return model


MODEL = trained()


def test_it_learns_what_can_be_learned() -> None:
    scores = MODEL.score(sequences([[3, 4, 5], [11, 12], [19]]))
    assert scores.argmax(axis=1).tolist() == [6, 13, 0]
    assert np.exp(scores.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(3), rel=1e-5)
    for protocol in (Trainable, Modular, Represents):
        assert isinstance(MODEL, protocol)
    assert MODEL.represent(sequences([[1, 2], []])).shape == (2, 2 * TINY.d_model)


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_weights() -> None:
    histories = sequences([[1, 2, 3], [4], []])
    assert np.array_equal(trained().score(histories), MODEL.score(histories))
    assert not np.array_equal(trained(seed=2).score(histories), MODEL.score(histories))


def test_a_query_is_answered_alike_alone_and_in_a_batch() -> None:
    rows = [[1], [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], list(range(ITEMS)), [1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7], []]
    together = MODEL.score(sequences(rows))
    for row, expected in zip(rows, together, strict=True):
        assert MODEL.score(sequences([row]))[0] == pytest.approx(expected, abs=1e-5)


def test_only_the_last_window_counts() -> None:
    long = list(range(ITEMS))
    assert MODEL.score(sequences([long]))[0] == pytest.approx(MODEL.score(sequences([long[-6:]]))[0], abs=1e-6)
    assert MODEL.score(sequences([long]))[0] != pytest.approx(MODEL.score(sequences([long[-5:]]))[0], abs=1e-3)


def test_windows_show_no_target_before_it_is_asked() -> None:
    batch = MODEL.windows(sequences([list(range(12)), [5, 6], [9, 8]]), np.asarray([4, 0, 1]), np.asarray([6, 2, 1]))
    assert batch.targets.tolist() == [[4, 5, 6, 7, 8, 9], [5, 6] + [IGNORED] * 4, [8] + [IGNORED] * 5]
    assert batch.tokens[0].tolist() == [3, 4, 5, 6, 7, 8]
    assert batch.tokens[1, :2].tolist() == [ITEMS, 5] and batch.tokens[2, 0] == 9
    # What is said at a position does not depend on what comes after it.
    changed = batch.tokens.clone()
    changed[0, 3:] = 19
    with torch.inference_mode():
        before, after = (MODEL.module(tokens)[0, :3] for tokens in (batch.tokens, changed))
    assert torch.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize("history", [[7], [7, 8, 9], [4, 5, 6, 7, 8]])
def test_scoring_agrees_with_the_training_view(history: list[int]) -> None:
    batch = MODEL.windows(sequences([[*history, 10]]), np.asarray([0]), np.asarray([len(history) + 1]))
    with torch.inference_mode():
        forced = torch.log_softmax(MODEL.module.project(MODEL.module(batch.tokens))[0, len(history)], dim=-1)
    assert MODEL.score(sequences([history]))[0] == pytest.approx(forced.numpy(), abs=1e-5)


def test_a_history_of_a_whole_window_is_read_as_a_later_window_was_trained() -> None:
    history = [4, 5, 6, 7, 8, 9]
    batch = MODEL.windows(sequences([[*history, 10]]), np.asarray([1]), np.asarray([6]))
    assert batch.tokens[0].tolist() == history
    with torch.inference_mode():
        forced = torch.log_softmax(MODEL.module.project(MODEL.module(batch.tokens))[0, -1], dim=-1)
    assert MODEL.score(sequences([history]))[0] == pytest.approx(forced.numpy(), abs=1e-5)


def test_every_transition_can_be_touched() -> None:
    rows, rng = sequences([list(range(ITEMS))]), np.random.default_rng(0)
    seen = {int(t) for _ in range(200) for t in MODEL.batch(rows, rng).targets.flatten() if t != IGNORED}
    assert seen == set(range(ITEMS))


def test_it_comes_back_from_its_files(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    histories = sequences([[1, 2, 3], [4]])
    again = SASRec.load(tmp_path, TINY, CATALOGUE, "cpu")
    assert np.array_equal(again.score(histories), MODEL.score(histories))
    with pytest.raises(InputError, match="no weights of this model and catalogue"):
        SASRec.load(tmp_path, TINY.model_copy(update={"d_model": 8}), CATALOGUE, "cpu")
    for other in (Catalogue(("1", "2")), Catalogue(CATALOGUE.item_ids[::-1])):
        with pytest.raises(InputError, match="trained on another catalogue"):
            SASRec.load(tmp_path, TINY, other, "cpu")
    file = tmp_path / "model.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no weights", b""):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="the weights cannot be read"):
            SASRec.load(tmp_path, TINY, CATALOGUE, "cpu")
    file.unlink()
    with pytest.raises(InputError, match="the weights cannot be read"):
        SASRec.load(tmp_path, TINY, CATALOGUE, "cpu")


def test_amp_trains_and_its_scores_are_not_rounded() -> None:
    """In bfloat16 many of them would be equal, and a rank what ties are broken by."""
    model = trained(TINY.model_copy(update={"amp": True, "passes": 5}))
    scores = model.score(cycles())
    assert np.isfinite(scores).all()
    full = trained(TINY.model_copy(update={"passes": 5}))
    assert not np.array_equal(scores, full.score(cycles()))  # it was trained otherwise
    full.module.load_state_dict(model.module.state_dict())
    assert np.array_equal(scores, full.score(cycles()))
    rows, rng = cycles(), np.random.default_rng
    assert model.loss(rows, rng(0)).item() != full.loss(rows, rng(0)).item()  # the loss is that of training


def test_bad_input_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        SASRecConfig(d_model=10, heads=4)
    with pytest.raises(InputError, match="nothing to train on"):
        MODEL.train_on(sequences([]), 1, 0, silent)
