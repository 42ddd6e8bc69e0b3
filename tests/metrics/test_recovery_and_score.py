"""Recovery and the score, on models of which every term is known, and against ways in which they could be fooled."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import Planted, by_name, context, noise, remembers, setting, with_told, world
from vestige.data.views import Queries
from vestige.measuring.attacks import Attempts, Recovered, Told, Track
from vestige.measuring.contract import Context
from vestige.measuring.statistics import Bootstrap, Estimate, harmonic_mean, largest, smallest
from vestige_metrics.configs import NoSettings
from vestige_metrics.fidelity import forgetting_fidelity
from vestige_metrics.recovery import Recovery
from vestige_metrics.score import Score
from vestige_metrics.validity import Validity

DATA, SPLIT, VIEWS = setting(world(users=240, seed=1), count=60)
N = DATA.n_items
ASKED = len(VIEWS.queries["forget"])


def useful(seed: int, forgotten: float = 0.0) -> Planted:
    """Has learned everybody's taste, so that every target is lifted; F's training targets `forgotten` beyond that."""
    known = remembers(SPLIT.forget_users, forgotten, seed, N)

    def logits(queries: Queries) -> np.ndarray:
        z = known(queries) if queries is VIEWS.queries["forget"] else noise(seed, N)(queries)
        z[np.arange(len(queries)), queries.targets] += 1.5
        return z

    return Planted(logits)


MODELS = {
    "base": useful(4, 3.0),
    "gold": useful(1),
    "control": useful(2),
    "recheck": useful(3),
    "popularity": Planted(noise(9, N)),
}


def attempts(track: Track = "api", **hits: float | np.ndarray) -> Attempts:
    made = {
        name: Recovered(name, np.broadcast_to(np.asarray(value, float), ASKED).copy()) for name, value in hits.items()
    }
    return Attempts(recovered=made, track=dict.fromkeys(made, track))


def everywhere(hits: float) -> Attempts:
    """What an attempt of each track brought back."""
    asked, taught = attempts("api", trick=hits), attempts("weights", taught=hits)
    return Attempts(recovered={**asked.recovered, **taught.recovered}, track={**asked.track, **taught.track})


def judged(model: Planted | str, of: Mapping[str, Attempts]) -> Context:
    """The model as subject (or a role under its own name), with what attacks brought back of everybody."""
    planted = MODELS[model] if isinstance(model, str) else model
    ctx = context(DATA, SPLIT, VIEWS, {**MODELS, "unlearned": planted})
    roles = {name: replace(role, attempts=of.get(name, Attempts())) for name, role in ctx.roles.items()}
    own = roles[model] if isinstance(model, str) else replace(ctx.subject, attempts=of.get("own", Attempts()))
    return replace(ctx, subject=own, roles=roles, memo={})


def recoveries(ctx: Context):
    return by_name(Recovery(NoSettings()).measure(ctx))


@given(st.floats(0, 1), st.floats(0.5, 1), st.floats(0, 0.4), st.floats(0, 0.4))
@settings(max_examples=40)
def test_recovery_in_closed_form(own: float, base: float, gold: float, control: float) -> None:
    """Nothing varies between users here, so the interval is a point."""
    of = {
        "own": attempts(trick=own),
        "base": attempts(trick=base),
        "gold": attempts(trick=gold),
        "control": attempts(trick=control),
    }
    found = recoveries(judged(useful(5), of))["recovery:trick/forget"]
    g = max(gold, control)
    expected = min(max((own - g) / (base - g), 0.0), 1.0)
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.interval == pytest.approx((expected, expected), abs=1e-6)


def test_what_gold_gives_away_under_the_same_attack_is_no_recovery() -> None:
    """Read alone, 0.6 would look like a leak; gold, which never knew, gives the same."""
    everybody = attempts(trick=0.6)
    of = {"own": everybody, "gold": everybody, "control": attempts(trick=0.5), "base": attempts(trick=0.9)}
    assert recoveries(judged(useful(5), of))["recovery:trick/forget"].value == 0


def told(f: float, t: float) -> Attempts:
    """Decoys with these hits of F and of T."""
    hits, unseen = (np.full(len(VIEWS.queries[view]), value) for view, value in (("forget", f), ("unseen_train", t)))
    return Attempts(recovered={"decoys": Recovered("decoys", hits, 1, unseen)}, track={"decoys": "api"})


def test_who_copes_better_with_an_attack_on_everybody_has_recovered_nothing() -> None:
    """Decoys in a history harm this model less than gold, of T as well as of F: no memory of F."""
    of = {"base": told(0.5, 0.3), "gold": told(0.3, 0.3), "control": told(0.3, 0.3)}
    robust = recoveries(judged(useful(5), {**of, "own": told(0.5, 0.5)}))["recovery:decoys/forget"]
    assert robust.value == 0 and "F minus T" in robust.note
    half = recoveries(judged(useful(5), {**of, "own": told(0.5, 0.4)}))["recovery:decoys/forget"]
    assert half.value == pytest.approx(0.5)
    # Where T was not asked of all, F alone is all there is.
    silent = Attempts(recovered={"decoys": Recovered("decoys", np.full(ASKED, 0.5))}, track={"decoys": "api"})
    assert recoveries(judged(useful(5), {**of, "own": silent}))["recovery:decoys/forget"].value == pytest.approx(1.0)


@pytest.mark.parametrize("golds", [0.3, 0.35])
def test_power_comes_of_what_base_knows_of_f_and_not_of_what_gold_knows_of_t(golds: float) -> None:
    of = {"base": told(0.3, 0.1), "gold": told(golds, 0.3), "control": told(golds, 0.3), "own": told(0.3, 0.1)}
    found = recoveries(judged(useful(5), of))["recovery:decoys/forget"]
    assert found.value is None and found.note.startswith("NO POWER: on F alone base 0.3000 is not surely above gold")


def test_an_attempt_without_power_counts_nowhere() -> None:
    of = {name: attempts(weak=0.5) for name in ("base", "gold", "control")} | {"own": attempts(weak=1.0)}
    found = recoveries(judged(useful(5), of))
    assert found["recovery:weak/forget"].value is None
    assert found["recovery:weak/forget"].note.startswith("NO POWER")
    strong = {"base": 0.9, "gold": 0.5, "control": 0.5, "own": 0.6}
    both = {name: attempts(strong=strong[name], weak=1.0 if name == "own" else 0.5) for name in of}
    found = recoveries(judged(useful(5), both))
    assert found["recovery_api/forget"].note == "worst: strong"
    assert found["recovery_api/forget"].value == pytest.approx(0.25)


def test_where_no_attack_has_power_only_what_is_plainly_remembered_is_known() -> None:
    """To ask plainly is no attack, so that what it does not bring back may be hidden; what it does is not."""
    of = {name: attempts(weak=0.5) for name in ("base", "gold", "control", "own")}
    for found in (
        recoveries(judged(useful(5), of))["recovery_api/forget"],
        of_context(judged(useful(5), of))["score_api"],
    ):
        assert found.value is None and "no attack of the track api brings back more than gold has" in found.note
    assert recoveries(judged("base", of))["recovery_api/forget"].value == 1
    assert of_context(judged("base", of))["score_api"].value == 0


def test_what_never_rises_above_gold_has_recovered_nothing_however_many_ask() -> None:
    """A few replicates of base's lead are below 0: a loss divided by them is no gain, nor in the largest of many."""
    boot, users, rng = Bootstrap(60), np.arange(60), np.random.default_rng(3)
    never = boot.mean(users, np.full(60, -0.01))
    leads = [boot.mean(users, rng.normal(0.05, 0.175, 60)) for _ in range(400)]
    found = [ratio.clipped(0, 1) for lead in leads if (ratio := never.over(lead)) is not None]
    assert len(found) >= 16 and any((lead.replicates < 0).any() for lead in leads if lead.interval[0] > 0)
    assert largest(found).interval == (0, 0)


