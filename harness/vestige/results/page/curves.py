"""The curves of a stream, as a Vega-Lite specification: forgetting, utility and cost after every step."""

from typing import Any

import numpy as np

from vestige.results.page.charts import SCHEMA, Spec, by_row, plain
from vestige.results.pooling import Results
from vestige.results.sections import k_of
from vestige.results.streams import after, spent, steps_of

NOISE = "control"
"""Plotted beside the rows that compete: how far two retrainings lie apart."""


def curves(results: Results, width: int = 220) -> Spec | None:
    """What is remembered of all requests so far and of the first alone, minus gold's; utility; and the cumulative cost.

    None where there is no stream, or nothing to plot.
    """
    if not steps_of(results):
        return None
    k = k_of(results)
    shown = (
        (_measured(results, f"hit@{k}:vs_gold/forget"), [f"hit@{k} on all requests", "so far, minus gold's"]),
        (_measured(results, f"first_hit@{k}:vs_gold/forget"), [f"hit@{k} on the first", "request, minus gold's"]),
        (_measured(results, f"ndcg@{k}/retain"), [f"ndcg@{k} on what", "is retained"]),
        (_cost(results), ["time of all steps so far,", "as a multiple of retraining's"]),
    )
    kept = [_panel(results, values, title, width) for values, title in shown if values]
    if not kept:
        return None
    return {
        "$schema": SCHEMA,
        "description": "Forgetting, utility and cost after every step of a stream of requests, one line a row.",
        "hconcat": kept,
        "resolve": {"scale": {"color": "shared", "shape": "shared"}},
    }


def _rows(results: Results) -> list[str]:
    return [*results.competing, *([NOISE] if NOISE in results.controls else [])]


def _measured(results: Results, name: str) -> list[dict[str, Any]]:
    values = []
    for step in range(1, steps_of(results) + 1):
        now = after(results, step)
        for label in _rows(results):
            pooled = now.pooled(label, name)
            if pooled is not None and pooled.value is not None:
                low, high = pooled.interval or (pooled.value, pooled.value)
                values.append(
                    {"row": plain(results, label), "step": step, "value": pooled.value, "low": low, "high": high}
                )
    return values


def _cost(results: Results) -> list[dict[str, Any]]:
    """Means over seeds."""
    found: dict[tuple[str, int], list[float]] = {}
    for one in spent(results):
        if one.ratio is not None and one.label in _rows(results):
            found.setdefault((one.label, one.step), []).append(one.ratio)
    return [
        {"row": plain(results, label), "step": step, "value": mean, "low": mean, "high": mean}
        for (label, step), ratios in found.items()
        for mean in [float(np.mean(ratios))]
    ]


def _panel(results: Results, values: list[dict[str, Any]], title: list[str], width: int) -> Spec:
    drawn = {value["row"] for value in values}
    names = [name for label in _rows(results) if (name := plain(results, label)) in drawn]
    colour = by_row(results, names, "color")
    x = {"field": "step", "type": "ordinal", "axis": {"title": "requests so far", "labelAngle": 0}}
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False, "nice": True}, "axis": {"title": title}}
    tooltip = [{"field": "row"}, {"field": "step"}, {"field": "value", "format": ".4f"}]
    return {
        "width": width,
        "height": 240,
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "aria": False, "opacity": 0.35, "strokeWidth": 1.5},
             "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour}},
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"x": x, "y": y, "color": colour}},
            {"mark": {"type": "point", "filled": True, "size": 60},
             "encoding": {"x": x, "y": y, "color": colour, "shape": by_row(results, names, "shape"),
                          "tooltip": tooltip, "description": {"field": "row"}}},
        ],
    }  # fmt: skip
