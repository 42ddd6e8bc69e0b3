"""Results made of given numbers, for checks of renderers."""

import numpy as np

from vestige.measuring.statistics import interval
from vestige.results.pooling import Results
from vestige.results.records import Finished, Identity, Measured, Outcome, PluginId, Record, Run

NAMES = ("do_nothing", "retrain", 'my <b>"method"</b> | ŵith ünicode', "fails", "control", "popularity")


def tiny_results(labels: tuple[str, ...] = NAMES) -> Results:
    """Results made of given numbers, for renderers: strange names, a cell that failed, a value that is undefined."""
    finished, replicates = [], {}
    names = ("hit@10/retain", "ndcg@10/retain", "hit@10/forget", "ndcg@10/forget", "fidelity/forget", "auc_raw/forget")
    for number, label in enumerate(labels):
        cell = f"row-{number}-s0"
        rng = np.random.default_rng(number)
        found = []
        for name in names if label != "fails" else ():
            metric, _, view = name.partition("/")
            undefined = name.startswith("fidelity") and label == "do_nothing"
            sample = 0.3 + 0.02 * number + 0.01 * rng.standard_normal(1000)
            if not undefined:
                replicates[cell, name] = sample
            found.append(
                Measured(
                    group="made",
                    metric=metric,
                    view=view,
                    value=None if undefined else float(sample.mean()),
                    interval=None if undefined else interval(sample),
                    better="gold" if view == "forget" else "higher",
                    unit="",
                    note="UNDEFINED: there is nothing to compare" if undefined else "",
                )
            )
        reference = label in ("control", "popularity")
        identity = Identity(
            board="tiny",
            cell=cell,
            row=label if reference else "method",
            label=label,
            seed=0,
            dataset=_plugin("synthetic"),
            recommender=_plugin("t5"),
            method=None if reference else _plugin(label),
            metrics=(),
            request={"kind": "users"},
            holdout={},
        )
        facts = {"dataset": {"users": 60, "items": 40, "interactions": 660}, "request": {"forgotten users": 8}}
        failed = label == "fails"
        outcome = Outcome(
            status="method_error" if failed else "ok",
            message="ValueError: it is broken" if failed else "",
            measurements=tuple(found),
            notes=facts,
        )
        record = Record(identity=identity, outcome=outcome, keys={})
        finished.append(Finished(record, Run(cell=cell, cost=(), traceback="", provenance={})))
    about = {"name": "tiny", "title": "Tiny", "labels": list(labels), "k": [10], "columns": [], "seeds": [0]}
    return Results(about, tuple(finished), replicates)


def _plugin(name: str) -> PluginId:
    return PluginId(name=name, version="1", distribution="vestige", distribution_version="0", config={})
