"""The tuning score: what it is by hand, that it grows with both parts, and that no test item can reach it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import Planted, by_name, context, noise, remembers, setting, world
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw
from vestige.data.views import Queries, Views, build
from vestige.measuring.ranks import ndcg_at
from vestige.measuring.statistics import Estimate
from vestige_metrics.configs import NoSettings
from vestige_metrics.fidelity import forgetting_fidelity
from vestige_metrics.score import utility
from vestige_metrics.tuning import Tuning, tuning_score

DATA, SPLIT, _ = setting(world(users=240, seed=1), count=60)
VIEWS = build(DATA, SPLIT, 0, held_out=Part.VALIDATION)
N = DATA.n_items
unit = st.floats(0, 1, allow_subnormal=False)


def point(value: float) -> Estimate:
    return Estimate(value, np.full(20, value))


@given(unit, unit)
def test_the_score_is_the_harmonic_mean(fidelity: float, useful: float) -> None:
    value = tuning_score(point(fidelity), point(useful)).value
    by_hand = 2 * fidelity * useful / (fidelity + useful) if fidelity > 1e-300 and useful > 1e-300 else 0.0
    assert value == pytest.approx(by_hand, abs=1e-12)
    assert 0 <= value <= 1
    assert min(fidelity, useful) - 1e-12 <= value <= max(fidelity, useful) + 1e-12 or min(fidelity, useful) == 0
    assert value == pytest.approx(tuning_score(point(useful), point(fidelity)).value)


@given(unit, unit, unit)
def test_more_of_either_part_is_never_worse(low: float, high: float, other: float) -> None:
    low, high = sorted((low, high))
    assert tuning_score(point(low), point(other)).value <= tuning_score(point(high), point(other)).value + 1e-12


def useful_model(seed: int, forgotten: float = 0.0, known: float = 1.5) -> Planted:
    """Knows everybody's taste by `known`, and F's training items by `forgotten` beyond that."""
    memory = remembers(SPLIT.forget_users, forgotten, seed, N)

    def logits(queries: Queries) -> np.ndarray:
        z = memory(queries) if queries is VIEWS.queries["forget"] else noise(seed, N)(queries)
        z[np.arange(len(queries)), queries.targets] += known
        return z

    return Planted(logits)


ROLES = {
    "base": useful_model(4, 3.0),
    "gold": useful_model(1),
    "control": useful_model(2),
    "popularity": Planted(noise(9, N)),
}


def found(model: Planted):
    ctx = context(DATA, SPLIT, VIEWS, {**ROLES, "unlearned": model})
    return ctx, by_name(Tuning(NoSettings()).measure(ctx))


def test_it_is_made_of_fidelity_and_of_utility_on_validation_items() -> None:
    ctx, values = found(useful_model(5, 1.0))
    faithful, useful = values["tuning_fidelity"].value, values["tuning_utility"].value
    assert 0 < faithful < 1 and 0 < useful <= 1
    assert faithful == forgetting_fidelity(ctx)[0].value
    quality = {
        name: np.mean(
            np.concatenate([ndcg_at(s.above, s.equal, 10) for s in (model.scores["retain"], model.scores["unseen"])])
        )
        for name, model in {**ctx.roles, "own": ctx.subject}.items()
    }
    lead = min(quality["gold"], quality["control"]) - quality["popularity"]
    assert useful == pytest.approx(np.clip((quality["own"] - quality["popularity"]) / lead, 0, 1))
    assert values["tuning_score"].value == pytest.approx(2 * faithful * useful / (faithful + useful))


def test_base_has_no_score_and_another_gold_nearly_the_whole() -> None:
    assert found(ROLES["base"])[1]["tuning_score"].value == 0
    assert found(useful_model(6))[1]["tuning_score"].value > 0.85
    assert found(useful_model(6, known=0.0))[1]["tuning_score"].value < 0.2


def test_where_nothing_can_be_told_apart_it_is_undefined_and_says_which_part() -> None:
    for changed, part in (({"base": useful_model(7)}, "fidelity"), ({"popularity": useful_model(8)}, "utility")):
        ctx = context(DATA, SPLIT, VIEWS, {**ROLES, **changed, "unlearned": useful_model(5)})
        score = by_name(Tuning(NoSettings()).measure(ctx))["tuning_score"]
        assert score.value is None and score.note.startswith("UNDEFINED: ") and f"{part} (" in score.note
        assert utility(ctx)[0] is None or part == "fidelity"


def asked(views: Views) -> list[tuple[int, list[int], int]]:
    return [
        (int(user), queries.histories.row(row).tolist(), int(queries.targets[row]))
        for queries in views.queries.values()
        for row, user in enumerate(queries.users)
    ]


@given(st.integers(0, 30), st.sampled_from(["users", "interactions"]), st.sampled_from(["last", "temporal"]))
@settings(max_examples=15)
def test_no_query_of_a_study_holds_a_test_item(seed: int, kind: str, rule: str) -> None:
    """With every item at most once a user, an item that is held out can be told wherever it turns up."""
    data = replace(world(users=60, items=60, seed=seed), notes={})  # as if the source had told the times
    request = RequestConfig(kind=kind, count=8)  # type: ignore[arg-type]
    split = draw(data, request, HoldoutConfig(rule=rule, share=0.3), seed)  # type: ignore[arg-type]
    late = np.isin(split.part, (Part.TEST, Part.UNUSED))
    held = {(int(u), int(i)) for u, i in zip(data.user[late], data.item[late], strict=True)}
    views = build(data, split, seed, held_out=Part.VALIDATION)
    for user, history, target in asked(views):
        assert not held & {(user, item) for item in [*history, target]}
    events = np.flatnonzero((split.part == Part.VALIDATION) & np.isin(data.user, split.retained_users))
    retain = views.queries["retain"]
    wanted = {(int(data.user[e]), int(data.item[e])) for e in events if data.offsets[data.user[e]] < e}
    assert {(int(u), int(t)) for u, t in zip(retain.users, retain.targets, strict=True)} == wanted
    usual = build(data, split, seed)
    assert rule == "temporal" or any(
        {(user, item) for item in [*history, target]} & held for user, history, target in asked(usual)
    )
