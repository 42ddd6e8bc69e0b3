"""The router metric against routers with a known rate of misses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.planted import Planted, by_name, context, noise, setting, world
from vestige.data.sequences import Sequences
from vestige.measuring.contract import Context
from vestige.measuring.statistics import Bootstrap
from vestige_metrics.configs import NoSettings
from vestige_metrics.router import Router
from vestige_metrics.router_quality import Asked, brier, calibration_error, confusion

DATA, SPLIT, VIEWS = setting(world(users=140, seed=1), count=30)
N = DATA.n_items
ROLES = {role: Planted(noise(seed, N)) for seed, role in enumerate(("base", "gold", "control"))}


def routed(forget: float, others: float, missed: float = 0.0, threshold: float = 0.8, part: tuple = ()) -> Context:
    """A router that gives F's queries one output and all others another, but for the first `missed` of each view."""
    data, split, views = part or (DATA, SPLIT, VIEWS)
    ctx = context(data, split, views, {**ROLES, "unlearned": Planted(noise(41, data.n_items))})
    scored = {}
    for view, scores in ctx.subject.scores.items():
        p = np.full(len(scores), forget if view == "forget" else others, np.float32)
        p[: int(missed * len(p))] = 0.5
        scored[view] = replace(scores, router=p)
    return replace(ctx, subject=replace(ctx.subject, scores=scored, threshold=threshold))


def measure(ctx: Context):
    return by_name(Router(NoSettings()).measure(ctx))


def test_a_router_that_spots_the_forgotten_is_a_record_of_them() -> None:
    found = measure(routed(forget=0.9, others=0.1, missed=0.1))
    assert found["router_share/retain"].value == 0
    assert found["router_share/unseen_train"].value == 0
    assert found["router_share/forget"].value == pytest.approx(0.9, abs=0.02)
    assert found["router_auc/forget"].value > 0.9
    assert found["router_auc/forget"].better == "0.5"


def test_a_router_that_sends_everybody_tells_nothing() -> None:
    found = measure(routed(forget=0.9, others=0.9))
    assert found["router_auc/forget"].value == 0.5
    assert {found[f"router_share/{view}"].value for view in ("retain", "forget", "unseen_train")} == {1.0}


def test_true_positives_need_enough_never_trained() -> None:
    found = measure(routed(forget=0.9, others=0.1))
    assert found["router_tpr@5%/forget"].value is None
    assert found["router_tpr@5%/forget"].note == "30 never-trained users are too few for 5 % FPR; 100 are needed"
    large = setting(world(users=320, seed=1), count=120)
    found = measure(routed(forget=0.9, others=0.1, part=large))
    assert found["router_tpr@5%/forget"].value == 1
    assert "500 are needed" in found["router_tpr@1%/forget"].note


def test_a_given_request_has_nobody_to_compare_with() -> None:
    found = measure(routed(0.9, 0.1, part=(DATA, replace(SPLIT, exchangeable=False), VIEWS)))
    assert found["router_auc/forget"].value is None
    assert "not exchangeable" in found["router_auc/forget"].note
    assert found["router_share/forget"].value == 1


def test_what_sees_the_history_alone_says_nothing_where_both_of_a_pair_have_the_same() -> None:
    """The worst router there is, a list of every forgotten history: ½ would be no news of it."""
    data, split, views = setting(world(users=140, seed=1), kind="interactions", count=30)
    ctx = context(data, split, views, {**ROLES, "unlearned": Planted(noise(41, data.n_items))})
    listed = {tuple(h.tolist()) for h in rows_of(views.queries["forget"].histories)}
    scored = {}
    for view, scores in ctx.subject.scores.items():
        known = [tuple(h.tolist()) in listed for h in rows_of(views.queries[view].histories)]
        scored[view] = replace(scores, router=np.asarray(known, np.float32))
    found = measure(replace(ctx, subject=replace(ctx.subject, scores=scored, threshold=0.5)))
    assert np.array_equal(scored["forget"].router, scored["unseen_train"].router)
    for name in ("router_auc/forget", "router_tpr@5%/forget"):
        assert name not in found or found[name].value is None
    assert "after the same history" in found["router_auc/forget"].note
    assert found["router_share/forget"].value == 1 and found["router_share/retain"].value == 0