def broken(hits: float, track: Track = "api") -> Attempts:
    """The attack `evasion`, which makes the attempt `trick`, failed."""
    return replace(
        attempts(track, trick=hits), recovered={}, of={"trick": "evasion"}, failed={"evasion": "ValueError: x"}
    )


def made(hits: float, track: Track = "api") -> Attempts:
    return replace(attempts(track, trick=hits), of={"trick": "evasion"})


def beside(one: Attempts, **hits: float) -> Attempts:
    """The same with other attempts, of another attack."""
    other = attempts(**hits)
    return replace(one, recovered={**one.recovered, **other.recovered}, track={**one.track, **other.track})


def test_a_model_that_breaks_the_attack_is_not_safe() -> None:
    told = {"base": made(0.9), "gold": made(0.2), "control": made(0.2)}
    fair = of_context(judged(useful(17), {**told, "own": made(0.9)}))
    assert fair["score_api"].value == 0
    failed = replace(broken(0.9), track={"evasion": "api", "trick": "api"})
    for_it = judged(useful(17), {**told, "own": failed})
    found = of_context(for_it)
    for name in ("score_api", "score_weights", "privacy_api"):
        assert found[name].value is None and "evasion failed of this model alone" in found[name].note
    recovered = recoveries(for_it)
    assert recovered["recovery_api/forget"].value is None
    assert recovered["recovery:trick/forget"].note == "the attack failed of this model: ValueError: x"


