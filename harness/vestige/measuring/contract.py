"""The contract of metrics; that of attacks is in `vestige.measuring.attacks`."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from vestige.data.interactions import Interactions
from vestige.data.request import Split
from vestige.data.sequences import BoolArray, IntArray
from vestige.data.views import Views
from vestige.measuring.attacks import Attempts
from vestige.measuring.statistics import Bootstrap, Estimate, Floats
from vestige.recommenders.contract import Scorer
from vestige.recommenders.scoring import Scores

ValueT = TypeVar("ValueT")

Better = Literal["higher", "lower", "gold", "0", "0.5", "none"]

BETTER = r"^(higher|lower|gold|none|-?[0-9]+(\.[0-9]+)?)$"
"""What `Measurement.better` may say, as records hold it."""


@dataclass(frozen=True)
class PerUser:
    """One value a user, from which a measurement was averaged.

    Attributes:
        users: [n] positions.
        values: [n].
    """

    users: IntArray
    values: Floats


@dataclass(frozen=True)
class Measurement:
    """One number of a record.

    Attributes:
        metric, view: Its name, as in `hit@10` on `retain`; the view is empty where there is none.
        value: None where it could not be measured; `note` then says why.
        interval: 95 %, None where there is none.
        better: Which way is good: `gold` (as gold has it), a number, `higher`, `lower`, or `none`.
        unit: Of the value; empty for shares and differences of shares.
        replicates: For pooling over seeds; None where there is no interval.
        per_user: For paired comparisons; None where the value is no mean over users.
        varies: Whether it measures time or memory, so that it differs from run to run.
    """

    metric: str
    view: str
    value: float | None
    interval: tuple[float, float] | None = None
    better: Better = "none"
    unit: str = ""
    note: str = ""
    replicates: Floats | None = None
    per_user: PerUser | None = None
    varies: bool = False


def measured(
    metric: str,
    view: str,
    estimate: Estimate | None,
    better: Better,
    unit: str = "",
    note: str = "",
    per_user: PerUser | None = None,
) -> Measurement:
    """A measurement of an estimate; where that is None, one without a value, whose note says why."""
    if estimate is None:
        return Measurement(metric, view, None, better=better, unit=unit, note=note)
    return Measurement(
        metric, view, estimate.value, estimate.interval, better, unit, note, estimate.replicates, per_user
    )


@dataclass(frozen=True)
class CostOf:
    """What making and asking one model took, as recorded when it was made.

    Attributes:
        seconds: To train or unlearn.
        flops: Or None where they were not counted.
        trainable_parameters: Numbers that were free to change, or None where that was not said.
        peak_bytes: The highest resident size of the process that made it; on a GPU what tensors took there.
        stored_bytes: Of its files.
        latency: Seconds a query.
        setup_seconds: The part of `seconds` that further requests would not pay again.
        uncounted: The operators that the counter of FLOPs has no formula for.
    """

    seconds: float
    flops: float | None
    trainable_parameters: int | None
    peak_bytes: int
    stored_bytes: int
    latency: float
    setup_seconds: float = 0.0
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A model as metrics see it.

    Attributes:
        name: `unlearned`, or the role.
        scores: By scored view; see `Views`.
        cost: What it took.
        threshold: Of its router, or None where it has none.
        load: Loads the model itself, for whoever needs more than its scores.
        attempts: What the attacks brought back of it; empty where none was run.
        elsewhere: By view, what loads the model that has the scores of that view, where it is another one.
    """

    name: str
    scores: Mapping[str, Scores]
    cost: CostOf
    threshold: float | None
    load: Callable[[], Scorer]
    attempts: Attempts = field(default_factory=Attempts)
    elsewhere: Mapping[str, Callable[[], Scorer]] = field(default_factory=dict)

    def scorer(self, view: str) -> Scorer:
        """The model that has the scores of a view, loaded."""
        return self.elsewhere.get(view, self.load)()


@dataclass(frozen=True)
class Shadow:
    """A model trained on R and on one user (or interaction) of each pair of F and T, drawn by a coin.

    Attributes:
        model: Its scores.
        has_forget: bool [pairs]: it was trained on the member that is in F; otherwise on the one that is in T. Shadows
            come in complementary pairs, so that each member is in half of them.
    """

    model: Subject
    has_forget: BoolArray


@dataclass(frozen=True)
class Context:
    """All that a metric or an attack is given; scoring was done once for each model and view.

    Attributes:
        data, split, views: Who and what is asked.
        row: `method`, whichever it is; of a row that must not win its method's name, of a reference row its role's.
        subject: The model that is judged.
        swapped: The same method in the world where F and T changed places; None where the board has no swap.
        roles: The reference models by role: base, gold, control, popularity, and those the board asks for.
        bootstrap: The users' weights.
        seed: For attacks that need one; the same for every row, so that all rows meet the same attack.
        shadows: Shadow models, where the board trains any.
        own_base: Whether base, gold and control are the method's own, and so answer by its code.
        memo: What was computed once for this cell; see `once`.
    """

    data: Interactions
    split: Split
    views: Views
    row: str
    subject: Subject
    swapped: Subject | None
    roles: Mapping[str, Subject]
    bootstrap: Bootstrap
    seed: int = 0
    shadows: tuple[Shadow, ...] = ()
    own_base: bool = False
    memo: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], ValueT]) -> ValueT:
        """What `make` returns, made at the first call with this key and shared by all metrics of the cell."""
        if key not in self.memo:
            self.memo[key] = make()
        value: ValueT = self.memo[key]
        return value

    def scores(self, model: Subject, view: str) -> Scores:
        """The model's scores on a view."""
        parent, rows = self.views.rows[view]
        return model.scores[parent].take(rows)

    def has(self, view: str) -> bool:
        """Whether the view exists for this request and asks anything."""
        return view in self.views.rows and len(self.views.rows[view][1]) > 0


class Metric(Protocol):
    """Made by its plugin's factory from a config."""

    def measure(self, context: Context) -> Iterable[Measurement]:
        """The measurements of one cell."""
        ...