def rows_of(rows: Sequences) -> list[np.ndarray]:
    return [rows.row(index) for index in range(len(rows))]


def test_without_a_router_there_is_nothing_to_measure() -> None:
    ctx = context(DATA, SPLIT, VIEWS, {**ROLES, "unlearned": Planted(noise(41, N))})
    assert list(Router(NoSettings()).measure(ctx)) == []


# -- how good it is at its task -------------------------------------------------------------------------------


def asked(users: list[int], p: list[float], forget: list[int], threshold: float = 0.5) -> Asked:
    return Asked(np.asarray(users), np.asarray(p), np.asarray(forget, dtype=bool), threshold)


def test_quality_by_hand() -> None:
    # User 0 is forgotten and has two queries, of which one is missed; users 1 and 2 are retained, one is routed.
    found = asked([0, 0, 1, 2], [0.9, 0.2, 0.7, 0.1], [1, 1, 0, 0])
    boot = Bootstrap(3)
    assert brier(found, boot).value == pytest.approx(((0.1**2 + 0.8**2) / 2 + 0.7**2 + 0.1**2) / 3)
    # Four bins with one query each; each user weighs a third.
    expected = (0.1 / 2 + 0.8 / 2 + 0.7 + 0.1) / 3
    assert calibration_error(found) == pytest.approx(expected)
    cells = {name: share.value for name, share in confusion(found, boot).items()}
    assert cells == pytest.approx({"tp": 1 / 6, "fn": 1 / 6, "fp": 1 / 3, "tn": 1 / 3})


def test_calibration_is_by_bin() -> None:
    boot = Bootstrap(8)
    users = list(range(8))
    true = asked(users, [0.25] * 8, [1, 1, 0, 0, 0, 0, 0, 0])
    assert calibration_error(true) == pytest.approx(0)
    # Both errors stand in different bins, so they do not cancel.
    swapped = asked(users, [0.95] * 4 + [0.05] * 4, [0, 0, 0, 0, 1, 1, 1, 1])
    assert calibration_error(swapped) == pytest.approx(0.95)
    assert brier(swapped, boot).value == pytest.approx(0.95**2)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=2, max_size=40))
@hypothesis_settings(max_examples=60)
def test_quality_is_bounded(rows: list[tuple[int, float]]) -> None:
    found = asked([user for user, _ in rows], [p for _, p in rows], [user < 4 for user, _ in rows])
    boot = Bootstrap(10)
    b, e = brier(found, boot), calibration_error(found)
    # Within a bin the gaps may cancel, so the error is at most the mean of their sizes, which is at most √Brier.
    assert 0 <= e <= np.sqrt(b.value) + 1e-9 <= 1 + 2e-9
    cells = confusion(found, boot)
    assert sum(share.value for share in cells.values()) == pytest.approx(1)
    assert np.sum([share.replicates for share in cells.values()], axis=0) == pytest.approx(np.ones(1000))


def test_quality_is_measured_where_there_is_a_router() -> None:
    perfect = measure(routed(forget=1.0, others=0.0))
    assert perfect["router_ece"].interval is None
    assert (perfect["router_brier"].value, perfect["router_ece"].value) == (0, 0)
    assert perfect["router_precision"].value == 1
    f, r = len(SPLIT.forget_users), len(SPLIT.retained_users)
    assert perfect["router_tp"].value == pytest.approx(f / (f + r))
    assert perfect["router_fn"].value == perfect["router_fp"].value == 0
    nothing = measure(routed(forget=0.1, others=0.1))
    assert nothing["router_precision"].value is None
    assert nothing["router_precision"].note == "nothing is routed"
    given_request = measure(routed(0.9, 0.1, part=(DATA, replace(SPLIT, exchangeable=False), VIEWS)))
    assert given_request["router_brier"].value == pytest.approx(0.01)
