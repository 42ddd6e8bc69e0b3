"""Results made of given numbers, for tests of what is said about them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vestige.measuring.statistics import interval
from vestige.results.pooling import Results
from vestige.results.records import Finished, Identity, Measured, Outcome, PluginId, Record, Run

REPLICATES = 1000


def plugin(name: str) -> PluginId:
    return PluginId(name=name, version="1", distribution="vestige", distribution_version="0", config={})


def measured(
    name: str, value: float | None, bounds: tuple[float, float] | None, note: str = "", better: str = "higher"
) -> Measured:
    metric, _, view = name.partition("/")
    return Measured(
        group="x", metric=metric, view=view, value=value, interval=bounds, better=better, unit="", note=note
    )


def results(
    rows: Mapping[str, Mapping[str, tuple[float, float] | None]],
    controls: tuple[str, ...] = ("control", "popularity"),
    seeds: int = 1,
    notes: Mapping[str, str] = {},
    better: Mapping[str, str] = {},
    forgotten: int = 30,
) -> Results:
    """Rows by label, each with values by `metric/view`: (value, standard error), or None for UNDEFINED.

    The errors of different rows are independent of each other.
    """
    finished, replicates = [], {}
    for number, (label, values) in enumerate(rows.items()):
        for seed in range(seeds):
            cell = f"{label}-s{seed}"
            rows_of = []
            for name, pair in values.items():
                if pair is None:
                    rows_of.append(measured(name, None, None, notes.get(name, "UNDEFINED: no reason")))
                    continue
                rng = np.random.default_rng([number, seed, len(name)])
                sample = pair[0] + pair[1] * rng.standard_normal(REPLICATES)
                replicates[cell, name] = sample
                way = better.get(name, "higher")
                rows_of.append(measured(name, pair[0], interval(sample), notes.get(name, ""), way))
            identity = Identity(
                board="made",
                cell=cell,
                row=label if label in controls else "method",
                label=label,
                seed=seed,
                dataset=plugin("data"),
                recommender=plugin("t5"),
                method=None if label in ("control", "recheck", "popularity") else plugin(label),
                metrics=(),
                request={"kind": "users"},
                holdout={},
            )
            facts = {"dataset": {"users": 9, "items": 9, "interactions": 99}, "request": {"forgotten users": forgotten}}
            outcome = Outcome(status="ok", message="", measurements=tuple(rows_of), notes=facts)
            record = Record(identity=identity, outcome=outcome, keys={})
            finished.append(Finished(record, Run(cell=cell, cost=(), traceback="", provenance={})))
    about = {"title": "Made", "labels": list(rows), "k": [5, 10], "columns": [], "seeds": list(range(seeds))}
    return Results(about, tuple(finished), replicates)


def scored() -> Results:
    """Three seeds, of which the first alone was attacked: there the score is 0.4, and utility 0.5 instead of 0.9."""
    terms = {"utility": (0.9, 0.0), "fidelity/forget": (0.8, 0.0), "privacy_api": (0.7, 0.0)}
    made = results(dict.fromkeys(("do_nothing", "retrain", "one"), terms), seeds=3)

    def of(item: Finished) -> Finished:
        if item.record.identity.seed:
            none = measured("score_api", None, None, "UNDEFINED: recovery (no attack was run)")
            more = (*item.record.outcome.measurements, none)
        else:
            own = [m.model_copy(update={"value": 0.5, "interval": (0.4, 0.6)}) for m in item.measurements]
            more = (*own, measured("recovery_api/forget", 0.6, None), measured("score_api", 0.4, (0.3, 0.5)))
        outcome = item.record.outcome.model_copy(update={"measurements": more})
        return replace(item, record=item.record.model_copy(update={"outcome": outcome}))

    return replace(made, finished=tuple(map(of, made.finished)), replicates={})
