"""Withdrawn items are what is told apart; of requests that follow one another, the first is seen by itself."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.planted import Planted, by_name, context, noise, remembers_events, setting, world
from vestige.data import stream
from vestige.data.request import HoldoutConfig, RequestConfig, draw
from vestige.data.sequences import Sequences
from vestige.data.units import frame
from vestige.data.views import Queries, build
from vestige.measuring.contract import Context
from vestige.measuring.ranks import hit_at
from vestige.recommenders import scoring
from vestige.recommenders.contract import FloatArray
from vestige_metrics import collapse
from vestige_metrics.blackbox import blackbox_features
from vestige_metrics.configs import NoSettings, RankingConfig
from vestige_metrics.first_request import FirstRequest
from vestige_metrics.membership import Membership
from vestige_metrics.memory import score_sides, units
from vestige_metrics.ranking import Ranking
from vestige_metrics.recovery import Recovery
from vestige_metrics.router import Router
from vestige_metrics.withdrawn import Withdrawn

DATA = world(users=80, items=60)
N = DATA.n_items


def cell(seed: int, *models: Planted, count: int = 12) -> Context:
    """Base, gold, control and the row's model, measured by item."""
    split = draw(DATA, RequestConfig(kind="items", count=count), HoldoutConfig(), seed)
    measured = frame(DATA, split, build(DATA, split, seed))
    names = ("base", "gold", "control", "unlearned")
    return context(measured.data, measured.split, measured.views, dict(zip(names, models, strict=True)))


def easy_items(seed: int, spread: float = 2.0) -> Planted:
    """Knows nothing of F and T, but some items are easier than others, for everybody."""
    background = noise(seed, N)
    level = spread * np.random.default_rng(seed).standard_normal(N)

    def logits(queries: Queries) -> FloatArray:
        return (background(queries) + level).astype(np.float32)

    return Planted(logits)


def knows(items: np.ndarray) -> Planted:
    """Noise, with the given items far above it wherever they are the target."""
    background = noise(0, N)

    def logits(queries: Queries) -> FloatArray:
        z = background(queries)
        rows = np.flatnonzero(np.isin(queries.targets, items))
        z[rows, queries.targets[rows]] += 12.0
        return z

    return Planted(logits)


def test_a_unit_has_the_mean_of_all_that_is_asked_about_an_item() -> None:
    models = [Planted(noise(seed, N)) for seed in range(4)]
    ctx = cell(0, *models)
    found, values = units(ctx), score_sides(ctx, ctx.subject)
    assert len(found.forget) == len(set(found.forget.tolist())) <= 12
    for view, members, of in (
        ("forget", values.forget, values.forget_values),
        ("unseen_train", values.unseen, values.unseen_values),
    ):
        targets = ctx.views.queries[view].targets
        log_prob = ctx.scores(ctx.subject, view).log_prob
        for unit, value in zip(members, of, strict=True):
            assert value == pytest.approx(log_prob[targets == unit - DATA.n_users].mean(), rel=1e-5)


def test_base_that_knows_the_items_is_told_and_gold_is_not() -> None:
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    base = knows(split.forget_items)
    others = [Planted(noise(seed, N)) for seed in (1, 2, 3)]
    ctx = cell(0, base, *others)
    found = by_name(Membership(NoSettings()).measure(replace(ctx, subject=ctx.roles["base"])))
    raw = found["auc_raw/forget"]
    assert raw.value == 1.0 and raw.note == ""
    blind = found["auc_blind/forget"]
    assert blind.interval is not None and blind.interval[0] <= 0.5 <= blind.interval[1]
    gold = by_name(Membership(NoSettings()).measure(ctx))["auc_raw/forget"]
    assert gold.value is not None and abs(gold.value - 0.5) < 0.3


