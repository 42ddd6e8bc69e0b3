"""A recommender that does not beat the popularity list has learned nothing that could be unlearned."""

from tests.planted import Planted, by_name, context, noise, remembers, setting, world
from vestige_metrics.configs import NoSettings
from vestige_metrics.validity import Validity

DATA, SPLIT, VIEWS = setting(world(users=140, seed=1), count=30)
N = DATA.n_items


def measured(gold: Planted, popularity: Planted):
    models = {"base": gold, "gold": gold, "control": gold, "popularity": popularity, "unlearned": gold}
    return by_name(Validity(NoSettings()).measure(context(DATA, SPLIT, VIEWS, models)))["gold_vs_popularity/retain"]


def test_gold_that_knows_is_valid() -> None:
    found = measured(Planted(remembers(SPLIT.retained_users, 3.0, 1, N)), Planted(noise(2, N)))
    assert found.value > 0.2
    assert found.note == ""


def test_gold_that_knows_nothing_is_invalid() -> None:
    assert measured(Planted(noise(3, N)), Planted(noise(4, N))).note.startswith("INVALID")
    same = Planted(noise(3, N))
    assert measured(same, same).value == 0
