"""Known faults of the field, written down as broken variants: each check holds for ours and fails for the fault.

Where a fault is known from a published table it is the one of the dual-memory method's; see `docs/metrics.md`.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.planted import Planted, by_name, context, noise, remembers, setting, world
from vestige.data.interactions import Interactions, from_columns
from vestige.data.request import Part, Split, select, training
from vestige.data.sequences import Sequences, sequences
from vestige.data.views import NEAREST, Queries, neighbours
from vestige.measuring.contract import Context
from vestige.measuring.ranks import hit_at, ndcg_at
from vestige.measuring.statistics import Floats
from vestige.pipeline.tasks import make_task
from vestige.recommenders.scoring import score_queries
from vestige_metrics.collateral import Collateral
from vestige_metrics.configs import NoSettings, RankingConfig
from vestige_metrics.membership import Membership
from vestige_metrics.memory import score_sides
from vestige_metrics.ranking import Ranking

DATA, SPLIT, VIEWS = setting(world(users=140, seed=1), count=30)
N = DATA.n_items
GOLD, CONTROL, RECHECK = (Planted(noise(seed, N)) for seed in (1, 2, 3))
BASE = Planted(remembers(SPLIT.forget_users, 3.0, 4, N))
ROLES = {"base": BASE, "gold": GOLD, "control": CONTROL, "recheck": RECHECK}


def judged(unlearned: Planted, **roles: Planted) -> Context:
    return context(DATA, SPLIT, VIEWS, {**ROLES, **roles, "unlearned": unlearned})


# -- averaged over the users with a hit only -----------------------------------------------------------------------


def ndcg_stays_under_hit(ndcg: Callable[[Context, str], float]) -> bool:
    ctx = judged(BASE)
    found = by_name(Ranking(RankingConfig()).measure(ctx))
    return all(ndcg(ctx, view) <= found[f"hit@10/{view}"].value for view in VIEWS.rows)


def our_ndcg(ctx: Context, view: str) -> float:
    return by_name(Ranking(RankingConfig()).measure(ctx))[f"ndcg@10/{view}"].value


def ndcg_over_hits_only(ctx: Context, view: str) -> float:
    scores = ctx.scores(ctx.subject, view)
    gains = ndcg_at(scores.above, scores.equal, 10)
    return float(gains[gains > 0].mean())


def test_ndcg_over_hits_only() -> None:
    assert ndcg_stays_under_hit(our_ndcg)
    assert not ndcg_stays_under_hit(ndcg_over_hits_only)


# -- other labels for gold than for base ---------------------------------------------------------------------------


def equal_models_are_told_equally_well(difference: Callable[[Context], float]) -> bool:
    """Base in gold's place: an attack on it cannot come out differently."""
    return difference(judged(BASE, gold=BASE)) == pytest.approx(0, abs=1e-12)


def our_difference(ctx: Context) -> float:
    return by_name(Membership(NoSettings()).measure(ctx))["auc_raw:vs_gold/forget"].value


def difference_with_swapped_labels(ctx: Context) -> float:
    own, gold = score_sides(ctx, ctx.subject), score_sides(ctx, ctx.roles["gold"])
    right = ctx.bootstrap.auc(own.forget, own.forget_values, own.unseen, own.unseen_values)
    swapped = ctx.bootstrap.auc(gold.unseen, gold.unseen_values, gold.forget, gold.forget_values)
    return (right - swapped).value


def test_labels_swapped_between_base_and_gold() -> None:
    assert equal_models_are_told_equally_well(our_difference)
    assert not equal_models_are_told_equally_well(difference_with_swapped_labels)


def gold_gives_nothing_away(auc: Callable[[Context], tuple[float, float]]) -> bool:
    low, high = auc(judged(BASE, gold=Planted(remembers(SPLIT.retained_users, 3.0, 1, N))))
    return low <= 0.5 <= high


def our_auc_of_gold(ctx: Context) -> tuple[float, float]:
    sides = score_sides(ctx, ctx.roles["gold"])
    return ctx.bootstrap.auc(sides.forget, sides.forget_values, sides.unseen, sides.unseen_values).interval


def auc_of_retained_over_forgotten(ctx: Context) -> tuple[float, float]:
    """Gold trained on the one and not on the other: this tells a perfect retraining by what it should know."""
    sides = score_sides(ctx, ctx.roles["gold"])
    retained = ctx.scores(ctx.roles["gold"], "retain").log_prob.astype(np.float64)
    return ctx.bootstrap.auc(ctx.views.users("retain"), retained, sides.forget, sides.forget_values).interval


def test_retained_against_forgotten_is_no_membership() -> None:
    assert gold_gives_nothing_away(our_auc_of_gold)
    assert not gold_gives_nothing_away(auc_of_retained_over_forgotten)