def test_intervals_over_items_hold_the_truth_where_those_over_users_would_not() -> None:
    """Some items are easy whoever asks: what F and T differ by is then a matter of which items a coin sent where."""
    held = {"items": 0, "users": 0}
    draws = 60
    for seed in range(draws):
        models = [easy_items(100 + seed)] * 4
        ctx = cell(seed, *models)
        values = score_sides(ctx, ctx.subject)
        sides = (values.forget, values.forget_values, values.unseen, values.unseen_values)
        low, high = ctx.bootstrap.auc(*sides, paired=True).interval
        held["items"] += low <= 0.5 <= high
        split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), seed)
        asked = build(DATA, split, seed)
        scores = [ctx.scores(ctx.subject, view).log_prob for view in ("forget", "unseen_train")]
        users = [asked.queries[view].users for view in ("forget", "unseen_train")]
        low, high = ctx.bootstrap.auc(users[0], scores[0], users[1], scores[1]).interval
        held["users"] += low <= 0.5 <= high
    assert held["items"] >= 0.85 * draws
    assert held["users"] < 0.7 * draws


def recommends(items: np.ndarray, where: Queries | None) -> Planted:
    """Noise, with the given items on top of every answer to the queries of one view, and at the bottom elsewhere."""
    background = noise(5, N)

    def logits(queries: Queries) -> FloatArray:
        z = background(queries)
        z[:, items] += 30.0 if queries is where else -30.0
        return z

    return Planted(logits)


def test_a_withdrawn_item_that_is_still_recommended_is_seen_though_nothing_of_the_past_is_left() -> None:
    """`forget` asks histories of the past; whoever filters these alone has gold's zero there and recommends on."""
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    measured = frame(DATA, split, build(DATA, split, 0))
    views = measured.views
    hides, silent = (recommends(split.forget_items, where) for where in (views.queries["retain"], None))
    plain = {name: Planted(noise(seed, N)) for seed, name in enumerate(("base", "control"))}
    ctx = context(measured.data, measured.split, views, {**plain, "gold": silent, "unlearned": hides})
    ranked = by_name(Ranking(RankingConfig()).measure(ctx))
    assert ranked["hit@10/forget"].value == 0 == ranked["hit@10:vs_gold/forget"].value
    found = by_name(Withdrawn(NoSettings()).measure(ctx))
    share = found["withdrawn@10/retain"]
    assert share.value == 1.0 and share.better == "gold"
    assert found["withdrawn@10:vs_gold/retain"].value == 1.0
    assert share.per_user is not None and set(share.per_user.users) == set(views.users("retain"))
    gold = by_name(Withdrawn(NoSettings()).measure(replace(ctx, subject=ctx.roles["gold"])))
    assert gold["withdrawn@10/retain"].value == 0 == gold["withdrawn@10:vs_gold/retain"].value


