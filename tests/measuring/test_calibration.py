"""A quick version of `make bench`'s simulation: intervals cover, comparisons neither cry wolf nor sleep."""

import numpy as np
import pytest
from benchmarks import simulate

from vestige.measuring.statistics import Bootstrap, interval

BOARDS = 100


def test_intervals_cover_on_simulated_boards() -> None:
    rates = {rate.what: rate.percent for rate in simulate.calibration(BOARDS)}
    assert len(rates) == 18
    for what, percent in rates.items():
        assert 88 <= percent <= 99, what


def test_comparisons_of_rows_see_what_is_there() -> None:
    rates = {rate.what: rate.percent for rate in simulate.comparisons(BOARDS)}
    for name in ("trained apart", "one made from the other"):
        nothing, little, much = (rates[f"rows {name}, true difference {d}"] for d in ("0", "0.02", "0.05"))
        assert nothing <= 11, name
        assert little >= 60, name
        assert much >= 99, name


def test_the_simulation_pools_as_the_harness_does() -> None:
    """Many boards at once give what `Bootstrap.mean` and pooling give for one."""
    rng = np.random.default_rng(0)
    bootstrap = Bootstrap(simulate.USERS)
    rows = [np.argsort(rng.random((simulate.USERS, 3)), axis=0)[:743] for _ in range(simulate.SEEDS)]
    values = [rng.random(r.shape) for r in rows]
    value, replicates = simulate.pooled(bootstrap, rows, values)
    each = [bootstrap.mean(r[:, 1], v[:, 1]) for r, v in zip(rows, values, strict=True)]
    pooled = np.mean([estimate.replicates for estimate in each], axis=0)
    assert value[1] == pytest.approx(np.mean([estimate.value for estimate in each]))
    assert replicates[:, 1] == pytest.approx(pooled)
    assert np.quantile(replicates[:, 1], [0.025, 0.975]) == pytest.approx(interval(pooled))


def test_seeds_taken_for_other_people_would_not_cover() -> None:
    """The same users answer at every seed: replicates that were drawn apart would make the interval too narrow."""
    rng = np.random.default_rng(2)
    bootstrap = Bootstrap(simulate.USERS)
    rows = [np.argsort(rng.random((simulate.USERS, 400)), axis=0)[:743]] * simulate.SEEDS
    (values,) = simulate._hits(rng, rows, (0.15,))
    each = [simulate.pooled(bootstrap, [r], [v])[1] for r, v in zip(rows, values, strict=True)]
    assert 92 <= simulate._covered(np.mean(each, axis=0), 0.15) <= 98
    apart = np.mean([rng.permutation(replicates) for replicates in each], axis=0)
    assert simulate._covered(apart, 0.15) < 88


def test_simulated_hits_are_as_often_as_they_are_meant_to_be() -> None:
    rng = np.random.default_rng(1)
    rows = [np.tile(np.arange(simulate.USERS)[:, None], (1, 100))] * simulate.SEEDS
    one, other = simulate._hits(rng, rows, (0.15, 0.20), shared=simulate.SAME_BASE)
    for values, rate in ((one, 0.15), (other, 0.20)):
        assert np.mean(values) == pytest.approx(rate, abs=0.005)
    between_seeds = np.corrcoef(one[0].ravel(), one[1].ravel())[0, 1]
    within_a_seed = np.corrcoef(one[0].ravel(), other[0].ravel())[0, 1]
    assert between_seeds == pytest.approx(0.5, abs=0.03)
    assert within_a_seed > 0.8
    averaged, _ = simulate._hits(rng, [r[:100] for r in rows], (0.24, 0.24), simulate.TRANSITIONS)
    assert np.std(averaged[0]) == pytest.approx(0.17, abs=0.015)