# -- neighbours found with the model that is judged ----------------------------------------------------------------


def damage_to_similar_users_is_seen(near: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> bool:
    """The users whose item sets are most like F's lose everything, and no longer answer as they did.

    Args:
        near: The users of R taken for neighbours, given the judged model's answers [users, items] to F and to R.
    """
    similar, _ = neighbours(DATA, SPLIT)
    retain = VIEWS.queries["retain"]
    tastes = np.zeros((DATA.n_users, N))
    tastes[DATA.user, DATA.item] = 2.0
    target = np.zeros((len(retain), N))
    target[np.arange(len(retain)), retain.targets] = 6.0
    hurt = np.isin(retain.users, similar)
    answers = np.where(hurt[:, None], noise(9, N)(retain) - target, tastes[retain.users] + target)

    def logits(unhurt: bool) -> Planted:
        whole = tastes[retain.users] + target
        return Planted(lambda q: (whole if unhurt else answers) if q is retain else np.zeros((len(q), N)))

    ctx = judged(logits(False), base=logits(True), gold=logits(True))
    found = near(tastes[SPLIT.forget_users], answers)
    views = {"neighbours": found, "controls": np.setdiff1d(retain.users, found)}
    rows = {view: ("retain", np.flatnonzero(np.isin(retain.users, of))) for view, of in views.items()}
    ctx = replace(ctx, views=replace(VIEWS, rows={**VIEWS.rows, **rows}))
    return by_name(Collateral(NoSettings()).measure(ctx))["collateral/neighbours"].value < -0.9


def near_by_item_sets(of_forget: np.ndarray, of_retain: np.ndarray) -> np.ndarray:
    """Ours; see also `tests/data/test_views.py`."""
    del of_forget, of_retain
    return neighbours(DATA, SPLIT)[0]


def near_by_the_models_answers(of_forget: np.ndarray, of_retain: np.ndarray) -> np.ndarray:
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (of_forget, of_retain)]
    nearest = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :NEAREST]
    return np.unique(VIEWS.users("retain")[nearest])


def test_neighbours_found_with_the_model() -> None:
    assert damage_to_similar_users_is_seen(near_by_item_sets)
    assert not damage_to_similar_users_is_seen(near_by_the_models_answers)


# -- the forgotten in early stopping -------------------------------------------------------------------------------


