"""Membership against planted models: who remembers is caught, who forgot is not, and nothing else matters."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import (
    Planted,
    by_name,
    context,
    noise,
    remembers,
    remembers_events,
    setting,
    shadows,
    subject,
    with_told,
    world,
)
from vestige.data.interactions import Interactions
from vestige.data.request import HoldoutConfig, Part, RequestConfig, Split, draw, hold_out
from vestige.data.sequences import Sequences
from vestige.data.views import Queries, Views, build
from vestige.measuring.attacks import Attempts, Told
from vestige.measuring.contract import Context, Subject
from vestige.measuring.statistics import by_user
from vestige.recommenders.scoring import Scores
from vestige_metrics.blackbox import blackbox_features
from vestige_metrics.configs import NoSettings
from vestige_metrics.crossfit import FOLDS, cross_fitted, folds
from vestige_metrics.membership import Membership
from vestige_metrics.membership_attacks import (
    BUILT_IN,
    attack,
    attack_auc,
    attack_names,
    has_power,
    timed_names,
    why_not,
)
from vestige_metrics.memory import Sides, features, score_sides, sides, units
from vestige_metrics.plugin import vestige_metrics
from vestige_metrics.power import blind_sides, permuted
from vestige_metrics.shadow import shadow_sides
from vestige_metrics.telling import QUANTILES, auc, standing, true_positive_rate, units_for

DATA, SPLIT, VIEWS = setting(world(users=140, seed=1), count=30)
N = DATA.n_items
BASE = Planted(remembers(SPLIT.forget_users, 3.0, 4, N))
ROLES = {
    "base": BASE,
    "gold": Planted(noise(1, N)),
    "control": Planted(noise(2, N)),
    "recheck": Planted(noise(3, N)),
    "swap": Planted(remembers(SPLIT.unseen_users, 3.0, 5, N)),
}
SHADOWS = shadows(DATA, SPLIT, VIEWS)
ATTACKS = ("raw", "calibrated", "learned", "blackbox", "shadow", "swap")

# Interactions: up to half of what 40 users trained on, of which at most ten pairs a user are asked.
WIDE = world(users=60, items=80, events=50, seed=2)
PAIRS = draw(WIDE, RequestConfig(kind="interactions", count=40, percent=40), HoldoutConfig(), 0)
ASKED = build(WIDE, PAIRS, 0)
W = WIDE.n_items
EVENT_ROLES = {
    "base": Planted(remembers_events(WIDE, PAIRS.events(Part.FORGET), 3.0, 4)),
    "gold": Planted(noise(1, W)),
    "control": Planted(noise(2, W)),
    "recheck": Planted(noise(3, W)),
    "swap": Planted(remembers_events(WIDE, PAIRS.events(Part.UNSEEN), 3.0, 5)),
}
EVENT_SHADOWS = shadows(WIDE, PAIRS, ASKED)


def judged(model: Planted, swapped: str | None = "swap", **roles: Planted) -> Context:
    ctx = context(DATA, SPLIT, VIEWS, {**ROLES, **roles, "unlearned": model}, swapped=swapped)
    return replace(ctx, shadows=SHADOWS)


def judged_events(model: Planted, swapped: str = "swap") -> Context:
    ctx = context(WIDE, PAIRS, ASKED, {**EVENT_ROLES, "unlearned": model}, swapped=swapped)
    return replace(ctx, shadows=EVENT_SHADOWS)


def afresh(ctx: Context, **changes: object) -> Context:
    """The context with changes, and nothing remembered from before them."""
    return replace(ctx, memo={}, **changes)  # type: ignore[arg-type]


def measure(ctx: Context):
    return by_name(Membership(NoSettings()).measure(ctx))


def sides_of(forget: np.ndarray, unseen: np.ndarray) -> Sides:
    return Sides(np.arange(len(forget)), len(forget) + np.arange(len(unseen)), forget, unseen)


# -- what each attack must say -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [judged, judged_events])
def test_a_model_that_remembers_is_caught_by_every_attack(make) -> None:
    found = measure(make(BASE if make is judged else EVENT_ROLES["base"]))
    for name in ATTACKS:
        measurement = found[f"auc_{name}/forget"]
        assert measurement.interval[0] > 0.6, name
        assert measurement.note == ""
        assert found[f"auc_{name}:vs_gold/forget"].interval[0] > 0


@pytest.mark.parametrize("make", [judged, judged_events])
def test_a_model_that_forgot_is_told_by_none(make) -> None:
    found = measure(make(Planted(noise(9, N if make is judged else W)), swapped="control"))
    for name in ATTACKS:
        low, high = found[f"auc_{name}/forget"].interval
        assert low < 0.5 < high, name


def test_hiding_leaves_an_auc_far_below_a_half() -> None:
    found = measure(judged(Planted(remembers(SPLIT.forget_users, -3.0, 6, N))))
    for name in ("raw", "calibrated", "shadow"):
        assert found[f"auc_{name}/forget"].value < 0.2
    # An attack that learns does not mind which way the forgotten differ.
    for name in ("learned", "blackbox"):
        assert found[f"auc_{name}/forget"].value > 0.8


def test_an_over_fitted_model_gives_everything_away() -> None:
    found = measure(judged(Planted(remembers(SPLIT.forget_users, 12.0, 7, N))))
    for name in ("raw", "calibrated", "learned", "blackbox", "shadow"):
        assert found[f"auc_{name}/forget"].value > 0.99, name


def test_an_attack_without_power_says_so() -> None:
    ctx = judged(ROLES["control"], base=Planted(noise(8, N)))
    assert measure(ctx)["auc_raw/forget"].note == "NO POWER"
    assert not has_power(ctx, "raw")
    assert has_power(judged(BASE), "raw")


def test_base_and_gold_are_attacked_with_the_same_labels() -> None:
    """The published table's fault: with its labels swapped, gold's AUC would be one minus what it is."""
    ctx = judged(ROLES["gold"])
    found = measure(ctx)
    for name in ("raw", "calibrated", "learned", "blackbox", "shadow"):
        assert found[f"auc_{name}:vs_gold/forget"].value == 0, name
    told = score_sides(ctx, ctx.roles["base"])
    assert told.forget_values.mean() > told.unseen_values.mean() + 1
    swapped = Sides(told.unseen, told.forget, told.unseen_values, told.forget_values)
    assert auc(ctx, swapped).value == pytest.approx(1 - auc(ctx, told).value)
    assert auc(ctx, swapped).interval[1] < 0.5  # so a board that mixed them up would say NO POWER everywhere


def test_what_a_board_does_not_have_is_said() -> None:
    without = {name: model for name, model in ROLES.items() if name not in ("recheck", "swap")}
    ctx = context(DATA, SPLIT, VIEWS, {**without, "unlearned": BASE})
    found = measure(ctx)
    for name, word in (("calibrated", "recheck"), ("shadow", "no shadow models"), ("swap", "second world")):
        assert found[f"auc_{name}/forget"].value is None
        assert word in found[f"auc_{name}/forget"].note
        assert word in why_not(ctx, name)
        assert not has_power(ctx, name)
    assert found["standing_q50_calibrated/forget"].value is None
    assert found["auc_permuted_calibrated/forget"].value is None
    assert why_not(ctx, "raw") == ""


def test_a_given_request_is_only_swapped() -> None:
    ctx = afresh(judged(BASE), split=replace(SPLIT, exchangeable=False))
    for name, measurement in measure(ctx).items():
        if name.startswith("auc_swap"):
            assert measurement.value is not None
        else:
            assert measurement.value is None
            assert "swap measures" in measurement.note


def test_a_given_list_of_interactions_is_swapped_without_pairs() -> None:
    """T may then be smaller than F, and no two stand together."""
    rows = {**ASKED.rows, "unseen_train": ("unseen_train", np.arange(250))}
    views = Views(
        {**ASKED.queries, "unseen_train": _take(ASKED.queries["unseen_train"], np.arange(250))}, rows, ASKED.events
    )
    ctx = context(
        WIDE,
        replace(PAIRS, exchangeable=False),
        views,
        {**EVENT_ROLES, "unlearned": EVENT_ROLES["base"]},
        swapped="swap",
    )
    assert measure(ctx)["auc_swap/forget"].interval[0] > 0.6


def test_few_users_have_no_interval() -> None:
    data, split, views = setting(world(users=60, seed=1), count=4)
    roles = {name: Planted(noise(seed, data.n_items)) for seed, name in enumerate(ROLES)}
    ctx = context(data, split, views, {**roles, "unlearned": Planted(noise(9, data.n_items))}, swapped="swap")
    assert why_not(ctx, "raw") == why_not(ctx, "swap") == "4 pairs of users are too few; 5 are needed"
    # Many interactions of few users are few users.
    few = draw(WIDE, RequestConfig(kind="interactions", count=3, percent=40), HoldoutConfig(), 0)
    roles = {name: Planted(noise(seed, W)) for seed, name in enumerate(ROLES)}
    ctx = context(WIDE, few, build(WIDE, few, 0), {**roles, "unlearned": Planted(noise(9, W))}, swapped="swap")
    assert len(units(ctx).pairs) > 20
    assert why_not(ctx, "raw") == "3 affected users are too few; 5 are needed"


@pytest.mark.parametrize(("count", "enough"), [(11, False), (12, True)])
def test_of_few_pairs_no_attack_is_said_to_work(count: int, enough: bool) -> None:
    """On five pairs without any signal a learned attack seems to have power in one case of ten."""
    data, split, views = setting(world(users=90, seed=1), count=count)
    base = Planted(remembers(split.forget_users, 6.0, 0, data.n_items))
    roles = {name: Planted(noise(seed, data.n_items)) for seed, name in enumerate(ROLES)}
    ctx = context(data, split, views, {**roles, "base": base, "unlearned": base})
    found = measure(ctx)["auc_raw/forget"]
    assert found.value > 0.95
    assert has_power(ctx, "raw") is enough
    assert found.note == ("" if enough else "NO POWER: on 11 users a side, 12 are needed to tell")


def test_every_name_is_announced() -> None:
    spec = next(spec for spec in vestige_metrics() if spec.name == "membership")
    ctx = judged(BASE)
    noise_of = {view: np.random.default_rng(0).normal(size=len(VIEWS.queries[view])) for view in VIEWS.queries}
    probe = Told("probe", noise_of["forget"][:, None], noise_of["unseen_train"][:, None])
    latency = Told("latency", noise_of["forget"], noise_of["unseen_train"], varies=True)
    ctx = told_by_all(told_by_all(ctx, probe), latency)
    from_specs = {"auc_probe", "auc_latency"}
    yielded = [m.metric for m in Membership(NoSettings()).measure(ctx)]
    assert set(yielded) <= set(spec.measures) | from_specs
    assert set(spec.measures) <= set(yielded)
    assert len(yielded) == len(set(yielded))


# -- swap ----------------------------------------------------------------------------------------------------------


def test_swap_cancels_what_makes_f_easy() -> None:
    """F is easy for every model alike: raw AUC is fooled, swap is not."""
    easy = [Planted(remembers(SPLIT.forget_users, 2.0, seed, N)) for seed in (21, 22)]
    ctx = judged(easy[0], swapped="other", other=easy[1], gold=easy[0], control=easy[1])
    found = measure(ctx)
    assert found["auc_raw/forget"].value > 0.8
    assert found["auc_swap/forget"].value == pytest.approx(0.5, abs=0.05)


def test_swap_is_asked_for_like_every_other_attack() -> None:
    ctx = judged(Planted(noise(9, N)))
    roles = ctx.roles

    def expected(here: Subject, there: Subject) -> float:
        a, b = score_sides(ctx, here), score_sides(ctx, there)
        of_t = Sides(b.unseen, b.forget, b.unseen_values, b.forget_values)
        return (auc(ctx, a).value + auc(ctx, of_t).value) / 2

    worlds = (("base", "swap"), ("gold", "control"), ("control", "recheck"), ("recheck", "gold"))
    for here, there in worlds:
        assert attack_auc(ctx, roles[here], "swap").value == expected(roles[here], roles[there])
    assert attack_auc(ctx, ctx.subject, "swap").value == expected(ctx.subject, ctx.swapped)
    assert has_power(ctx, "swap")


# -- what an attack may use ----------------------------------------------------------------------------------------


def test_lists_and_ranks_are_all_that_blackbox_sees() -> None:
    ctx = judged(BASE)

    def blinded(model: Subject) -> Subject:
        hide = ("log_prob", "entropy", "margin", "top_log_probs")
        scores = {
            view: replace(s, **{name: np.full_like(getattr(s, name), np.nan) for name in hide})
            for view, s in model.scores.items()
        }
        return replace(model, scores=scores)

    hidden = afresh(ctx, subject=blinded(ctx.subject))
    assert attack_auc(hidden, hidden.subject, "blackbox").value == attack_auc(ctx, ctx.subject, "blackbox").value


def test_blackbox_features_by_hand() -> None:
    data = world(users=40, items=150, events=20, seed=3)
    data, split, views = setting(data, count=6)
    ctx = context(data, split, views, {"unlearned": Planted(noise(1, data.n_items)), "gold": Planted(noise(2, 150))})
    for view in ("forget", "unseen_train"):
        scores, queries = ctx.scores(ctx.subject, view), views.queries[view]
        found = blackbox_features(ctx, ctx.subject, view)
        for q in range(len(queries)):
            own = set(data.item[(data.user == queries.users[q]) & (split.part <= Part.UNSEEN)].tolist())
            rank, top = 1 + scores.above[q], scores.top_items[q].tolist()
            shares = [len(own & set(top[:width])) / width for width in (10, 100)]
            by_hand = [np.log(rank), rank <= 1, rank <= 10, queries.targets[q] in top, *shares]
            assert found[q] == pytest.approx(np.asarray(by_hand, dtype=float))


def test_calibration_of_recheck_is_by_control() -> None:
    ctx = judged(BASE)
    recheck = afresh(ctx, subject=ctx.roles["recheck"])
    expected = score_sides(ctx, ctx.roles["recheck"]).minus(score_sides(ctx, ctx.roles["control"]))
    assert attack_auc(recheck, recheck.subject, "calibrated").value == auc(ctx, expected).value
    # Minus itself, recheck would be constant, and its AUC exactly a half.
    assert measure(recheck)["auc_calibrated/forget"].value != 0.5


def test_an_auc_is_computed_once_in_a_cell() -> None:
    ctx = judged(BASE)
    for name in attack_names(ctx):
        assert attack_auc(ctx, ctx.roles["base"], name) is attack_auc(ctx, ctx.roles["base"], name)


# -- shadows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_the_shadow_attack_is_the_one_of_the_paper(kind: str) -> None:
    """Against loops over units and shadows that follow the definition word by word."""
    ctx = judged(BASE) if kind == "users" else judged_events(EVENT_ROLES["base"])
    split, views = ctx.split, ctx.views
    found = shadow_sides(ctx, ctx.subject)

    def score(model: Subject, side: str, unit: int) -> float:
        view = "forget" if side == "forget" else "unseen_train"
        log_prob = model.scores[view].log_prob.astype(np.float64)
        if kind == "interactions":
            return log_prob[unit]
        users = split.forget_users if side == "forget" else split.unseen_users
        return log_prob[views.queries[view].users == users[unit]].mean()

    n = len(split.forget_users) if kind == "users" else len(views.queries["forget"])
    forgotten = split.events(Part.FORGET).tolist()
    means, squares, freedom = {}, 0.0, 0
    for side in ("forget", "unseen"):
        for unit in range(n):
            pair = unit if kind == "users" else forgotten.index(views.events["forget"][unit])
            trained_on = [s.has_forget[pair] == (side == "forget") for s in ctx.shadows]
            out = [score(s.model, side, unit) for s, had in zip(ctx.shadows, trained_on, strict=True) if not had]
            assert len(out) == len(ctx.shadows) // 2
            means[side, unit] = np.mean(out)
            squares += np.sum((np.asarray(out) - np.mean(out)) ** 2)
            freedom += len(out) - 1
    for side, values in (("forget", found.forget_values), ("unseen", found.unseen_values)):
        expected = [(score(ctx.subject, side, u) - means[side, u]) / np.sqrt(squares / freedom) for u in range(n)]
        assert values == pytest.approx(np.asarray(expected))


def test_shadows_take_out_how_hard_a_unit_is() -> None:
    """Units differ far more than memory does: their own shadows tell, the score alone hardly."""
    hard = np.random.default_rng(5).normal(scale=4.0, size=DATA.n_users)

    def uneven(inner):
        def logits(queries: Queries):
            z = inner(queries)
            z[np.arange(len(queries)), queries.targets] += hard[queries.users]
            return z

        return logits

    ctx = judged(Planted(uneven(remembers(SPLIT.forget_users, 2.0, 4, N))))
    models = [
        Planted(uneven(remembers(np.where(s.has_forget, SPLIT.forget_users, SPLIT.unseen_users), 2.0, 70 + i, N)))
        for i, s in enumerate(SHADOWS)
    ]
    uneven_shadows = tuple(
        replace(s, model=subject(s.model.name, model, VIEWS, N)) for s, model in zip(SHADOWS, models, strict=True)
    )
    ctx = afresh(ctx, shadows=uneven_shadows)
    shadow, raw = (attack_auc(ctx, ctx.subject, name).value for name in ("shadow", "raw"))
    assert shadow > 0.9
    assert shadow > raw + 0.2


def test_too_few_shadows_are_refused() -> None:
    ctx = afresh(judged(BASE), shadows=SHADOWS[:2])
    assert why_not(ctx, "shadow") == "somebody is left out of only 1 of 2 shadow models; 2 are needed"
    assert measure(ctx)["auc_shadow/forget"].value is None
    assert why_not(afresh(ctx, shadows=()), "shadow") == "no shadow models were trained on this seed"
    # Two pairs of complementary shadows leave everybody out twice.
    assert why_not(afresh(ctx, shadows=SHADOWS[:4]), "shadow") == ""


# -- what attack plugins told --------------------------------------------------------------------------------------


def told_by_all(ctx: Context, told: Told, but: tuple[str, ...] = ()) -> Context:
    """The same told of every model but those named."""
    models = {name: model if name in but else with_told(model, told) for name, model in ctx.roles.items()}
    own = ctx.subject if "unlearned" in but else with_told(ctx.subject, told)
    return afresh(ctx, subject=own, roles=models)


def told(values: dict[str, np.ndarray], name: str = "probe", varies: bool = False) -> Told:
    return Told(name, values["forget"], values["unseen_train"], varies)


def states(signal: float, width: int = 80, seed: int = 0) -> dict[str, np.ndarray]:
    """More features than users, the first of which may tell."""
    rng = np.random.default_rng(seed)
    values = {view: rng.normal(size=(len(VIEWS.queries[view]), width)) for view in ("forget", "unseen_train")}
    values["forget"][:, 0] += signal
    return values


def test_states_that_tell_are_read_and_others_are_not() -> None:
    ctx = told_by_all(judged(BASE), told(states(signal=2.0)))
    assert attack_names(ctx)["probe"] == "weights"
    assert has_power(ctx, "probe")
    assert measure(ctx)["auc_probe:vs_gold/forget"].value == 0
    silent = told_by_all(judged(BASE), told(states(signal=0.0)))
    low, high = attack_auc(silent, silent.subject, "probe").interval
    assert low < 0.5 < high
    assert measure(silent)["auc_probe/forget"].note == "NO POWER"


def test_single_values_are_taken_as_they_are() -> None:
    values = {view: by_view[:, 0] for view, by_view in states(signal=30.0).items()}
    ctx = told_by_all(judged(BASE), told(values, "whisper"))
    found = measure(ctx)
    assert found["auc_whisper/forget"].value == 1
    assert "100 are needed" in found["tpr@5%_whisper/forget"].note
    upside_down = told_by_all(judged(BASE), told({view: -v for view, v in values.items()}, "whisper"))
    assert measure(upside_down)["auc_whisper/forget"].value == 0


def test_what_varies_stands_apart() -> None:
    values = {view: by_view[:, 0] for view, by_view in states(signal=1.0).items()}
    ctx = told_by_all(judged(BASE), told(values, "latency", varies=True))
    assert "latency" not in attack_names(ctx)
    assert timed_names(ctx) == {"latency": "weights"}
    for name, measurement in measure(ctx).items():
        assert measurement.varies == ("latency" in name)


def test_a_model_of_which_nothing_was_brought_back_says_so() -> None:
    ctx = told_by_all(judged(BASE), told(states(2.0)), but=("unlearned",))
    assert why_not(ctx, "probe") == "the attack brought nothing back of this model"
    assert measure(ctx)["auc_probe/forget"].value is None
    failed = replace(ctx.subject, attempts=Attempts(failed={"probe": "ValueError: no states"}))
    assert why_not(afresh(ctx, subject=failed), "probe").endswith("of this model (ValueError: no states)")
    ctx = told_by_all(judged(BASE), told(states(2.0)), but=("gold",))
    assert why_not(ctx, "probe") == "the attack brought nothing back of gold, to compare with"
    assert "probe" not in attack_names(judged(BASE))


# -- interactions --------------------------------------------------------------------------------------------------


def test_interactions_are_units_of_their_own() -> None:
    ctx = judged_events(EVENT_ROLES["base"])
    found = score_sides(ctx, ctx.subject)
    asked = len(ASKED.queries["forget"])
    assert asked > 3 * len(PAIRS.forget_users)
    assert len(found.forget) == len(found.unseen) == asked
    assert (found.forget == found.unseen).all()
    assert found.forget_values == pytest.approx(ctx.scores(ctx.subject, "forget").log_prob)
    assert (PAIRS.events(Part.FORGET)[units(ctx).pairs] == ASKED.events["forget"]).all()
    assert (PAIRS.events(Part.UNSEEN)[units(ctx).pairs] == ASKED.events["unseen_train"]).all()
    # Some pairs are not asked, so a pair's number is not the query's.
    assert units(ctx).pairs.max() > asked


def test_users_count_for_true_positives_whatever_was_forgotten() -> None:
    found = measure(judged_events(EVENT_ROLES["base"]))
    people = len(np.unique(ASKED.queries["unseen_train"].users))
    assert people < 100 <= len(ASKED.queries["unseen_train"])
    for percent, needed in ((5, 100), (1, 500)):
        note = f"{people} never-trained users are too few for {percent} % FPR; {needed} are needed"
        assert (found[f"tpr@{percent}%_raw/forget"].value, found[f"tpr@{percent}%_raw/forget"].note) == (None, note)


def test_the_interactions_of_few_users_do_not_count_as_many() -> None:
    """Ten users with ten interactions each are ten that a threshold was drawn by."""
    users = np.repeat(np.arange(10), 10).astype(np.int32)
    values = np.arange(100.0)
    told = Sides(users, users, values, values)
    assert true_positive_rate(judged(BASE), told, 5, "tpr@5%").value is None


def test_a_users_interactions_share_a_fold() -> None:
    ctx = judged_events(EVENT_ROLES["base"])
    fold = attack(ctx, "learned").values(ctx, ctx.subject).fold  # type: ignore[attr-defined]
    users = units(ctx).forget
    assert all(len(set(fold[users == user])) == 1 for user in np.unique(users))
    assert set(fold) == set(range(FOLDS))


# -- true positives ------------------------------------------------------------------------------------------------


def test_true_positives_are_counted_exactly_and_refused_where_t_is_small() -> None:
    ctx = judged(BASE)
    told = sides_of(np.linspace(90.5, 100.5, 20), np.arange(100).astype(float))
    found = true_positive_rate(ctx, told, 5, "tpr@5%")
    # 5 of 100 lie above 94: a threshold just above it lets 5 % of T pass, and the forgotten above it are found.
    assert found.value == pytest.approx(np.mean(told.forget_values > 94))
    refused = true_positive_rate(ctx, told, 1, "tpr@1%")
    assert refused.value is None
    assert refused.note == "100 never-trained users are too few for 1 % FPR; 500 are needed"


def test_ties_do_not_lend_true_positives() -> None:
    constant = sides_of(np.zeros(20), np.zeros(100))
    assert true_positive_rate(judged(BASE), constant, 5, "tpr@5%").value == 0.0


def test_attacks_of_different_folds_have_no_common_threshold() -> None:
    found = measure(judged(BASE))
    assert {name for name in found if name.startswith("tpr@5%")} == {
        f"tpr@5%_{name}/forget" for name in ("raw", "calibrated", "shadow")
    }


# -- where the forgotten stand -------------------------------------------------------------------------------------


def test_standing_by_hand() -> None:
    # Shares of T below: 0, ½ (a tie with two of four counts half), ¾, 1; their places are 1/5, 2/5, 3/5, 4/5.
    told = sides_of(np.asarray([9.0, 2.0, -1.0, 3.5]), np.asarray([1.0, 2.0, 2.0 + 1e-9, 4.0]))
    found = standing(judged(BASE), told)
    shares = [0.0, 0.375, 0.75, 1.0]
    assert set(found) == {25, 50, 75}
    for q in found:
        assert found[q].value == pytest.approx(np.interp(q / 100, [0.2, 0.4, 0.6, 0.8], shares)), q
    assert found[50].value == pytest.approx((0.375 + 0.75) / 2)


@pytest.mark.parametrize(
    ("n", "known"), [(1, {50}), (2, {50}), (3, {25, 50, 75}), (18, {25, 50, 75}), (19, set(QUANTILES))]
)
def test_the_lowest_of_few_is_no_quantile_of_a_small_share(n: int, known: set[int]) -> None:
    """The lowest of five stands at 1/6: called the 5 % quantile, it would make whoever forgot seem to remember."""
    found = standing(judged(BASE), sides_of(np.arange(float(n)), np.arange(40.0)))
    assert set(found) == known == {q for q in QUANTILES if n >= units_for(q)}


def test_an_exchangeable_f_stands_where_its_quantiles_say() -> None:
    rng = np.random.default_rng(0)
    ctx = judged(BASE)
    draws = [standing(ctx, sides_of(*rng.normal(size=(2, 40)))) for _ in range(200)]
    for q in QUANTILES:
        values = np.asarray([found[q].value for found in draws])
        assert values.mean() == pytest.approx(q / 100, abs=3 * values.std() / np.sqrt(len(values)) + 1e-3), q
        covered = np.mean([found[q].interval[0] <= q / 100 <= found[q].interval[1] for found in draws])
        assert covered > 0.85, q


def test_standing_is_of_f_among_t() -> None:
    found = measure(judged(BASE))
    gold = measure(judged(ROLES["gold"]))
    for q in QUANTILES:
        assert found[f"standing_q{q:02d}_raw/forget"].value > gold[f"standing_q{q:02d}_raw/forget"].value
    values = [found[f"standing_q{q:02d}_calibrated/forget"].value for q in QUANTILES]
    assert values == sorted(values)


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 30))
@settings(max_examples=25)
def test_standing_mirrors(seed: int, n: int, m: int) -> None:
    """What is q from below for F is 1 − q from above, in every replicate."""
    rng = np.random.default_rng(seed)
    told = sides_of(rng.integers(0, 6, n).astype(float), rng.integers(0, 6, m).astype(float))
    mirrored = Sides(told.forget, told.unseen, -told.forget_values, -told.unseen_values)
    ctx = judged(BASE)
    up, down = standing(ctx, told), standing(ctx, mirrored)
    assert set(up) == set(down) and 50 in up
    for q in up:
        assert up[q].value == pytest.approx(1 - down[100 - q].value)


# -- nothing else matters ------------------------------------------------------------------------------------------


def _take(queries: Queries, rows: np.ndarray) -> Queries:
    return Queries(queries.histories.take(rows), queries.targets[rows], queries.users[rows])


def _renamed(ctx: Context, users: np.ndarray, items: np.ndarray) -> Context:
    """The same world, in which user u is called users[u] and item i is called items[i]."""

    def rename(queries: Queries) -> Queries:
        histories = queries.histories
        renamed = Sequences(items[histories.items], histories.offsets, users[histories.users])
        return Queries(renamed, items[queries.targets], users[queries.users])

    def scored(model: Subject) -> Subject:
        scores: dict[str, Scores] = {v: replace(s, top_items=items[s.top_items]) for v, s in model.scores.items()}
        return replace(model, scores=scores)

    data: Interactions = replace(ctx.data, user=users[ctx.data.user], item=items[ctx.data.item])
    split: Split = replace(
        ctx.split, forget_users=users[ctx.split.forget_users], unseen_users=users[ctx.split.unseen_users]
    )
    views = Views({v: rename(q) for v, q in ctx.views.queries.items()}, ctx.views.rows, ctx.views.events)
    return afresh(
        ctx,
        data=data,
        split=split,
        views=views,
        subject=scored(ctx.subject),
        swapped=scored(ctx.swapped),
        roles={name: scored(model) for name, model in ctx.roles.items()},
        shadows=tuple(replace(s, model=scored(s.model)) for s in ctx.shadows),
    )


@pytest.mark.parametrize("make", [judged, judged_events])
def test_names_of_users_and_items_do_not_matter(make) -> None:
    ctx = make(Planted(noise(9, N if make is judged else W)))
    rng = np.random.default_rng(0)
    users = rng.permutation(ctx.data.n_users).astype(np.int32)
    items = rng.permutation(ctx.data.n_items).astype(np.int32)
    before, after = measure(ctx), measure(_renamed(ctx, users, items))
    assert before.keys() == after.keys()
    for name, measurement in before.items():
        assert after[name].value == (
            None if measurement.value is None else pytest.approx(measurement.value, abs=1e-12)
        ), name


@given(st.floats(-5, 5))
@settings(max_examples=10)
def test_a_constant_added_to_every_score_does_not_matter(constant: float) -> None:
    ctx = judged(BASE)

    def shifted(by: float) -> Subject:
        scores = {
            view: replace(s, log_prob=s.log_prob.astype(np.float64) + by) for view, s in ctx.subject.scores.items()
        }
        return replace(ctx.subject, scores=scores)

    moved = afresh(ctx, subject=shifted(constant))
    for name in ("raw", "calibrated", "shadow"):
        assert attack_auc(moved, moved.subject, name).value == attack_auc(ctx, ctx.subject, name).value


def test_unit_means_are_those_of_users() -> None:
    ctx = judged(BASE)
    table = features(ctx.scores(ctx.subject, "forget"))
    found = sides(ctx, {view: features(ctx.scores(ctx.subject, view)) for view in ("forget", "unseen_train")})
    for column in range(table.shape[1]):
        users, means = by_user(VIEWS.users("forget"), table[:, column])
        expected = dict(zip(users.tolist(), means.tolist(), strict=True))
        assert found.forget_values[:, column] == pytest.approx([expected[u] for u in found.forget.tolist()])


def test_equal_scores_stay_equal_however_many_queries_a_user_has() -> None:
    """A model that says the same of everything has an AUC of exactly a half."""
    data = world(users=60, events=4, seed=3)
    data, split, views = setting(data, count=15)
    assert len(set(np.unique(views.users("forget"), return_counts=True)[1])) > 1
    flat = Planted(lambda queries: np.zeros((len(queries), data.n_items), np.float32))
    ctx = context(data, split, views, {"unlearned": flat, "base": flat, "gold": flat, "control": flat})
    assert attack_auc(ctx, ctx.subject, "raw").value == 0.5


# -- power ---------------------------------------------------------------------------------------------------------


def test_permuted_labels_tell_nothing_whatever_the_model_remembers() -> None:
    ctx = judged(Planted(remembers(SPLIT.forget_users, 6.0, 4, N)))
    found = measure(ctx)
    for name in ("raw", "calibrated", "learned"):
        measurement = found[f"auc_permuted_{name}/forget"]
        assert measurement.better == "0.5"
        assert measurement.interval[0] < 0.5 < measurement.interval[1], name
        evidence = BUILT_IN[name].evidence(ctx, ctx.subject)  # type: ignore[union-attr]
        values = [permuted(evidence, seed) for seed in range(60)]
        if name == "learned":
            values = [cross_fitted(told, 0, 1.0) for told in values]
        aucs = np.asarray([auc(ctx, told).value for told in values])
        assert aucs.mean() == pytest.approx(0.5, abs=3 * aucs.std() / np.sqrt(len(aucs))), name


def test_permuting_keeps_pairs_together() -> None:
    ctx = judged(BASE)
    before = score_sides(ctx, ctx.subject)
    after = permuted(before, 0)
    exchanged = after.forget != before.forget
    assert 0 < exchanged.sum() < len(exchanged)
    assert (after.unseen[exchanged] == before.forget[exchanged]).all()
    assert (after.unseen_values[exchanged] == before.forget_values[exchanged]).all()
    assert (after.forget_values[~exchanged] == before.forget_values[~exchanged]).all()


def test_the_blind_attack_tells_nothing_where_coins_were_thrown() -> None:
    data = world(users=140, seed=1)
    aucs = []
    for seed in range(25):
        _, split, views = setting(data, count=30, seed=seed)
        ctx = afresh(judged(BASE), split=split, views=views, seed=seed)
        aucs.append(auc(ctx, cross_fitted(blind_sides(ctx), seed, 1.0)).value)
    assert np.mean(aucs) == pytest.approx(0.5, abs=3 * np.std(aucs) / 5)
    assert measure(judged(BASE))["auc_blind/forget"].interval[0] < 0.5


def test_the_blind_attack_is_told_by_long_histories() -> None:
    """F are the users with the longest histories: no model is needed to tell them."""
    part = hold_out(DATA, HoldoutConfig())
    by_length = np.argsort(-np.bincount(DATA.user), kind="stable").astype(np.int32)
    forget, unseen = by_length[:30], by_length[-30:]
    for users, label in ((forget, Part.FORGET), (unseen, Part.UNSEEN)):
        part[np.isin(DATA.user, users) & (part == Part.RETAINED)] = label
    split = replace(SPLIT, part=part, forget_users=forget, unseen_users=unseen, retained_users=by_length[30:-30])
    views = build(DATA, split, 0)
    roles = {name: Planted(noise(seed, N)) for seed, name in enumerate(ROLES)}
    ctx = context(DATA, split, views, {**roles, "unlearned": Planted(noise(9, N))})
    assert measure(ctx)["auc_blind/forget"].interval[0] > 0.9
    # And what the asked targets' popularity is counted on is R alone.
    retained = np.bincount(DATA.item[part == Part.RETAINED], minlength=N)
    queries = views.queries["forget"]
    own = np.log1p(retained[queries.targets[queries.users == forget[0]]]).mean()
    assert blind_sides(ctx).forget_values[0, 2] == pytest.approx(own)


def test_intervals_of_an_attack_that_learns_allow_for_folds_that_judge_each_other() -> None:
    """Without that, about 83 of 100 intervals would hold the ½ of an attack with nothing to learn from."""
    ctx = judged(BASE)
    covered = []
    for seed in range(150):
        evidence = sides_of(*np.random.default_rng(seed).normal(size=(2, 40, 5)))
        low, high = auc(ctx, cross_fitted(evidence, seed, 1.0)).interval
        covered.append(low <= 0.5 <= high)
    assert np.mean(covered) > 0.9
    # What the interval is of stays what it is, and a share stays a share.
    told = cross_fitted(sides_of(np.full((20, 1), 1.0), np.zeros((20, 1))), 0, 1.0)
    assert auc(ctx, told).interval == (1.0, 1.0)


def test_folds_are_of_users_and_nearly_equal() -> None:
    users = np.asarray([7, 7, 3, 9, 9, 9, 1, 4, 2, 8])
    fold = folds(users, 0)
    assert all(len(set(fold[users == user])) == 1 for user in users)
    assert (folds(users + 100, 0) == fold).all()
    counts = np.bincount([fold[users == user][0] for user in np.unique(users)], minlength=FOLDS)
    assert counts.max() - counts.min() <= 1
