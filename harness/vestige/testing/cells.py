"""Cells as metrics meet them: trained models of the small world, scored on its views."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from vestige.data.interactions import Interactions
from vestige.data.request import Kind, Part, Split, training
from vestige.data.units import frame
from vestige.data.views import Views, build
from vestige.measuring.contract import Context, CostOf, Subject
from vestige.measuring.statistics import Bootstrap
from vestige.progress import silent
from vestige.recommenders.contract import Recommender
from vestige.recommenders.popularity import Popularity
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.scoring import score_queries
from vestige.testing.world import catalogue, interactions, request, tiny_t5

ROLES = {
    "base": (Part.RETAINED, Part.FORGET),
    "gold": (Part.RETAINED,),
    "control": (Part.RETAINED,),
    "recheck": (Part.RETAINED,),
    "swap": (Part.RETAINED, Part.UNSEEN),
    "popularity": (Part.RETAINED,),
}


@dataclass(frozen=True)
class Measuring:
    """Models of a world, scored on its views, for metrics."""

    kind: Kind
    data: Interactions = field(default_factory=interactions)

    @cached_property
    def split(self) -> Split:
        """R, F and T."""
        return request(self.data, self.kind)

    @cached_property
    def views(self) -> Views:
        """What is asked."""
        return build(self.data, self.split, seed=0)

    def context(self, swap: bool = True) -> Context:
        """A cell whose row is a further retraining, with the second world where `swap`."""
        roles = {name: self._subject(name, parts) for name, parts in ROLES.items() if swap or name != "swap"}
        measured = frame(self.data, self.split, self.views)
        return Context(
            data=measured.data,
            split=measured.split,
            views=measured.views,
            row="method",
            subject=self._subject("unlearned", ROLES["gold"]),
            swapped=self._subject("swapped", ROLES["gold"]) if swap else None,
            roles=roles,
            bootstrap=Bootstrap(measured.data.n_users),
            seed=0,
        )

    def _subject(self, name: str, parts: tuple[Part, ...]) -> Subject:
        model: Recommender = tiny_t5(self.data)
        if name == "popularity":
            model = Popularity(PopularityConfig(), catalogue(self.data), "cpu")
        model.fit(training(self.data, self.split, parts), len(name), silent)
        scores = {view: score_queries(model, asked, self.data.n_items) for view, asked in self.views.queries.items()}
        cost = CostOf(2.0, 1e9, 1000, 2**28, 2**20, 1e-4)
        return Subject(name, scores, cost, None, lambda: model)


def reordered(context: Context) -> Context:
    """The same cell, asked in another order of queries."""
    rng = np.random.default_rng(1)
    orders = {view: rng.permutation(len(asked)) for view, asked in context.views.queries.items()}
    queries = {
        view: replace(asked, histories=asked.histories.take(o), targets=asked.targets[o], users=asked.users[o])
        for view, asked in context.views.queries.items()
        for o in [orders[view]]
    }
    rows = {
        view: (parent, np.sort(np.argsort(orders[parent])[chosen]))
        for view, (parent, chosen) in context.views.rows.items()
    }
    events = {view: asked[orders[view]] for view, asked in context.views.events.items()}

    def moved(model: Subject) -> Subject:
        return replace(model, scores={view: scores.take(orders[view]) for view, scores in model.scores.items()})

    return replace(
        context,
        views=Views(queries, rows, events),
        subject=moved(context.subject),
        swapped=moved(context.swapped) if context.swapped else None,
        roles={name: moved(model) for name, model in context.roles.items()},
        memo={},
    )


def tiny_context(kind: Kind = "users") -> Context:
    """A cell of the small world, with trained tiny models: what a metric's own tests can begin with."""
    return Measuring(kind).context()