def keys(data: Interactions, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    return users.astype(np.int64) * data.n_items + items


def contains(rows: Sequences, data: Interactions, events: np.ndarray) -> bool:
    """Whether any of the events stands in the rows; in this world nobody has an item twice."""
    mine = keys(data, np.repeat(rows.users, rows.lengths), rows.items)
    return bool(np.isin(mine, keys(data, data.user[events], data.item[events])).any())


def not_golds_to_see(data: Interactions, split: Split) -> np.ndarray:
    """For whole users everything of F, held-out items too; else the forgotten. And T."""
    withheld = np.isin(split.part, (Part.FORGET, Part.UNSEEN))
    if split.kind == "users":
        withheld |= np.isin(data.user, np.concatenate([split.forget_users, split.unseen_users]))
    return np.flatnonzero(withheld)


def gold_never_meets_the_forgotten(seen: Callable[[Interactions, Split], list[Sequences]], kind: str) -> bool:
    data, split, _ = setting(world(users=140, seed=1), kind=kind, count=30)
    return not any(contains(rows, data, not_golds_to_see(data, split)) for rows in seen(data, split))


def our_training(data: Interactions, split: Split) -> list[Sequences]:
    return [training(data, split, [Part.RETAINED])]


def training_with_everybodys_validation(data: Interactions, split: Split) -> list[Sequences]:
    """Early stopping at the best validation score, over all users."""
    return [*our_training(data, split), select(data, split.part == Part.VALIDATION)]


def training_with_the_last_known_item(data: Interactions, split: Split) -> list[Sequences]:
    """Early stopping on each user's last training item, which for affected users may be a forgotten one."""
    free = np.flatnonzero(split.part <= Part.UNSEEN)
    last = np.zeros(len(data), dtype=np.bool_)
    last[free[np.append(np.diff(data.user[free]) != 0, True)]] = True
    return [*our_training(data, split), select(data, last)]


def test_the_forgotten_in_early_stopping() -> None:
    for kind in ("users", "interactions"):
        assert gold_never_meets_the_forgotten(our_training, kind)
        assert not gold_never_meets_the_forgotten(training_with_the_last_known_item, kind)
    assert not gold_never_meets_the_forgotten(training_with_everybodys_validation, "users")


@pytest.mark.parametrize("kind", ["users", "interactions"])
@pytest.mark.parametrize("forget", [Part.FORGET, Part.UNSEEN])
def test_a_method_is_never_told_what_is_held_out(kind: str, forget: Part) -> None:
    data, split, _ = setting(world(users=140, seed=1), kind=kind, count=30)
    nothing = dict.fromkeys(("recommender", "seed", "device", "budget", "progress", "fresh"))
    task = make_task(data, split, forget, **nothing)
    other = Part.UNSEEN if forget == Part.FORGET else Part.FORGET
    held_out = np.flatnonzero(np.isin(split.part, (Part.VALIDATION, Part.TEST, Part.UNUSED, other)))
    targets = sequences([[item] for item in task.forget.targets.tolist()], task.forget.users.tolist())
    for rows in (task.retained, task.forget_sequences, task.forget.histories, targets):
        assert len(rows)
        assert not contains(rows, data, held_out)
    assert not contains(task.retained, data, split.events(forget))
    # The check itself sees what it is to see.
    assert contains(task.forget_sequences, data, split.events(forget))
    assert contains(select(data, split.part >= Part.VALIDATION), data, held_out)


# -- sampled negatives ---------------------------------------------------------------------------------------------

ITEMS, QUERIES = 2000, 200
ASKED = Queries(
    sequences([[0]] * QUERIES),
    np.random.default_rng(0).integers(1, ITEMS, QUERIES).astype(np.int32),
    np.arange(QUERIES, dtype=np.int32),
)


class AtRanks:
    """Puts the target of query i at `ranks[i]` of the whole catalogue."""

    def __init__(self, ranks: np.ndarray) -> None:
        self.scores = np.zeros((QUERIES, ITEMS), np.float32)
        rng = np.random.default_rng(1)
        for row, rank in enumerate(ranks.tolist()):
            order = np.setdiff1d(np.arange(1, ITEMS), [ASKED.targets[row]])
            order = np.append(np.insert(rng.permutation(order), rank - 1, ASKED.targets[row]), 0)
            self.scores[row, order] = log_softmax(-np.arange(ITEMS) / ITEMS)
        self.at = 0

    def score(self, histories: Sequences) -> np.ndarray:
        rows = self.scores[self.at : self.at + len(histories)]
        self.at += len(histories)
        return rows

    def save(self, folder: object) -> None:
        raise AssertionError(folder)


HALF = np.where(np.arange(QUERIES) % 2 == 0, 1, 1500)
NEARLY = np.full(QUERIES, 60)


def the_better_model_comes_out_ahead(hit: Callable[[AtRanks], Floats]) -> bool:
    """At 10, the one that puts half of the targets first beats the one that puts none higher than 60."""
    better, worse = hit(AtRanks(HALF)).mean(), hit(AtRanks(NEARLY)).mean()
    return better == pytest.approx(0.5) and worse == 0


def our_hit(model: AtRanks) -> Floats:
    scores = score_queries(model, ASKED, ITEMS)
    return hit_at(scores.above, scores.equal, 10)


def hit_among_sampled(model: AtRanks) -> Floats:
    """Among 100 items drawn at random and the target (Krichene and Rendle, KDD 2020)."""
    rng = np.random.default_rng(2)
    sampled = rng.integers(1, ITEMS, (QUERIES, 100))
    rows = np.arange(QUERIES)
    above = model.scores[rows[:, None], sampled] > model.scores[rows, ASKED.targets][:, None]
    return hit_at(above.sum(axis=1), np.zeros(QUERIES, np.int64), 10)


def test_sampled_negatives() -> None:
    assert the_better_model_comes_out_ahead(our_hit)
    assert not the_better_model_comes_out_ahead(hit_among_sampled)
    # The order of the two models is even turned round.
    assert hit_among_sampled(AtRanks(NEARLY)).mean() > hit_among_sampled(AtRanks(HALF)).mean()


# -- an unstable sort under tied timestamps ------------------------------------------------------------------------


def ties_keep_the_order_of_rows(order: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> bool:
    """Some 40 % of neighbouring events of ML-1M have equal timestamps: the order of rows must decide."""
    rng = np.random.default_rng(3)
    users, times = np.repeat([3, 1, 2], 400), rng.integers(0, 20, 1200)
    items = np.tile(np.arange(400), 3)  # within a user, an item is its row
    rows = list(zip(users.tolist(), times.tolist(), items.tolist(), strict=True))
    expected = [item for _, _, item in sorted(rows)]
    return order(users, items, times).tolist() == expected


def our_order(users: np.ndarray, items: np.ndarray, times: np.ndarray) -> np.ndarray:
    data = from_columns(users, items, None, times, "test")
    return data.item_ids[data.item].astype(int)


def unstable_order(users: np.ndarray, items: np.ndarray, times: np.ndarray) -> np.ndarray:
    return items[np.argsort(users * 1000 + times, kind="quicksort")]


def test_an_unstable_sort() -> None:
    assert ties_keep_the_order_of_rows(our_order)
    assert not ties_keep_the_order_of_rows(unstable_order)