@pytest.mark.parametrize("cells", [4_000_000, 1])
def test_whoever_has_had_the_highest_items_is_asked_about_those_below(
    monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    """A model that lists the history first leaves less than ten to see of the few kept; the withdrawn stand below."""
    monkeypatch.setattr(collapse, "CELLS", cells)
    monkeypatch.setattr(scoring, "TOP", 15)
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    measured = frame(DATA, split, build(DATA, split, 0))
    asked = measured.views.queries["retain"]
    everybody = np.unique(asked.users)
    some, finds = set(everybody[::2].tolist()), everybody[: len(everybody) // 2]

    def logits(queries: Queries) -> FloatArray:
        z = noise(0, N)(queries)
        z[:, split.forget_items] += np.where(np.isin(queries.users, finds), 50.0, -50.0)[:, None]
        for row, user in enumerate(queries.users.tolist()):
            if user in some:
                z[row, queries.histories.row(row)] += 100.0
        return z

    def nothing_seen(queries: Queries) -> FloatArray:
        z = noise(1, N)(queries)
        for row in range(len(queries)):
            z[row, queries.histories.row(row)] -= 100.0
        return z

    roles = {name: Planted(nothing_seen) for name in ("base", "gold", "control")}
    ctx = context(measured.data, measured.split, measured.views, {**roles, "unlearned": Planted(logits)})
    seen = [len(set(asked.histories.row(row).tolist())) for row in range(len(asked))]
    short = {u for u, n in zip(asked.users.tolist(), seen, strict=True) if u in some and n > 5}
    assert short & set(finds.tolist()) and short - set(finds.tolist())
    ctx = replace(ctx, subject=replace(ctx.subject, load=lambda: Again(asked, logits(asked))))
    share = by_name(Withdrawn(NoSettings()).measure(ctx))["withdrawn@10/retain"]
    assert share.per_user is not None and share.note == ""
    assert set(share.per_user.users.tolist()) == set(everybody.tolist())
    z = logits(asked)
    whole = []
    for row in range(len(asked)):
        had = set(asked.histories.row(row).tolist())
        whole.append([i for i in np.argsort(-z[row], kind="stable").tolist() if i not in had][:10])
    right = [bool(set(split.forget_items.tolist()) & set(items)) for items in whole]
    assert right == np.isin(asked.users, finds).tolist() and share.value == pytest.approx(np.mean(right))
    lists = collapse.recommended(ctx, ctx.subject)
    assert [sorted(row[few].tolist()) for row, few in zip(lists.items, lists.chosen, strict=True)] == [
        sorted(items) for items in whole
    ]


class Again:
    """Answers queries by their history, as it answered them before."""

    def __init__(self, asked: Queries, logits: FloatArray) -> None:
        scores = log_softmax(logits.astype(np.float64), axis=1).astype(np.float32)
        self.known = {tuple(asked.histories.row(row).tolist()): scores[row] for row in range(len(asked))}

    def score(self, histories: Sequences) -> FloatArray:
        return np.stack([self.known[tuple(histories.row(row).tolist())] for row in range(len(histories))])

    def save(self, folder: object) -> None:
        raise AssertionError(folder)


def test_a_list_of_the_past_is_told_by_its_items_where_a_unit_is_no_user() -> None:
    """`blackbox` on withdrawn items: the last two features are of the history, and not of the withdrawn item itself."""
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    measured = frame(DATA, split, build(DATA, split, 0))

    def repeats(queries: Queries) -> FloatArray:
        z = noise(0, N)(queries)
        for row in range(len(queries)):
            z[row, queries.histories.row(row)] += 20.0
        return z

    models = {"base": Planted(repeats), "unlearned": Planted(noise(1, N))}
    ctx = context(measured.data, measured.split, measured.views, models)
    histories = ctx.views.queries["forget"].histories
    had = np.asarray([len(set(histories.row(row).tolist())) for row in range(len(histories))])
    found = blackbox_features(ctx, ctx.roles["base"], "forget")
    assert found[:, 4] == pytest.approx(np.minimum(had, 10) / 10)
    assert found[:, 5] == pytest.approx(had / N)
    assert blackbox_features(ctx, ctx.subject, "forget")[:, 5] == pytest.approx(had / N)


def test_a_router_of_withdrawn_items_has_no_natural_prevalence() -> None:
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    measured = frame(DATA, split, build(DATA, split, 0))
    models = {name: Planted(noise(1, N)) for name in ("base", "unlearned")}
    ctx = context(measured.data, measured.split, measured.views, models)
    scores = {view: replace(s, router=np.full(len(s), 0.3, np.float32)) for view, s in ctx.subject.scores.items()}
    routed = replace(ctx.subject, scores=scores, threshold=0.5)
    found = by_name(Router(NoSettings()).measure(replace(ctx, subject=routed)))
    assert "router_share/forget" in found and "router_auc/forget" in found
    assert not {"router_brier", "router_ece", "router_precision", "router_tp"} & found.keys()


def test_where_users_are_forgotten_no_item_is_withdrawn() -> None:
    data, split, views = setting()
    ctx = context(data, split, views, {name: Planted(noise(1, data.n_items)) for name in ("base", "gold", "unlearned")})
    assert list(Withdrawn(NoSettings()).measure(ctx)) == []


@pytest.mark.parametrize(("known", "few"), [(1, True), (4, True), (5, False), (9, False)])
def test_a_memory_of_few_items_is_said_to_be_one_and_no_attack_is_judged_by_it(known: int, few: bool) -> None:
    """Gold gives withdrawn items nothing, so the interval of a single one lies above 0 as a whole."""
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    asked = build(DATA, split, 0).queries["forget"].targets
    items = np.intersect1d(split.forget_items, asked)
    nothing = knows_least(split.forget_items)
    base = knows_least(split.forget_items, items[:known])
    ctx = cell(0, base, nothing, nothing, nothing)
    ctx = replace(ctx, subject=ctx.roles["base"])
    gap = by_name(Ranking(RankingConfig()).measure(ctx))["hit@10:vs_gold/forget"]
    assert gap.interval is not None and gap.interval[0] > 0
    assert (gap.note == f"rests on {known} of the {len(items)} that were asked about") is few
    plain = by_name(Recovery(NoSettings()).measure(ctx))["recovery:none/forget"]
    assert (plain.value is None) is few
    assert (plain.note.startswith("NO POWER: on F alone base ") and plain.note.endswith("that were asked about")) is few


def test_what_a_row_lost_rests_on_nobody_it_gained() -> None:
    """Below gold by most items and above it by one: no word of one item."""
    split = draw(DATA, RequestConfig(kind="items", count=12), HoldoutConfig(), 0)
    items = np.intersect1d(split.forget_items, build(DATA, split, 0).queries["forget"].targets)
    gold, own = knows_least(split.forget_items, items[1:]), knows_least(split.forget_items, items[:1])
    ctx = cell(0, gold, gold, gold, own)
    gap = by_name(Ranking(RankingConfig()).measure(ctx))["hit@10:vs_gold/forget"]
    assert gap.value < -0.3 and gap.note == ""


def knows_least(hidden: np.ndarray, known: np.ndarray | None = None) -> Planted:
    """Noise, with some items far below it, but for those that are known where they are the target."""
    background = noise(3, N)

    def logits(queries: Queries) -> FloatArray:
        z = background(queries)
        z[:, hidden] -= 30.0
        rows = np.flatnonzero(np.isin(queries.targets, [] if known is None else known))
        z[rows, queries.targets[rows]] += 60.0
        return z

    return Planted(logits)


STREAM = stream.deal(draw(DATA, RequestConfig(kind="stream", count=5, steps=3), HoldoutConfig(), 0), steps=3, seed=0)


def streamed(step: int, memory: float) -> tuple[Context, np.ndarray]:
    """A row that remembers the first request alone, and which queries are of that."""
    split = stream.after(DATA, STREAM, step)
    views = build(DATA, split, 0)
    first = split.forget_users[split.steps == 1]
    own = Planted(remembers_events(DATA, np.flatnonzero(np.isin(DATA.user, first)), memory, 9))
    plain = {name: Planted(noise(seed, N)) for seed, name in enumerate(("base", "gold", "control"))}
    return context(DATA, split, views, {**plain, "unlearned": own}), np.isin(views.users("forget"), first)


def test_what_is_left_of_the_first_request_is_seen_among_the_others() -> None:
    ctx, first = streamed(3, 8.0)
    found = by_name(FirstRequest(RankingConfig()).measure(ctx))
    scores = ctx.scores(ctx.subject, "forget")
    hits = hit_at(scores.above, scores.equal, 10)
    assert found["first_hit@10/forget"].value == pytest.approx(hits[first].mean())
    assert found["first_hit@10/forget"].value > hits[~first].mean() + 0.3
    gold = ctx.scores(ctx.roles["gold"], "forget")
    theirs = hit_at(gold.above, gold.equal, 10)[first].mean()
    assert found["first_hit@10:vs_gold/forget"].value == pytest.approx(hits[first].mean() - theirs)
    assert found["first_hit@10/forget"].better == "gold"


def test_after_the_first_step_the_first_request_is_all() -> None:
    ctx, _ = streamed(1, 2.0)
    every = by_name(Ranking(RankingConfig()).measure(ctx))
    for name in ("hit@5", "hit@10:vs_gold"):
        mine = by_name(FirstRequest(RankingConfig()).measure(ctx))[f"first_{name}/forget"]
        assert mine.value == pytest.approx(every[f"{name}/forget"].value)
        assert mine.interval == pytest.approx(every[f"{name}/forget"].interval)


def test_without_a_stream_there_is_no_first_request() -> None:
    ctx = cell(0, *[Planted(noise(seed, N)) for seed in range(4)])
    assert not list(FirstRequest(RankingConfig()).measure(ctx))
