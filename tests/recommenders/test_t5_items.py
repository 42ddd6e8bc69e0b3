"""Indexes of items: read as they are, or made from what is trained on; and models that say names of several tokens."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SHARED
from vestige.data.sequences import Sequences, sequences
from vestige.data.views import Queries
from vestige.errors import InputError
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.t5 import EOS, IGNORED, PAD, T5Recommender
from vestige.recommenders.t5.clusters import cluster_paths
from vestige.recommenders.t5.items import item_names, names_from, read_indexing
from vestige.recommenders.t5_config import T5RecommenderConfig

CATALOGUE = Catalogue(tuple(str(100 + i) for i in range(20)))
SHAPE = {
    "d_model": 16, "d_ff": 32, "layers": 2, "heads": 2, "window": 6, "context": 8, "recent": 3, "batch_size": 8,
    "learning_rate": 1e-2, "init_scale": 1.0,
}  # fmt: skip
real_data = pytest.mark.skipif(
    not (SHARED / "openp5").exists(), reason="real data is not at hand (set VESTIGE_TEST_DATA)"
)


def cycles() -> Sequences:
    """Users who walk round the catalogue, so that the next item is certain."""
    return sequences([[(start + step) % 20 for step in range(14)] for start in range(20)])


def model_of(items: str, **settings: object) -> T5Recommender:
    return T5Recommender(T5RecommenderConfig(**{**SHAPE, "items": items, **settings}), CATALOGUE)


def forced(model: T5Recommender, histories: Sequences) -> np.ndarray:
    """Each item by itself, by teacher forcing of its whole name without a cache; then normalised over the items."""
    out = []
    for query in range(len(histories)):
        encoder, decoder, last = model.question(histories.take(np.asarray([query])))
        sums = []
        for item in range(len(model.catalogue)):
            name = model.codes.spelled[model.codes.offsets[item] : model.codes.offsets[item + 1]]
            ids = torch.from_numpy(model.codes.answers[name])
            read = torch.cat([decoder[0, : int(last) + 1], ids[:-1]])[None]
            with torch.inference_mode():
                scores = torch.log_softmax(model.token_logits(encoder, read)[0, int(last) :], dim=-1)
            sums.append(float(scores[torch.arange(len(name)), torch.from_numpy(name)].sum()))
        out.append(torch.log_softmax(torch.tensor(sums, dtype=torch.float64), dim=-1).numpy())
    return np.stack(out)


names = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=4).map(lambda path: "".join(f"<CI{part}>" for part in path)),
    min_size=20,
    max_size=20,
    unique=True,
)
HISTORIES = sequences([[1], list(range(20)), [4, 4, 7, 2, 9], []])


@settings(max_examples=8)
@given(names, st.integers(0, 3))
def test_all_items_are_scored_by_their_whole_names(spelled: list[str], recent: int) -> None:
    """Over random trees: what one search finds is what asking for every item separately gives."""
    folder = Path(os.environ["VESTIGE_CACHE"]) / "indexes"
    folder.mkdir(exist_ok=True)
    file = folder / "index.txt"
    file.write_text("".join(f"{item} {name}\n" for item, name in zip(CATALOGUE.item_ids, spelled, strict=True)))
    model = model_of(str(file), recent=recent)
    assert not model.codes.single
    assert model.score(HISTORIES) == pytest.approx(forced(model, HISTORIES), abs=2e-5)


@pytest.mark.parametrize("items", ["sequential", "collaborative"])
def test_a_name_of_several_tokens_is_learned(items: str) -> None:
    model = model_of(items, layers=1, passes=150, init_scale=0.2, learning_rate=2e-2)
    model.fit(cycles(), 1, silent)
    histories = sequences([[(start + step) % 20 for step in range(4)] for start in range(20)])
    scores = model.score(histories)
    assert (scores.argmax(axis=1) == (np.arange(20) + 4) % 20).sum() >= 15
    assert np.exp(scores.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(20), rel=1e-5)
    assert scores[:2] == pytest.approx(forced(model, histories.take(np.arange(2))), abs=2e-4)


def test_items_that_begin_alike_are_told_apart() -> None:
    """No item is scored by its first token alone."""
    model = model_of("collaborative", passes=2)
    model.fit(cycles(), 1, silent)
    first = model.codes.spelled[model.codes.offsets[:-1]]
    scores = model.score(HISTORIES)
    shared = 0
    for token in np.unique(first):
        alike = np.flatnonzero(first == token)
        shared += len(alike) > 1
        assert all(len(np.unique(row[alike])) == len(alike) for row in scores)
    assert shared


def test_training_forces_every_token_of_a_name() -> None:
    model = model_of("sequential")
    rows = sequences([[0, 5, 9], [7]])
    batch = model.windows(rows, np.asarray([0, 0]), np.asarray([3, 1]))
    said = [int(model.codes.answers[answer]) for answer in batch.targets[0] if answer != IGNORED]
    assert model.vocabulary.tokenizer.decode(said).replace(" ", "") == "100110061010"
    assert batch.decoder[0].tolist() == [PAD, *said[:-1]]
    assert batch.decoder[1, len(said) // 3 :].eq(PAD).sum() >= 1
    assert batch.encoder.tolist() == [[EOS], [EOS]]


def test_a_query_is_answered_alike_alone_and_in_a_batch() -> None:
    model = model_of("random")
    together = model.score(HISTORIES)
    for row, expected in enumerate(together):
        assert model.score(HISTORIES.take(np.asarray([row])))[0] == pytest.approx(expected, abs=1e-5)


def test_transitions_of_names_are_scored_like_queries() -> None:
    """In a window, every item is asked after the items before it, and gradients reach the weights."""
    model = model_of("collaborative", window=4)
    rows = sequences([[3, 4, 5, 6], [7, 9], [2]])
    asked = model.transitions(rows, np.random.default_rng(0))
    assert asked.targets.tolist() == [3, 4, 5, 6, 7, 9, 2]
    assert asked.rows.tolist() == [0, 0, 0, 0, 1, 1, 2]
    found = torch.log_softmax(model.logits(asked), dim=-1)
    # These windows begin where their rows do, so the decoder reads what it would of a history of up to `recent` items.
    histories = sequences([[], [3], [3, 4], [3, 4, 5], [], [7], []])
    assert found.detach().numpy() == pytest.approx(model.score(histories), abs=2e-5)
    found[:, 0].sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.module.parameters())
    queries = Queries(histories, asked.targets.numpy().astype(np.int32), np.zeros(7, np.int32))
    assert torch.allclose(torch.log_softmax(model.logits(model.transitions_of(queries)), dim=-1), found, atol=2e-5)


def test_a_beam_answers_the_whole_catalogue() -> None:
    models = [model_of("collaborative", passes=2, beams=beams) for beams in (0, 100, 1)]
    for model in models:
        model.fit(cycles(), 1, silent)
    exact, wide, narrow = (model.score(HISTORIES) for model in models)
    assert wide == pytest.approx(exact, abs=1e-5)
    assert np.isfinite(narrow).all()
    assert np.exp(narrow.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(len(HISTORIES)), rel=1e-5)
    assert not np.allclose(narrow, exact)


@pytest.mark.parametrize("items", ["sequential", "collaborative", "~/mine.txt"])
def test_a_saved_model_knows_its_index(items: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    lines = (f"{item} item_{4 * number}" for number, item in enumerate(CATALOGUE.item_ids))
    (tmp_path / "mine.txt").write_text("\n".join(lines))
    model = model_of(items, passes=3)
    model.fit(cycles(), 4, silent)
    model.save(tmp_path)
    again = T5Recommender.load(tmp_path, model.config, CATALOGUE, "cpu")
    assert np.array_equal(again.score(HISTORIES), model.score(HISTORIES))
    assert names_from(tmp_path / "item_indexing.txt", CATALOGUE) == list(model.vocabulary.names)
    with pytest.raises(InputError, match="the item 'new' of the catalogue has no line"):
        T5Recommender.load(tmp_path, model.config, Catalogue((*CATALOGUE.item_ids, "new")), "cpu")


# -- indexes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sequential", "random", "collaborative"])
def test_an_index_follows_from_what_it_may_see(kind: str) -> None:
    rows = cycles()
    made = item_names(kind, CATALOGUE, rows, 0)
    assert made == item_names(kind, CATALOGUE, rows, 0)
    assert len(set(made)) == len(CATALOGUE)
    if kind != "random":  # which sees nothing
        assert made != item_names(kind, CATALOGUE, sequences([[7, 3, 5], [3, 7]]), 0)
    if kind != "sequential":  # which draws nothing
        assert made != item_names("random", CATALOGUE, rows, 1)


def test_numbers_are_given_in_the_order_of_appearance() -> None:
    made = item_names("sequential", CATALOGUE, sequences([[7, 3], [3, 5, 7]]), 0)
    assert [made[item] for item in (7, 3, 5, 0, 1)] == ["1001", "1002", "1003", "1004", "1005"]


def test_items_that_go_together_share_a_cluster() -> None:
    """Two worlds that never meet, and an item that nobody has."""
    rng = np.random.default_rng(0)
    rows = sequences([(rng.permutation(9)[:5] + 9 * (user % 2)).tolist() for user in range(80)])
    paths = cluster_paths(rows, 19, 0)
    one, other = ({path[0] for path in paths[start : start + 9]} for start in (0, 9))
    assert one.isdisjoint(other)
    assert paths[18][0] not in one | other
    assert len(set(paths)) == 19


def test_large_clusters_are_split_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vestige.recommenders.t5.clusters.LARGEST", 4)
    rng = np.random.default_rng(0)
    rows = sequences([rng.integers(0, 60, 12).tolist() for _ in range(50)])
    paths = cluster_paths(rows, 70, 0)
    assert len(set(paths)) == 70
    assert max(len(path) for path in paths) > 2
    assert max(path[-1] for path in paths) < 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100 1001\n101\n", "line 2: 'original new' is needed, not '101'"),
        ("100 1001\n100 1002\n", "line 2: '100' stands there twice"),
        ("100 1001\n", "the item '101' of the catalogue has no line"),
    ],
)
def test_a_wrong_index_is_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "index.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        names_from(file, CATALOGUE)
    with pytest.raises(InputError, match="cannot be read"):
        names_from(tmp_path / "nowhere.txt", CATALOGUE)


def test_a_misspelt_kind_of_index_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="must be one of tokens, sequential, random, collaborative, or a file"):
        T5RecommenderConfig(items="sequental")


@real_data
def test_published_indexes_are_read_as_they_are() -> None:
    folder = SHARED / "openp5" / "ML100K"
    tags = read_indexing(folder / "item_collaborative_indexing_500_20_sequential.txt")
    assert tags["1376"] == "<CI0><CI7>"
    catalogue = Catalogue(tuple(sorted(tags, key=int)))
    for name in ("collaborative_indexing_500_20_sequential", "random_indexing", "sequential_indexing_original"):
        config = T5RecommenderConfig(**{**SHAPE, "items": str(folder / f"item_{name}.txt")})
        model = T5Recommender(config, catalogue)
        assert len(model.codes) == len(tags) == 1349
        scores = model.score(sequences([[0, 1, 2]]))
        assert np.exp(scores.astype(np.float64)).sum() == pytest.approx(1, rel=1e-4)
    assert len(read_indexing(SHARED / "ml-1m" / "user_indexing.txt")) > 6000


@real_data
def test_sequential_numbers_are_the_published_ones() -> None:
    """Of the items that occur before everybody's last two, which the published file numbered first."""
    folder = SHARED / "openp5" / "ML100K"
    published = read_indexing(folder / "item_sequential_indexing_original.txt")
    catalogue = Catalogue(tuple(sorted(published, key=int)))
    place = {item: at for at, item in enumerate(catalogue.item_ids)}
    lines = (folder / "user_sequence.txt").read_text().splitlines()
    rows = sequences([[place[item] for item in line.split()[1:-2]] for line in lines])
    made = dict(zip(catalogue.item_ids, item_names("sequential", catalogue, rows, 0), strict=True))
    seen = {catalogue.item_ids[item] for item in rows.items.tolist()}
    assert all(made[item] == published[item] for item in seen)
