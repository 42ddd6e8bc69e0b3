"""Random windows: where they lie, and how often an interaction is in one."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vestige.data.sequences import sequences
from vestige.progress import silent
from vestige.recommenders import training
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.t5 import IGNORED, T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.recommenders.windows import Coverage, draw_pass, draw_windows, mean_size, windows_a_pass

DRAWS = 40_000
COVERAGES: tuple[Coverage, ...] = get_args(Coverage)


def covered(length: int, window: int, coverage: Coverage) -> np.ndarray:
    """[length]: the share of windows that each interaction is in."""
    starts, sizes = draw_windows(np.full(DRAWS, length), window, coverage, np.random.default_rng(0))
    edges = np.zeros(length + 1)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + sizes, -1)
    return np.cumsum(edges)[:length] / DRAWS


@given(
    lengths=st.lists(st.integers(0, 90), min_size=1, max_size=20),
    window=st.integers(1, 40),
    coverage=st.sampled_from(COVERAGES),
    seed=st.integers(0, 99),
)
def test_a_window_is_a_piece_of_its_sequence(lengths: list[int], window: int, coverage: Coverage, seed: int) -> None:
    of = np.asarray(lengths)
    starts, sizes = draw_windows(of, window, coverage, np.random.default_rng(seed))
    assert (starts >= 0).all() and (starts + sizes <= of).all()
    assert (sizes[of > 0] >= 1).all() and (sizes <= window).all()
    fits = of <= window
    assert (starts[fits] == 0).all() and (sizes[fits] == of[fits]).all()
    if coverage == "inside":
        assert (sizes[~fits] == window).all()


@pytest.mark.parametrize(("length", "window"), [(59, 30), (95, 30), (20, 6), (7, 1)])
def test_even_windows_hold_every_interaction_as_often(length: int, window: int) -> None:
    share = window / (length + window - 1)
    error = np.sqrt(share * (1 - share) / DRAWS)
    assert covered(length, window, "even") == pytest.approx(np.full(length, share), abs=5 * error)


def test_one_interaction_more_changes_little_of_what_is_seen_of_a_sequence() -> None:
    """Base has some interactions of a user that gold has not; of the others, both must see about as much."""
    seen = [covered(length, 30, "even") for length in range(29, 64)]
    assert max(abs(np.diff([share.sum() for share in seen]))) < 1.5
    assert all(share.min() > share.max() / 3 for share in seen)


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("length", [1, 6, 12, 13, 20, 23, 24, 60])
def test_the_mean_size_is_what_draws_give(length: int, coverage: Coverage) -> None:
    _, sizes = draw_windows(np.full(DRAWS, length), 12, coverage, np.random.default_rng(0))
    error = 5 * sizes.std() / np.sqrt(DRAWS)
    assert mean_size(np.asarray([length]), 12, coverage) == pytest.approx(sizes.mean(), abs=error + 1e-9)


def test_windows_inside_hold_the_ends_seldom() -> None:
    share = covered(95, 30, "inside")
    assert share[47] == pytest.approx(30 / 66, abs=0.02)
    assert share[0] == pytest.approx(1 / 66, abs=0.01) and share[-1] == pytest.approx(1 / 66, abs=0.01)


@given(lengths=st.lists(st.integers(0, 90), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_a_pass_has_every_sequence_once_unless_it_is_to_show_them_whole(lengths: list[int], seed: int) -> None:
    of = np.asarray(lengths)
    order = np.random.default_rng(seed).permutation(len(of))
    for coverage in COVERAGES[:2]:
        assert draw_pass(of, 12, coverage, np.random.default_rng(seed)).tolist() == order.tolist()
    whole = np.bincount(draw_pass(of, 12, "whole", np.random.default_rng(seed)), minlength=len(of))
    assert (whole >= 1).all() and (whole[of <= 12] == 1).all()
    wanted = windows_a_pass(of, 12, "whole")
    assert (np.floor(wanted) <= whole).all() and (whole <= np.floor(wanted) + 1).all()


@pytest.mark.parametrize(("length", "each"), [(1, True), (12, True), (13, False), (17, False), (23, True), (60, True)])
def test_a_whole_pass_shows_every_interaction_once(length: int, each: bool) -> None:
    """On average over passes, and over a sequence of which not every interaction is as likely to be shown."""
    rng, passes = np.random.default_rng(0), np.full(DRAWS // 4, length)
    drawn = draw_pass(passes, 12, "whole", rng)
    starts, sizes = draw_windows(passes[drawn], 12, "whole", rng)
    edges = np.zeros(length + 1)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + sizes, -1)
    shown = np.cumsum(edges)[:length] / len(passes)
    assert shown.mean() == pytest.approx(1, abs=0.01)
    assert not each or shown == pytest.approx(np.ones(length), abs=0.06)


@pytest.mark.parametrize("of", [SASRec, T5Recommender])
def test_whole_passes_take_as_many_steps_as_their_windows_need(of: type[SASRec] | type[T5Recommender]) -> None:
    """Ten sequences of a window and one of a hundred: 10 windows and about 109 a pass; else 11."""
    rows = sequences([[1, 2]] * 10 + [list(range(200))])
    catalogue = Catalogue(tuple(map(str, range(200))))
    shape = {"d_model": 8, "d_ff": 8, "layers": 1, "heads": 2, "batch_size": 1, "passes": 3, "window": 2}
    settings = SASRecConfig if of is SASRec else T5RecommenderConfig
    wanted = 10 + 200 / (2 * 200 / 201)
    for coverage, windows in (("even", 11.0), ("whole", wanted)):
        model = of(settings(**shape, coverage=coverage), catalogue)  # type: ignore[arg-type]
        assert model.fit(rows, 0, silent).steps == 3 * np.ceil(windows)


@pytest.mark.parametrize("name", ["t5", "sasrec"])
def test_recommenders_are_trained_on_the_windows_that_they_are_set_to(name: str) -> None:
    """The last interaction of twenty, a window being six: in 1 of 15 windows inside, in 6 of 25 even ones."""
    rows, catalogue = sequences([list(range(20))] * 2000), Catalogue(tuple(map(str, range(20))))
    small = {"d_model": 8, "d_ff": 8, "layers": 1, "heads": 1, "window": 6}
    for coverage, share in (("inside", 1 / 15), ("even", 6 / 25), ("whole", 6 / 25)):
        settings = {**small, "coverage": coverage}
        model = (
            T5Recommender(T5RecommenderConfig(**settings), catalogue)
            if name == "t5"
            else SASRec(SASRecConfig(**settings), catalogue)
        )
        targets = model.batch(rows, np.random.default_rng(0)).targets
        assert ((targets == 19).sum() / 2000).item() == pytest.approx(share, abs=0.03)
        seen = model.transitions(rows, np.random.default_rng(0)).targets
        assert sorted(seen.tolist()) == sorted(targets[targets != IGNORED].tolist())


def test_older_settings_are_described_as_ever() -> None:
    assert "coverage" not in T5RecommenderConfig().model_dump()
    assert T5RecommenderConfig(coverage="even").model_dump()["coverage"] == "even"


def trained(of: type[SASRec] | type[T5Recommender], seed: int) -> tuple[float, dict[str, torch.Tensor]]:
    """FLOPs a step, and the weights: eleven sequences, one of them long, a sequence a step, with dropout."""
    shape = {"d_model": 8, "d_ff": 8, "layers": 1, "heads": 2, "batch_size": 1, "passes": 2, "dropout": 0.2}
    catalogue = Catalogue(tuple(map(str, range(300))))
    rows = sequences([[1, 2], *([[3, 4]] * 9), list(range(20))])
    model = of(SASRecConfig(**shape) if of is SASRec else T5RecommenderConfig(**shape), catalogue)  # type: ignore[arg-type]
    report = model.fit(rows, seed, silent)
    return report.flops / report.steps, model.module.state_dict()


@pytest.mark.parametrize("of", [SASRec, T5Recommender])
def test_operations_are_counted_without_changing_what_is_learned(
    of: type[SASRec] | type[T5Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of a pass together take the same whatever their order; the first alone would not tell."""
    sparse, weights = trained(of, 1)
    monkeypatch.setattr(training, "COUNTED", 1)
    exact, same = trained(of, 1)
    assert exact == trained(of, 2)[0] != sparse
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_a_smaller_last_batch_is_counted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 33 sequences in batches of 32 the second has one, and only full ones come to be counted."""
    shape = {"d_model": 8, "d_ff": 8, "layers": 1, "heads": 2, "batch_size": 32, "passes": 4}
    flops = []
    for counted in (250, 1):
        monkeypatch.setattr(training, "COUNTED", counted)
        model = SASRec(SASRecConfig(**shape), Catalogue(tuple(map(str, range(300)))))  # type: ignore[arg-type]
        flops.append(model.fit(sequences([[1, 2, 3, 4]] * 33), 0, silent).flops)
    assert flops[0] == pytest.approx(flops[1], rel=0.05)
