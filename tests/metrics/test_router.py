"""The router metric against routers with a known rate of misses."""

from dataclasses import replace

import numpy as np
import pytest

from tests.planted import Planted, by_name, context, noise, setting, world
from vestige.measuring.contract import Context
from vestige_metrics.configs import NoSettings
from vestige_metrics.router import Router

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


def test_without_a_router_there_is_nothing_to_measure() -> None:
    ctx = context(DATA, SPLIT, VIEWS, {**ROLES, "unlearned": Planted(noise(41, N))})
    assert list(Router(NoSettings()).measure(ctx)) == []
