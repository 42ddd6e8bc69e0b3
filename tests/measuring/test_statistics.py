"""The bootstrap is paired, calibrated and the same for the same user."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vestige.measuring.statistics import Bootstrap, by_user, kernel


def test_a_users_weights_do_not_depend_on_how_many_there_are() -> None:
    assert np.array_equal(Bootstrap(10).weights, Bootstrap(25).weights[:, :10])


def test_equal_values_differ_by_exactly_nothing() -> None:
    bootstrap, users = Bootstrap(50), np.arange(50)
    values = np.random.default_rng(0).random(50)
    difference = bootstrap.mean(users, values) - bootstrap.mean(users, values)
    assert difference.value == 0
    assert difference.interval == (0.0, 0.0)


def test_nothing_varies_nothing_spreads() -> None:
    assert Bootstrap(20).mean(np.arange(20), np.full(20, 0.25)).interval == pytest.approx((0.25, 0.25))


def test_the_order_of_users_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    users, values = np.arange(40), rng.random(40)
    order = rng.permutation(40)
    one, other = Bootstrap(40).mean(users, values), Bootstrap(40).mean(users[order], values[order])
    assert one.interval == pytest.approx(other.interval)


def test_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    f, t = rng.integers(0, 6, 30).astype(float), rng.integers(0, 6, 40).astype(float)
    ours = Bootstrap(70).auc(np.arange(30), f, np.arange(30, 70), t)
    assert ours.value == pytest.approx(roc_auc_score([1] * 30 + [0] * 40, np.concatenate([f, t])))
    assert kernel(f, t).mean() == pytest.approx(ours.value)


def test_intervals_cover() -> None:
    """95 % intervals of a mean and of an AUC hold the truth between 92 and 98 % of the time in 400 repeats."""
    rng = np.random.default_rng(3)
    bootstrap, n = Bootstrap(160), 80
    inside_mean = inside_auc = 0
    for _ in range(400):
        users = rng.permutation(160)
        a, b = rng.normal(0.5, 1, n), rng.normal(0.0, 1, n)
        low, high = bootstrap.mean(users[:n], a).interval
        inside_mean += low <= 0.5 <= high
        low, high = bootstrap.auc(users[:n], a, users[n:], b).interval
        inside_auc += low <= 0.6381632 <= high  # Φ(0.5 / √2)
    assert 0.92 <= inside_mean / 400 <= 0.98
    assert 0.92 <= inside_auc / 400 <= 0.98


def test_a_user_on_both_sides_does_not_count_twice() -> None:
    """For `interactions`, F and T are events of the same users: the replicates must centre on the value."""
    users, values = np.arange(8), np.arange(8.0)
    found = Bootstrap(8).auc(users, values + 0.1, users, values)
    assert found.replicates.mean() == pytest.approx(found.value, abs=0.01)
    assert found.interval[0] < found.value < found.interval[1]


def test_a_mean_over_queries_weighs_users_by_their_queries() -> None:
    found = Bootstrap(2).mean(np.asarray([0, 1]), np.asarray([1.0, 0.0]), np.asarray([1, 10]))
    assert found.value == pytest.approx(1 / 11)


def test_by_user_averages_within_the_user() -> None:
    users, means = by_user(np.asarray([4, 2, 4]), np.asarray([1.0, 5.0, 3.0]))
    assert users.tolist() == [2, 4]
    assert means.tolist() == [5.0, 2.0]
