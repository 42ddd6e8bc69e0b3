"""Recommenders built so that the right value of every measurement can be written down, and what must change nothing.

In every bed a model is a table of logits for each view. Most of them are 0 everywhere but at the target, so that with n
items the target's log-probability is ℓ − ln(e^ℓ + n − 1), and its rank 1, last or tied with all, by the sign of ℓ.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.planted import COST, _Fixed, by_name, setting, world
from vestige.data.interactions import Interactions
from vestige.data.request import Split
from vestige.data.views import Queries, Views
from vestige.measuring.contract import Context, Measurement, Subject
from vestige.measuring.statistics import Bootstrap
from vestige.recommenders.contract import FloatArray
from vestige.recommenders.scoring import score_queries
from vestige_metrics.collapse import Collapse
from vestige_metrics.collateral import Collateral
from vestige_metrics.configs import NoSettings, RankingConfig
from vestige_metrics.fidelity import FLIPS, Fidelity
from vestige_metrics.overforgetting import OverForgetting
from vestige_metrics.ranking import Ranking
from vestige_metrics.router import Router

Logits = Mapping[str, np.ndarray]
KS = (5, 10, 20)


@dataclass(frozen=True)
class Bed:
    """Who is asked what, and every model's logits [queries, items] by scored view."""

    data: Interactions
    split: Split
    views: Views
    models: Mapping[str, Logits]

    def context(self, router: Mapping[str, np.ndarray] | None = None, threshold: float | None = None) -> Context:
        subjects = {name: self._subject(name, logits) for name, logits in self.models.items()}
        own = subjects.pop("unlearned")
        if router is not None:
            routed = {view: replace(scores, router=router[view]) for view, scores in own.scores.items()}
            own = replace(own, scores=routed, threshold=threshold)
        return Context(
            self.data, self.split, self.views, "method", own, None, subjects, Bootstrap(self.data.n_users), seed=0
        )

    def _subject(self, name: str, logits: Logits) -> Subject:
        log_p: dict[str, FloatArray] = {
            view: log_softmax(np.asarray(z, np.float64), axis=1).astype(np.float32) for view, z in logits.items()
        }
        n = self.data.n_items
        scores = {view: score_queries(_Fixed(log_p[view]), q, n) for view, q in self.views.queries.items()}
        parent, rows = self.views.rows["forget"]
        return Subject(name, scores, COST, None, lambda: _Fixed(log_p[parent][rows]))


def everything(bed: Bed) -> dict[str, Measurement]:
    metrics = (
        Ranking(RankingConfig(k=KS)),
        *(metric(NoSettings()) for metric in (Fidelity, Collateral, OverForgetting, Collapse)),
    )
    context = bed.context()
    return by_name(measurement for metric in metrics for measurement in metric.measure(context))


DATA, SPLIT, VIEWS = setting(world(users=140, seed=1), count=30)
N = DATA.n_items
FORGET = VIEWS.queries["forget"]
LENGTHS = {view: N - q.histories.lengths for view, q in VIEWS.queries.items()}
"""How many items take part in each query's ranking; nobody has a target in the history here."""


def raised(level: float | Mapping[str, float | np.ndarray]) -> Logits:
    """0 everywhere, and `level` at the targets: of all views, or of those named."""
    out = {}
    for view, q in VIEWS.queries.items():
        of_view = level.get(view, 0.0) if isinstance(level, Mapping) else level
        out[view] = np.zeros((len(q), N))
        out[view][np.arange(len(q)), q.targets] = of_view
    return out


def ranked(queries: Queries, ranks: np.ndarray) -> np.ndarray:
    """Logits that put each target at its rank among the unmasked, and everything masked above all."""
    z = np.full((len(queries), N), 100.0)
    for row, (target, rank) in enumerate(zip(queries.targets.tolist(), ranks.tolist(), strict=True)):
        others = np.setdiff1d(np.arange(N), [*queries.histories.row(row).tolist(), target])
        z[row, np.insert(others, rank - 1, target)] = -0.1 * np.arange(len(others) + 1)
    return z


def log_prob(level: float) -> float:
    return level - np.log(np.exp(level) + N - 1)


