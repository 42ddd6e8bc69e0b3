"""What a metric must keep to."""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import get_args

import numpy as np

from vestige.configs import Config
from vestige.data.views import VIEWS
from vestige.measuring.contract import Better, Context, Measurement
from vestige.specs import MetricSpec
from vestige.testing.cells import Measuring, reordered
from vestige.testing.check import Check, Once, require
from vestige.testing.world import array_digest

SAME = 1e-6
"""Sums in another order differ by less."""

Named = Mapping[str, Measurement]


class MetricChecks:
    """The checks of one metric, with what they share."""

    def __init__(self, spec: MetricSpec, config: Config) -> None:
        self._spec, self._config = spec, config
        self._context = Once("making a cell", lambda: Measuring("users").context())
        self._first = Once("measuring", self._measure_first)
        self._touched: tuple[str, ...] = ()

    def all(self) -> list[Check]:
        """The checks, in the order in which they are best mended."""
        return [
            Check("measures a cell", lambda: self._right(self._first())),
            Check("yields only what it names in `measures`", self._names),
            Check("measures a cell of single interactions, without a second world", self._interactions),
            Check("measures a cell of withdrawn items", self._items),
            Check("leaves the cell as it was", self._touches_nothing),
            Check("the same at every run", self._again),
            Check("the same whatever the order of users", self._order),
        ]

    def _names(self) -> None:
        ks = getattr(self._config, "k", (5, 10, 20))
        known = {name.replace("{k}", str(k)) for name in self._spec.measures for k in ks}
        strange = sorted({m.metric for m in self._first().values()} - known)
        require(not strange, f"it yields {strange[0] if strange else ''!r}", "name it in the spec's `measures`")

    def _interactions(self) -> None:
        self._right(self._measure(Measuring("interactions").context(swap=False)))

    def _items(self) -> None:
        self._right(self._measure(Measuring("items").context()))

    def _touches_nothing(self) -> None:
        self._first()
        require(
            not self._touched,
            f"it changed {', '.join(f'context.{name}' for name in self._touched)}, which other metrics read after it",
            "change copies",
        )

    def _again(self) -> None:
        again = replace(self._context(), memo={})  # what it keeps for a cell is made anew, too
        _same(self._first(), self._measure(again), 0.0, "a second run", "draw from `context.seed`")

    def _order(self) -> None:
        moved = self._measure(reordered(self._context()))
        _same(self._first(), moved, SAME, "another order of queries", "average by user, and read users from the views")

    def _measure_first(self) -> Named:
        """Measures a cell that nobody has had in hand before, and keeps what of it was changed."""
        context = self._context()
        shared = [f.name for f in fields(context) if f.name != "memo"]  # the memo is there to be written in
        before = {name: array_digest(getattr(context, name)) for name in shared}
        found = self._measure(context)
        self._touched = tuple(name for name in shared if array_digest(getattr(context, name)) != before[name])
        return found

    def _measure(self, context: Context) -> Named:
        found = list(self._spec.load()(self._config).measure(context))
        out: dict[str, Measurement] = {}
        for m in found:
            require(
                isinstance(m, Measurement), f"it yields a {type(m).__name__}", "yield vestige.measuring.Measurements"
            )
            name = f"{m.metric}/{m.view}" if m.view else m.metric
            require(name not in out, f"it yields {name!r} twice", "give every measurement a name of its own")
            out[name] = m
        return out

    def _right(self, found: Named) -> None:
        for name, m in found.items():
            require(not m.view or m.view in VIEWS, f"{name!r} is of the view {m.view!r}", f"use one of {VIEWS}, or ''")
            require(m.better in get_args(Better), f"{name!r} is better {m.better!r}", f"use one of {get_args(Better)}")
            if m.value is None:
                require(m.note, f"{name!r} has neither value nor note", "say in `note` why it cannot be measured")
                continue
            require(math.isfinite(m.value), f"{name!r} is {m.value}", "give None and a note where it is undefined")
            if m.interval is not None:
                low, high = m.interval
                require(
                    low - SAME <= m.value <= high + SAME,
                    f"{name!r} is {m.value:.4g}, outside its interval [{low:.4g}, {high:.4g}]",
                    "make value and interval of one Estimate (context.bootstrap.mean)",
                )
            if m.per_user is not None:
                users, values = m.per_user.users, m.per_user.values
                require(
                    len(np.unique(users)) == len(users) == len(values) and np.isfinite(values).all(),
                    f"{name!r} has {len(values)} values for {len(np.unique(users))} users, or one that is not finite",
                    "give one finite value a user (vestige.measuring.statistics.by_user)",
                )


def _same(one: Named, other: Named, within: float, what: str, change: str) -> None:
    require(one.keys() == other.keys(), f"{what} yields other measurements", change)
    for name, m in one.items():
        if m.varies:
            continue
        pair = (m.value, other[name].value)
        known = [value for value in pair if value is not None]
        require(
            len(known) != 1 and (not known or abs(known[0] - known[1]) <= within),
            f"{what} changed {name!r} from {pair[0]} to {pair[1]}",
            change,
        )
