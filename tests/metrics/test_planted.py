"""Each metric against models whose right value is known by construction, and against the known faults of the field."""

from dataclasses import replace

import numpy as np
import pytest

from tests.planted import Planted, _Fixed, by_name, context, noise, remembers, setting, world
from vestige.measuring.contract import Context
from vestige_metrics.collateral import Collateral
from vestige_metrics.configs import NoSettings, RankingConfig
from vestige_metrics.cost import Cost
from vestige_metrics.fidelity import Fidelity, jensen_shannon, ks_sign_flip
from vestige_metrics.ranking import Ranking

DATA, SPLIT, VIEWS = setting(world(users=140, seed=1), count=30)
N = DATA.n_items
GOLD, CONTROL, RECHECK = (Planted(noise(seed, N)) for seed in (1, 2, 3))
BASE = Planted(remembers(SPLIT.forget_users, 3.0, 4, N))
SWAP = Planted(remembers(SPLIT.unseen_users, 3.0, 5, N))
ROLES = {"base": BASE, "gold": GOLD, "control": CONTROL, "recheck": RECHECK, "swap": SWAP}


def judged(model: Planted, swapped: str | None = None, **more: Planted) -> Context:
    return context(DATA, SPLIT, VIEWS, {**ROLES, "unlearned": model, **more}, swapped=swapped)


def test_ranking_counts_every_query_and_ndcg_stays_under_hit() -> None:
    """ndcg over the users with a hit only (the published table's fault) would exceed hit here."""
    found = by_name(Ranking(RankingConfig()).measure(judged(BASE)))
    for name, measurement in found.items():
        if name.startswith("ndcg@10/"):
            assert measurement.value <= found[name.replace("ndcg", "hit")].value
    ranks = VIEWS.queries["retain"]
    assert len(found["hit@10/retain"].per_user.users) == len(np.unique(ranks.users)) == len(SPLIT.retained_users)


def test_ranking_knows_base_and_gold() -> None:
    found = by_name(Ranking(RankingConfig()).measure(judged(BASE)))
    assert found["hit@10:vs_base/forget"].value == 0
    assert found["hit@10:vs_gold/forget"].value > 0.3
    assert found["hit@10:vs_gold/forget"].interval[0] > 0
    assert found["hit@10/forget"].better == "gold"


def test_damage_to_neighbours_is_seen_and_general_damage_is_not() -> None:
    near = VIEWS.users("neighbours")
    strong = {**ROLES, "gold": Planted(remembers(SPLIT.retained_users, 6.0, 31, N))}
    hurt = Planted(remembers(np.setdiff1d(SPLIT.retained_users, near), 6.0, 31, N))
    all_hurt = Planted(noise(31, N))
    for model, low, high in ((hurt, -1.0, -0.4), (all_hurt, -0.15, 0.15), (strong["gold"], 0.0, 0.0)):
        ctx = context(DATA, SPLIT, VIEWS, {**strong, "unlearned": model})
        value = by_name(Collateral(NoSettings()).measure(ctx))["collateral/neighbours"].value
        assert low <= value <= high


def test_fidelity_is_0_for_base_and_1_for_another_gold() -> None:
    from dataclasses import replace

    def fidelity(model: Planted):
        ctx = judged(model)
        forget = VIEWS.queries["forget"]

        def answers(of: Planted):
            matrix = of.logits(forget)
            log_p = matrix - np.log(np.exp(matrix).sum(axis=1, keepdims=True))
            return lambda: _Fixed(log_p)

        ctx = replace(
            ctx,
            subject=replace(ctx.subject, load=answers(model)),
            roles={**ctx.roles, "gold": replace(ctx.roles["gold"], load=answers(GOLD))},
        )
        return by_name(Fidelity(NoSettings()).measure(ctx))

    assert fidelity(BASE)["fidelity/forget"].value == 0
    assert fidelity(CONTROL)["fidelity/forget"].value == 1
    same = fidelity(GOLD)
    assert same["distance/forget"].value == 0
    assert same["jensen_shannon/forget"].value == pytest.approx(0, abs=1e-9)
    assert same["ks_p/forget"].value == 1
    hidden = fidelity(Planted(remembers(SPLIT.forget_users, -6.0, 6, N)))
    assert hidden["fidelity/forget"].value == 0  # as far from gold on the other side
    assert hidden["shift/forget"].value < -3
    half = fidelity(Planted(remembers(SPLIT.forget_users, 1.5, 4, N)))
    assert 0.3 < half["fidelity/forget"].value < 0.8


def test_divergence_of_heads() -> None:
    rng = np.random.default_rng(0)
    p, q = (np.log(rng.dirichlet(np.ones(20), 5)).astype(np.float32) for _ in range(2))
    every = np.tile(np.arange(20), (5, 1))
    middle = (np.exp(p) + np.exp(q)) / 2
    exact = ((np.exp(p) * (p - np.log(middle))).sum(1) + (np.exp(q) * (q - np.log(middle))).sum(1)) / 2
    assert jensen_shannon(p, q, every) == pytest.approx(exact, rel=1e-4)
    assert jensen_shannon(p, p, every) == pytest.approx(np.zeros(5), abs=1e-9)
    # Repeats count once, and a coarser head can only hide.
    assert (jensen_shannon(p, q, every[:, [0, 1, 1]]) <= exact + 1e-6).all()
    apart = np.log(np.asarray([[1 - 1e-7, 1e-7]], np.float32)), np.log(np.asarray([[1e-7, 1 - 1e-7]], np.float32))
    assert jensen_shannon(*apart, np.asarray([[0, 1]]))[0] == pytest.approx(np.log(2), abs=1e-4)


def test_sign_flips_know_chance_from_change() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=60)
    assert ks_sign_flip(a, a, 0) == (0.0, 1.0)
    assert ks_sign_flip(a + 1.5, a, 0)[1] < 0.01
    # Pairs that share their user's part and differ by exchangeable noise: 5 % of p-values may lie under 5 %.
    shared = rng.normal(size=(200, 40))
    one, two = shared + rng.normal(size=(200, 40)), shared + rng.normal(size=(200, 40))
    p_values = np.asarray([ks_sign_flip(x, y, seed)[1] for seed, (x, y) in enumerate(zip(one, two, strict=True))])
    assert np.mean(p_values <= 0.05) <= 0.11  # four standard errors above 0.05


def test_cost_is_relative_to_gold() -> None:
    found = by_name(Cost(NoSettings()).measure(judged(BASE)))
    assert found["cost_seconds"].value == 1.0
    context = judged(BASE)
    unsaid = replace(context.subject, cost=replace(context.subject.cost, trainable_parameters=None))
    silent = by_name(Cost(NoSettings()).measure(replace(context, subject=unsaid)))
    # Nothing said is not nothing trained.
    assert (silent["cost_parameters"].value, silent["cost_parameters"].note) == (None, "not counted by the method")