def divergence(level: float) -> float:
    """Jensen–Shannon between uniform and uniform with one logit raised."""
    p = np.exp(np.append(log_prob(level), np.full(N - 1, log_prob(level) - level)))
    q = np.full(N, 1 / N)
    middle = (p + q) / 2
    return float(((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2)


def gains(k: int) -> float:
    return float((1 / np.log2(1 + np.arange(1, k + 1))).sum())


BASE, CONTROL = 5.0, 0.5


@pytest.mark.parametrize("level", [BASE, 2.0, 1.0, CONTROL, 0.0, -1.0, -5.0])
def test_what_is_said_of_the_forgotten(level: float) -> None:
    """5 is perfect memory, 0 is gold, −5 is hiding."""
    roles = {"base": raised({"forget": BASE}), "gold": raised(0.0), "control": raised({"forget": CONTROL})}
    found = everything(Bed(DATA, SPLIT, VIEWS, {**roles, "unlearned": raised({"forget": level})}))

    def value(name: str) -> float:
        number = found[f"{name}/forget"].value
        assert number is not None
        return number

    m = LENGTHS["forget"]
    for k in KS:
        hit = {1: 1.0, 0: np.mean(k / m), -1: 0.0}[int(np.sign(level))]
        ndcg = {1: 1.0, 0: np.mean(gains(k) / m), -1: 0.0}[int(np.sign(level))]
        assert value(f"hit@{k}") == pytest.approx(hit, abs=1e-12)
        assert value(f"ndcg@{k}") == pytest.approx(ndcg, abs=1e-12)
        assert value(f"hit@{k}:vs_base") == pytest.approx(100 * (hit - 1))
        assert value(f"hit@{k}:vs_gold") == pytest.approx(hit - np.mean(k / m))
    distances = {x: abs(log_prob(x) - log_prob(0.0)) for x in (BASE, CONTROL, level)}
    fidelity = (distances[BASE] - distances[level]) / (distances[BASE] - distances[CONTROL])
    assert value("fidelity") == pytest.approx(np.clip(fidelity, 0, 1), abs=1e-5)
    assert value("distance") == pytest.approx(distances[level], abs=1e-5)
    assert value("shift") == pytest.approx(log_prob(level) - log_prob(0.0), abs=1e-5)
    assert value("jensen_shannon") == pytest.approx(divergence(level), abs=1e-6)
    assert value("ks") == (level != 0)
    # All users moved the same way, which no flip but all or none repeats.
    assert value("ks_p") == pytest.approx(1.0 if level == 0 else 1 / (FLIPS + 1))
    # Control has them all on top: 1 is its 95 % quantile.
    assert value("streisand") == pytest.approx(0.95 if level <= 0 else -0.05)
    # All queries are alike, so nothing varies.
    assert (found["streisand/forget"].interval is None) == (level > 0), "the ranks are control's own"
    for name in ("distance", "shift", "jensen_shannon", *(["streisand"] if level <= 0 else [])):
        low, high = found[f"{name}/forget"].interval or (np.nan, np.nan)
        assert high - low < 1e-6, name


def test_perfect_forgetting_is_gold_in_every_number() -> None:
    gold = random_logits(1)
    found = everything(Bed(DATA, SPLIT, VIEWS, {**random_roles(), "gold": gold, "unlearned": gold}))
    against = {name: m for name, m in found.items() if ":vs_gold" in name}
    assert len(against) == 2 * len(KS) * len(VIEWS.rows) + 3
    for name, measurement in against.items():
        assert measurement.value == 0, name
        assert measurement.interval in (None, (0.0, 0.0)), name
    for name in ("distance/forget", "shift/forget", "ks/forget", "jensen_shannon/forget", "collateral/neighbours"):
        assert found[name].value == 0, name
    assert found["fidelity/forget"].value == found["ks_p/forget"].value == 1
    assert found["fidelity/forget"].interval == (1.0, 1.0)


def test_a_destroyed_model_ranks_at_random() -> None:
    roles = {name: raised(3.0) for name in ("base", "gold", "control")}
    bed = Bed(DATA, SPLIT, VIEWS, {**roles, "unlearned": raised(0.0)})
    found = everything(bed)
    for view, (parent, rows) in VIEWS.rows.items():
        m = LENGTHS[parent][rows]
        for k in KS:
            assert found[f"hit@{k}/{view}"].value == pytest.approx(np.mean(k / m))
            assert found[f"ndcg@{k}/{view}"].value == pytest.approx(np.mean(gains(k) / m))
            assert found[f"hit@{k}:vs_base/{view}"].value == pytest.approx(100 * (np.mean(k / m) - 1))
    own = bed.context().subject.scores["retain"]
    assert own.entropy == pytest.approx(np.full(len(own), np.log(N)), rel=1e-5)
    assert own.log_prob == pytest.approx(np.full(len(own), -np.log(N)), rel=1e-5)
    assert (own.margin == 0).all()
    # Lists of equal scores are in the catalogue's order: the first ten that the user has not had.
    retain = VIEWS.queries["retain"]
    lists = [np.setdiff1d(np.arange(N), retain.histories.row(row))[:10] for row in range(len(retain))]
    assert found["coverage@10/retain"].value == len(np.unique(np.concatenate(lists))) / N
    # What everybody lost, neighbours did not lose more, but for the length of their histories.
    near, far = (np.mean(10 / LENGTHS["retain"][VIEWS.rows[view][1]]) for view in ("neighbours", "controls"))
    assert found["collateral/neighbours"].value == pytest.approx(near - far)


def test_known_ranks_give_known_shares() -> None:
    """Control's ranks are 1 … 20 equally often: their 95 % quantile is 19, and 5 % of queries lie above it."""
    queries = len(FORGET)
    ranks = 1 + np.arange(queries) % 20
    assert queries % 60 == 0
    control = {**raised(0.0), "forget": ranked(FORGET, ranks)}
    third = np.arange(queries) % 3 == 0
    own = {
        "the same ranks": (ranks, 0.0),
        "others, as often": (21 - ranks, 0.0),
        "a third hidden": (np.where(third, LENGTHS["forget"], 1), 1 / 3 - 0.05),
        "a third at the quantile": (np.where(third, 19, 1), -0.05),
        "all hidden": (LENGTHS["forget"], 0.95),
    }
    roles = {"base": raised(3.0), "gold": raised(0.0), "control": control}
    for name, (at, streisand) in own.items():
        mine = {**raised(0.0), "forget": ranked(FORGET, at)}
        found = everything(Bed(DATA, SPLIT, VIEWS, {**roles, "unlearned": mine}))
        for k in KS:
            assert found[f"hit@{k}/forget"].value == pytest.approx(np.mean(at <= k)), name
            assert found[f"ndcg@{k}/forget"].value == pytest.approx(np.mean((at <= k) / np.log2(1 + at))), name
        measured = found["streisand/forget"]
        assert measured.value == pytest.approx(streisand), name
        if name != "the same ranks":
            assert measured.interval is not None
            assert measured.interval[0] - 0.02 <= streisand <= measured.interval[1] + 0.02, name
        assert measured.per_user is not None
        assert measured.per_user.values.mean() == pytest.approx(streisand), name


def test_control_against_itself_has_no_interval_that_leaves_out_its_value() -> None:
    """Each replicate's quantile has at most 5 % above it, a step less at most: an interval would say that control is
    surely below what it is compared with, which is itself."""
    ranks = 1 + np.random.default_rng(0).permutation(len(FORGET)) % 20
    control = {**raised(0.0), "forget": ranked(FORGET, ranks)}
    models = {"base": raised(3.0), "gold": raised(0.0), "control": control, "unlearned": control}
    found = everything(Bed(DATA, SPLIT, VIEWS, models))["streisand/forget"]
    assert -0.05 < found.value <= 1e-6 and found.interval is None and found.replicates is None
    assert "control's own" in found.note
    # Another model with one rank changed is compared as any other.
    other = np.where(np.arange(len(ranks)) == 0, ranks + 1, ranks)
    models["unlearned"] = {**raised(0.0), "forget": ranked(FORGET, other)}
    found = everything(Bed(DATA, SPLIT, VIEWS, models))["streisand/forget"]
    assert found.interval is not None and found.replicates is not None


def test_collateral_is_what_neighbours_lost_beyond_others() -> None:
    retain = VIEWS.queries["retain"]
    near, far = (VIEWS.rows[view][1] for view in ("neighbours", "controls"))
    gold = {"base": raised(3.0), "gold": raised(3.0), "control": raised(3.0)}

    def collateral(lost: np.ndarray) -> Measurement:
        level = np.full(len(retain), 3.0)
        level[lost] = -3.0
        models = {**gold, "unlearned": raised({"retain": level})}
        return everything(Bed(DATA, SPLIT, VIEWS, models))["collateral/neighbours"]

    assert collateral(near[::2]).value == pytest.approx(-len(near[::2]) / len(near))
    assert collateral(far[::3]).value == pytest.approx(len(far[::3]) / len(far))
    both = collateral(np.concatenate([near[::2], far[::3]]))
    assert both.value == pytest.approx(len(far[::3]) / len(far) - len(near[::2]) / len(near))
    assert collateral(np.arange(len(retain))).value == 0


@pytest.mark.parametrize("missed", [0, 2, 10])
def test_a_router_with_a_known_miss_rate(missed: int) -> None:
    """Of every user of F, `missed` of 10 queries stay under the threshold; of R, one user in four is over it."""
    flagged = {view: np.full(len(q), 0.1, np.float32) for view, q in VIEWS.queries.items()}
    users, place = FORGET.users, np.zeros(len(FORGET), int)
    for user in np.unique(users):
        place[users == user] = np.arange((users == user).sum())
    assert np.bincount(users).max() == 10 == np.bincount(users)[users].min()
    flagged["forget"] = np.where(place < missed, 0.79, 0.8).astype(np.float32)
    flagged["retain"][::4] = 0.9
    bed = Bed(DATA, SPLIT, VIEWS, {**random_roles(), "unlearned": raised(0.0)})
    # The threshold itself belongs to the side memory.
    context = bed.context(flagged, float(np.float32(0.8)))
    found = by_name(Router(NoSettings()).measure(context))
    assert found["router_share/forget"].value == pytest.approx(1 - missed / 10)
    assert found["router_share/unseen_train"].value == 0
    retained = len(flagged["retain"])
    assert found["router_share/retain"].value == pytest.approx(-(-retained // 4) / retained)
    assert found["router_auc/forget"].value == 1  # 0.79 tells as well as 0.8: missing is not hiding


# -- what must change nothing ---------------------------------------------------------------------------------------


def random_logits(seed: int, memory: float = 0.0) -> Logits:
    rng = np.random.default_rng(seed)
    out = {view: rng.standard_normal((len(q), N)) for view, q in VIEWS.queries.items()}
    out["forget"][np.arange(len(FORGET)), FORGET.targets] += memory
    return out


def random_roles() -> dict[str, Logits]:
    return {"base": random_logits(2, 3.0), "gold": random_logits(3), "control": random_logits(4)}


RANDOM = Bed(DATA, SPLIT, VIEWS, {**random_roles(), "unlearned": random_logits(5, 1.0)})


def other_query_order(bed: Bed) -> Bed:
    rng = np.random.default_rng(0)
    orders = {view: rng.permutation(len(q)) for view, q in bed.views.queries.items()}
    queries = {
        view: Queries(q.histories.take(orders[view]), q.targets[orders[view]], q.users[orders[view]])
        for view, q in bed.views.queries.items()
    }
    rows = {name: (parent, np.argsort(orders[parent])[at]) for name, (parent, at) in bed.views.rows.items()}
    models = {name: {view: z[orders[view]] for view, z in logits.items()} for name, logits in bed.models.items()}
    return Bed(bed.data, bed.split, Views(queries, rows), models)


def other_users(bed: Bed) -> Bed:
    """Everybody at another position, so that the values stay and only the intervals' weights change hands."""
    to = np.random.default_rng(1).permutation(bed.data.n_users).astype(np.int32)
    queries = {view: replace(q, users=to[q.users]) for view, q in bed.views.queries.items()}
    split = replace(
        bed.split,
        forget_users=to[bed.split.forget_users],
        unseen_users=to[bed.split.unseen_users],
        retained_users=to[bed.split.retained_users],
    )
    return Bed(bed.data, split, Views(queries, bed.views.rows), bed.models)


def other_items(bed: Bed) -> Bed:
    to = np.random.default_rng(2).permutation(bed.data.n_items).astype(np.int32)
    queries = {
        view: replace(q, targets=to[q.targets], histories=replace(q.histories, items=to[q.histories.items]))
        for view, q in bed.views.queries.items()
    }
    back = np.argsort(to)
    models = {name: {view: z[:, back] for view, z in logits.items()} for name, logits in bed.models.items()}
    return Bed(replace(bed.data, item=to[bed.data.item]), bed.split, Views(queries, bed.views.rows), models)


def changed_logits(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Bed], Bed]:
    def apply(bed: Bed) -> Bed:
        models = {name: {view: change(z) for view, z in logits.items()} for name, logits in bed.models.items()}
        return replace(bed, models=models)

    return apply


def added(z: np.ndarray) -> np.ndarray:
    return z + np.linspace(-7, 7, len(z))[:, None]


def scaled(z: np.ndarray) -> np.ndarray:
    return 1.7 * z


OF_SCORES = ("fidelity", "distance", "shift", "ks", "ks_p", "jensen_shannon")
"""What rests on probabilities and not on ranks alone."""


@pytest.mark.parametrize(
    ("change", "intervals", "but"),
    [
        (other_query_order, True, ()),
        (other_users, False, ("ks_p",)),  # its flips are drawn by place
        (other_items, True, ()),
        (changed_logits(added), True, ()),
        (changed_logits(scaled), True, OF_SCORES),
    ],
)
def test_what_must_change_nothing(change: Callable[[Bed], Bed], intervals: bool, but: tuple[str, ...]) -> None:
    before, after = everything(RANDOM), everything(change(RANDOM))
    assert before.keys() == after.keys()
    for name, one in before.items():
        if one.metric in but:
            continue
        other = after[name]
        assert other.value == pytest.approx(one.value, abs=1e-6), name
        if intervals:
            assert (other.interval is None) == (one.interval is None), name
            assert other.interval is None or other.interval == pytest.approx(one.interval, abs=1e-6), name


def test_scaling_logits_changes_what_rests_on_probabilities() -> None:
    before, after = everything(RANDOM), everything(changed_logits(scaled)(RANDOM))
    for name in ("distance/forget", "jensen_shannon/forget"):
        assert abs(before[name].value - after[name].value) > 0.01  # type: ignore[operator]