def test_an_attack_that_is_called_as_its_attempt_is_told_of_once() -> None:
    told = {name: replace(attempts(ask=0.2), of={"ask": "ask"}) for name in ("base", "gold", "control")}
    failed = replace(attempts(ask=0.2), recovered={}, of={"ask": "ask"}, failed={"ask": "ValueError: x"})
    found = list(Recovery(NoSettings()).measure(judged(useful(5), {**told, "own": failed})))
    notes = [one.note for one in found if one.metric == "recovery:ask"]
    assert notes == ["the attack failed of this model: ValueError: x"]


def test_an_attack_that_fails_of_what_it_is_compared_with_says_nothing_of_anybody() -> None:
    for role in ("base", "gold", "control"):
        of = {name: made(0.2) for name in ("base", "gold", "control")} | {"own": made(0.9), role: broken(0.2)}
        of = {name: beside(one, other={"base": 0.9, "own": 0.6}.get(name, 0.2)) for name, one in of.items()}
        found = recoveries(judged(useful(17), of))
        assert found["recovery:trick/forget"].value is None
        assert found["recovery:trick/forget"].note == f"the attack failed of {role}, to compare with: ValueError: x"
        assert found["recovery_api/forget"].note == "worst: other"


def test_an_attack_that_fails_of_all_takes_no_score_away() -> None:
    everybody = dict.fromkeys(("own", "base", "gold", "control"), broken(0.0))
    whole = {name: beside(one, other=0.9 if name == "base" else 0.3) for name, one in everybody.items()}
    assert recoveries(judged(useful(17), whole))["recovery_api/forget"].value is not None


def test_queries_that_an_attempt_left_out_are_left_out_for_everybody() -> None:
    some = np.where(np.arange(ASKED) < ASKED // 2, np.nan, 1.0)
    own = np.where(np.isnan(some), 0.0, 0.25)  # what it says of the left-out ones must not count
    of = {
        "own": attempts(relearn=own),
        "base": attempts(relearn=some),
        "gold": attempts(relearn=0.0),
        "control": attempts(relearn=0.0),
    }
    assert recoveries(judged(useful(5), of))["recovery:relearn/forget"].value == pytest.approx(0.25)


def test_bypass_brings_back_what_base_plainly_says() -> None:
    """It applies to the model with a router only; base is then asked plainly."""
    plain = judged("base", {})
    hits = (plain.scores(plain.subject, "forget").above < 10).astype(float)
    of = {"own": attempts("weights", bypass=hits)}
    found = recoveries(judged(useful(5), of))
    assert found["recovery:bypass/forget"].value == pytest.approx(1.0)
    assert found["recovery_weights/forget"].value == pytest.approx(1.0)
    assert found["recovery_weights/forget"].note == "worst: bypass"
    # Who can only ask cannot leave the router out, and to ask plainly is no attack.
    assert found["recovery:none/forget"].value == pytest.approx(0.0, abs=0.2)
    assert found["recovery_api/forget"].value is None
    assert found["recovery_api/forget"].note == "UNDEFINED: no attack was run on the track api"


@pytest.mark.parametrize(("ran", "other"), [("api", "weights"), ("weights", "api")])
def test_a_track_without_an_attack_of_its_own_has_no_score(ran: Track, other: Track) -> None:
    told = {"base": attempts(ran, x=0.9), "gold": attempts(ran, x=0.2), "control": attempts(ran, x=0.2)}
    found = of_context(judged(useful(17), {**told, "own": attempts(ran, x=0.2)}))
    assert found[f"score_{ran}"].value is not None
    assert found[f"score_{other}"].value is None
    assert f"no attack was run on the track {other}" in found[f"score_{other}"].note


@pytest.mark.parametrize("role", ["own", "base", "gold", "control"])
def test_models_of_a_methods_own_that_cannot_be_attacked_are_no_yardstick(role: str) -> None:
    """A method that trains its own base could make an attack fail of them all, and nothing would speak against it."""
    tricks = {name: made(0.2) for name in ("own", "base", "gold", "control")}
    all_made = {
        name: replace(one, recovered=one.recovered | attempts(ask=0.3).recovered) for name, one in tricks.items()
    }
    failed = {**all_made, role: replace(all_made[role], failed={"evasion": "ValueError: x"})}
    context = replace(judged(useful(17), failed), own_base=True)
    note = recoveries(context)["recovery_api/forget"].note
    assert note == "UNDEFINED: the attack evasion failed of a model of the method's own (ValueError: x)"
    assert of_context(context)["score_api"].value is None


@pytest.mark.parametrize(("asked", "weights"), [(0.2, None), (0.9, 1.0)])
def test_what_could_not_be_tried_is_not_safe(asked: float, weights: float | None) -> None:
    """A model that offers no module is neither trained again nor rounded; what it plainly says is no such attack's."""
    both = {"base": everywhere(0.9), "gold": everywhere(0.1), "control": everywhere(0.1)}
    found = recoveries(judged(useful(5), {**both, "own": attempts("api", trick=asked)}))
    assert found["recovery:taught/forget"].value is None
    assert "could not be made on this model" in found["recovery:taught/forget"].note
    assert found["recovery_api/forget"].value == pytest.approx((asked - 0.1) / 0.8)
    assert found["recovery_weights/forget"].value == weights  # all that base remembers is known to come back, or not
    if weights is None:
        assert found["recovery_weights/forget"].note == "UNDEFINED: taught could not be made on this model"
    # An attempt that brings nothing back from base either would have told nothing.
    weak = {role: everywhere(0.5) for role in both}
    found = recoveries(judged(useful(5), {**weak, "own": attempts("api", trick=0.5)}))
    assert "could not be made" not in found["recovery_weights/forget"].note


def test_a_model_that_no_query_could_be_put_to_is_not_safe() -> None:
    """The trick works of base; of this model an attack that answers NaN to everything knows nothing."""
    of = {"base": everywhere(0.9), "gold": everywhere(0.1), "control": everywhere(0.1)}
    found = recoveries(judged(useful(5), {**of, "own": everywhere(np.nan)}))
    assert found["recovery_api/forget"].value is None
    assert found["recovery_api/forget"].note == "UNDEFINED: trick could not be made on this model"
    # Where it brings nothing back of base, it would have told nothing; nor where it says nothing of base.
    weak = {**of, "base": everywhere(0.1)}
    found = recoveries(judged(useful(5), {**weak, "own": everywhere(np.nan)}))
    assert found["recovery:trick/forget"].note.startswith("NO POWER")
    assert "could not be made" not in found["recovery_api/forget"].note
    found = recoveries(judged(useful(5), {**of, "base": everywhere(np.nan), "own": everywhere(np.nan)}))
    assert found["recovery:trick/forget"].note == "no query was asked of every model"


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("hides", [True, False])
def test_states_that_cannot_be_read_are_not_thereby_silent(reads: bool, hides: bool) -> None:
    """A probe that tells base has power; a method that returns a model without states to read has not passed it."""
    asked = ("forget", "unseen_train")
    rng = np.random.default_rng(0)

    def told(signal: float) -> Told:
        states = {view: rng.normal(size=(len(VIEWS.queries[view]), 8)) for view in asked}
        states["forget"][:, 0] += signal
        return Told("probe", states["forget"], states["unseen_train"])

    ctx = judged(useful(17), {**ATTACKED, "own": everywhere(0.2)})
    signals = {"base": 2.0 if reads else 0.0, "gold": 0.0, "control": 0.0}
    read = {name: with_told(ctx.roles[name], told(signal)) for name, signal in signals.items()}
    roles = {**ctx.roles, **read}
    own = ctx.subject if hides else with_told(ctx.subject, told(0.0))
    found = of_context(replace(ctx, subject=own, roles=roles, memo={}))
    assert found["privacy_api"].value is not None
    if hides and reads:
        assert found["privacy_weights"].value is None
        assert found["privacy_weights"].note == "UNDEFINED: probe could not be made on this model"
        assert "probe could not be made on this model" in found["score_weights"].note
    else:
        assert found["privacy_weights"].value is not None
    # What another attack has told in full is told, whatever else could not be tried.
    base = replace(ctx.roles["base"], name="unlearned", attempts=everywhere(0.2))
    found = of_context(replace(ctx, subject=base, roles=roles, memo={}))
    assert found["privacy_weights"].value == 0


@pytest.mark.parametrize(("lucky", "known"), [(1, False), (4, False), (5, True), (30, True)])
def test_the_luck_of_very_few_users_is_no_lead_over_the_popularity_list(lucky: int, known: bool) -> None:
    """The bootstrap gives each user a weight above 0, so where nobody else is hit, the interval of one lies above 0."""
    users = SPLIT.retained_users[:lucky]

    def misses(queries: Queries) -> np.ndarray:
        z = np.tile(np.arange(N, dtype=np.float32), (len(queries), 1))
        z[np.arange(len(queries)), queries.targets] = -1
        return z

    def hits(queries: Queries) -> np.ndarray:
        z = misses(queries)
        if queries is VIEWS.queries["retain"]:
            rows = np.flatnonzero(np.isin(queries.users, users))
            z[rows, queries.targets[rows]] = 2 * N
        return z

    models = {**dict.fromkeys(("base", "gold", "control", "unlearned"), Planted(hits)), "popularity": Planted(misses)}
    ctx = context(DATA, SPLIT, VIEWS, models)
    asked = len(np.intersect1d(users, VIEWS.queries["retain"].users))
    assert asked == lucky
    found = by_name(Validity(NoSettings()).measure(ctx))["gold_vs_popularity/retain"]
    assert found.interval is not None and found.interval[0] > 0
    useful = by_name(Score(NoSettings()).measure(ctx))["utility"]
    assert (useful.value is not None) is known is not found.note.startswith("INVALID")
    if not known:
        assert f"rests on {lucky} of the " in found.note and f"rests on {lucky} of the " in useful.note


def test_who_holds_the_files_can_also_ask() -> None:
    of = {name: everywhere(hits) for name, hits in (("own", 1.0), ("base", 1.0), ("gold", 0.0), ("control", 0.0))}
    nothing = np.zeros(ASKED)
    own = replace(of["own"], recovered={**of["own"].recovered, "taught": Recovered("taught", nothing)})
    found = recoveries(judged(useful(5), {**of, "own": own}))
    assert found["recovery:taught/forget"].value == 0
    assert found["recovery_api/forget"].value == found["recovery_weights/forget"].value == 1.0


def test_without_attacks_nothing_is_known() -> None:
    found = recoveries(judged(useful(5), {}))
    assert found["recovery_api/forget"].value is None
    assert found["recovery_api/forget"].note == "UNDEFINED: no attack was run on the track api"


ATTACKED = {
    "base": everywhere(1.0),
    "gold": everywhere(0.2),
    "control": everywhere(0.21),
    "recheck": everywhere(0.2),
    "popularity": everywhere(0.2),
}


def scores(model: Planted | str, own: Attempts | None = None):
    of = ATTACKED if own is None else {**ATTACKED, "own": own}
    return of_context(judged(model, of))


def of_context(ctx: Context):
    return by_name(Score(NoSettings()).measure(ctx))


def test_the_score_is_the_harmonic_mean_of_its_four_terms() -> None:
    ctx = judged(useful(7, 1.0), {**ATTACKED, "own": everywhere(0.45)})
    found = by_name(Score(NoSettings()).measure(ctx))
    terms = [found["utility"].value, found["privacy_api"].value, 1 - recoveries(ctx)["recovery_api/forget"].value]
    fidelity, _ = forgetting_fidelity(ctx)
    terms.append(fidelity.value)
    assert all(0 < term <= 1 for term in terms)
    assert found["score_api"].value == pytest.approx(4 / sum(1 / term for term in terms))
    low, high = found["score_api"].interval
    assert low <= found["score_api"].value <= high


def test_control_is_one_by_construction_and_recheck_close_to_it() -> None:
    for track in ("api", "weights"):
        assert scores("control")[f"score_{track}"].value == pytest.approx(1.0)
        assert scores("gold")[f"score_{track}"].value == pytest.approx(1.0)
        assert scores("recheck")[f"score_{track}"].value >= 0.8


@pytest.mark.parametrize(
    ("model", "own"),
    [
        (useful(14, 3.0), everywhere(1.0)),  # forgot nothing
        (Planted(noise(15, N)), everywhere(0.0)),  # knows nothing
        (useful(16, -4.0), everywhere(0.0)),  # hides what it should forget
        (useful(17, 0.0), everywhere(1.0)),  # forgot, until it is asked another way
    ],
)
def test_what_must_not_win_does_not(model: Planted, own: Attempts) -> None:
    for track in ("api", "weights"):
        assert scores(model, own)[f"score_{track}"].value <= 0.05


def test_knowing_nothing_may_look_like_gold_on_f_and_must_not_win() -> None:
    """Base remembers so much that a model without any knowledge is nearer to gold than base is."""
    found = scores(Planted(noise(15, N)), everywhere(0.0))
    fidelity, _ = forgetting_fidelity(judged(Planted(noise(15, N)), ATTACKED))
    assert fidelity.value > 0.2
    assert found["privacy_api"].value > 0.8
    assert found["utility"].value <= 0.02


def test_hiding_is_no_privacy() -> None:
    """Its AUC is as far from gold's as base's, on the other side."""
    assert scores(useful(16, -4.0))["privacy_api"].value <= 0.05


def test_a_term_that_cannot_be_judged_makes_the_score_undefined_and_says_why() -> None:
    weak = {**MODELS, "base": useful(21, 0.0)}  # base remembers nothing, so there was nothing to forget
    ctx = context(DATA, SPLIT, VIEWS, {**weak, "unlearned": useful(22, 0.0)})
    found = by_name(Score(NoSettings()).measure(ctx))
    assert found["score_api"].value is None
    for reason in (
        "fidelity (",
        "privacy (no membership attack has power on base)",
        "recovery (no attack was run on the track api",
    ):
        assert reason in found["score_api"].note


def test_an_attack_that_tells_base_no_farther_from_gold_than_control_judges_nobody() -> None:
    """It has power, but gold itself is told as well as base is, so there is nothing to measure from."""
    gold = {**MODELS, "gold": useful(31, 3.0)}
    ctx = context(DATA, SPLIT, VIEWS, {**gold, "unlearned": useful(32)})
    note = by_name(Score(NoSettings()).measure(ctx))["privacy_api"].note
    assert note.startswith("UNDEFINED: raw")
    assert "does not surely tell base farther from gold than control is" in note


@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1)), min_size=1, max_size=5))
def test_means_of_estimates(values: list[float]) -> None:
    estimates = [Estimate(v, np.asarray([v, 1 - v])) for v in values]
    mean = harmonic_mean(estimates)
    assert smallest(estimates).value - 1e-12 <= mean.value <= largest(estimates).value + 1e-12
    assert mean.value == 0 if min(values) == 0 else mean.value > 0
    assert largest(estimates).replicates[1] == 1 - smallest(estimates).replicates[0]
