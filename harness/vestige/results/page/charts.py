"""The plots, as Vega-Lite specifications: plain data, drawn by the page or into an SVG.

Okabe and Ito's colours ("Color Universal Design", 2008) are told apart by the colour-blind; shapes and dashes say
the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vestige.results.cells import named
from vestige.results.pooling import Results
from vestige.results.sections import attack_columns, has, headline_auc, k_of
from vestige.results.verdicts import no_power

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A000")
GREY = "#7F7F7F"
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left")
NOISE = ("control", "recheck", "popularity")
"""Rows that compete with nobody and are plotted: how far retrainings lie apart, and what is known of nobody."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

COSTS = {
    "cost_seconds": "time",
    "cost_flops": "FLOPs",
    "cost_parameters": "trainable parameters",
    "cost_peak_memory": "peak memory",
    "cost_stored_bytes": "stored bytes",
    "cost_latency": "latency",
}

Spec = dict[str, Any]

FAR = 3.0
"""Nats: what a retraining makes e³, twenty times, less likely is out of sight for it, and farther says no more."""

MANY = 8
"""With more rows than this, numbers in a grid are read better than marks side by side."""


SHOWN = "datum.value > 0 && datum.value < 0.005 ? '<0.01' : format(datum.value, '.2~f')"
"""The number in a grid: what is small is not nothing."""


def plain(results: Results, label: str) -> str:
    """The row's name as plots show it."""
    return named(results, label)


def methods(results: Results) -> list[str]:
    """The rows that are neither base nor gold nor controls."""
    references = (results.label_of("do_nothing"), results.label_of("retrain"))
    return [label for label in results.competing if label not in references]


@dataclass(frozen=True)
class Way:
    """A way of seeing how much was forgotten: below gold's value is hidden, above it is remembered.

    Attributes:
        name: `metric/view`.
        title: Of the axis, a line each.
        short: In a list to choose from.
        most: What lies farther from gold's value is drawn at this distance: a list of hashes that gives the forgotten
            the smallest score there is would leave no room to tell the others apart.
    """

    name: str
    title: tuple[str, str]
    short: str
    most: float = math.inf


def ways(results: Results) -> list[Way]:
    """By lists, by scores, by what an attacker sees: a row that looks like gold in one may not in another.

    An attack without power on base is none of them: it finds nobody, whatever was forgotten.
    """
    k, auc = k_of(results), headline_auc(results)
    found = (
        Way(f"hit@{k}:vs_gold/forget", (f"hit@{k} on what must be forgotten,", "minus gold's"), "lists"),
        Way(
            "shift/forget",
            ("score of what must be forgotten,", f"minus gold's, in nats (±{FAR:g} at most)"),
            "scores",
            FAR,
        ),
        Way(auc, ("AUC of who must be forgotten", f"({attack_columns(results).get(auc, auc)})"), "an attacker"),
    )
    return [way for way in found if has(results, way.name) and not (way.name == auc and no_power(results, auc))]


def forgetting(results: Results, way: Way, width: int | str = 640) -> Spec | None:
    """Forgetting against utility, with cost as size; None where fewer than two rows have both.

    x: one way of seeing forgetting, with a line at gold's value; y: ndcg@k on `retain`; both with 95 % intervals over
    users.
    """
    k = k_of(results)
    gold = results.label_of("retrain")
    known = results.pooled(gold, way.name) if gold else None
    target = known.value if known is not None and known.value is not None else 0.0
    rows: list[dict[str, Any]] = []
    for label in (*results.competing, *(label for label in NOISE if label in results.controls)):
        x, y, cost = (results.pooled(label, name) for name in (way.name, f"ndcg@{k}/retain", "cost_seconds"))
        if y is None or y.value is None:
            continue
        value = x.value if x is not None else None
        if value is None and label != gold:
            continue
        x_value = target if value is None else value
        x_interval = (x.interval if x is not None else None) or (x_value, x_value)
        y_interval = y.interval or (y.value, y.value)
        time = cost.value if cost is not None and cost.value is not None else None
        rows.append(
            {
                "row": plain(results, label),
                "kind": "control" if results.is_control(label) else "competes",
                "value": x_value,
                **{name: min(max(at, target - way.most), target + way.most)
                   for name, at in zip(("x", "x_low", "x_high"), (x_value, *x_interval), strict=True)},
                "y": y.value, "y_low": y_interval[0], "y_high": y_interval[1],
                "time": time if time is not None else 0.05,
                "time_shown": "not known" if time is None else f"{time:.2f} × retraining",
            }
        )  # fmt: skip
    if sum(row["kind"] == "competes" for row in rows) < 2:
        return None
    names = [row["row"] for row in rows]
    colour = by_row(results, names, "color")
    tooltip = [
        {"field": "row", "title": "row"},
        {"field": "value", "title": " ".join(way.title), "format": "+.4f"},
        {"field": "y", "title": f"ndcg@{k} retain", "format": ".4f"},
        {"field": "time_shown", "title": "time"},
    ]
    x_axis = {"field": "x", "type": "quantitative", "scale": {"zero": False, "nice": True},
              "axis": {"title": list(way.title), "labelOverlap": True, "tickCount": 6}}  # fmt: skip
    y_axis = {"field": "y", "type": "quantitative", "scale": {"zero": False, "nice": True},
              "axis": {"title": f"ndcg@{k} on what is retained"}}  # fmt: skip
    bar = {"type": "rule", "aria": False, "opacity": 0.45, "strokeWidth": 1.5}
    return {
        "$schema": SCHEMA,
        "description": "Forgetting against utility, one mark a row of the table; its size is the time it takes.",
        "width": width,
        "height": 340,
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "rule", "aria": False, "strokeDash": [4, 4], "opacity": 0.6, "color": GREY},
             "encoding": {"x": {"datum": target}}},
            {"mark": bar, "encoding": {"x": x_axis | {"field": "x_low"}, "x2": {"field": "x_high"},
                                       "y": y_axis, "color": colour}},
            {"mark": bar, "encoding": {"x": x_axis, "y": y_axis | {"field": "y_low"}, "y2": {"field": "y_high"},
                                       "color": colour}},
            {"mark": {"type": "point", "filled": True, "opacity": 0.95},
             "encoding": {
                 "x": x_axis, "y": y_axis, "color": colour, "tooltip": tooltip,
                 "shape": by_row(results, names, "shape"),
                 # The smaller over the larger, which would hide it.
                 "order": {"field": "time", "type": "quantitative", "sort": "descending"},
                 "size": {"field": "time", "type": "quantitative", "title": "time against retraining",
                          "scale": {"range": [60, 420], "domainMin": 0},
                          "legend": {"symbolType": "circle", "format": "~g", "values": [0, 0.5, 1],
                                     "symbolFillColor": GREY}},
                 "description": {"field": "row"},
             }},
        ],
    }  # fmt: skip


def picture(results: Results) -> Spec | None:
    """`forgetting` in every way, side by side; None where nothing can be plotted."""
    panels = [spec for way in ways(results) if (spec := forgetting(results, way, 270)) is not None]
    if not panels:
        return None
    for panel in panels:
        del panel["$schema"]
    return {
        "$schema": SCHEMA,
        "description": panels[0]["description"],
        "hconcat": panels,
        "resolve": {"scale": {"color": "shared", "shape": "shared", "size": "shared"}},
    }


def recovery(results: Results, width: int | str = 640) -> Spec | None:
    """What every attack brings back of every method and of recheck; None where nothing was attacked."""
    rows: list[dict[str, Any]] = []
    for label in (*methods(results), "recheck"):
        for name in _attempts(results):
            pooled = results.pooled(label, f"recovery:{name}/forget")
            if pooled is None or pooled.value is None:
                continue
            low, high = pooled.interval or (None, None)  # no rule is drawn where nothing is known
            rows.append({"row": plain(results, label), "attack": name, "value": pooled.value, "low": low, "high": high})
    if not rows:
        return None
    names = list(dict.fromkeys(row["row"] for row in rows))
    order = list(dict.fromkeys(row["attack"] for row in rows))
    if len(names) > MANY:
        scale = {"domain": [0, 1], "clamp": True, "scheme": "blues"}
        spec = _grid(rows, names, ("attack", order), scale, "datum.value > 0.6", width)
        return spec | {
            "description": "Recovery, a column an attack, a line a row of the table: 0 is right, 1 is all of it."
        }
    colour = by_row(results, names, "color")
    y = {"field": "attack", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 200}}
    offset = {"field": "row", "sort": names}
    value = {
        "type": "quantitative",
        "axis": {"title": ["share of the memory that is brought back", "0 is right, 1 is all of it"]},
        "scale": {"clamp": True, "domain": [0, 1]},
    }
    return {
        "$schema": SCHEMA,
        "description": "Recovery by attack: one line an attack, one mark a row of the table.",
        "width": width,
        "height": max(22, 8 * len(names)) * len(order),
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "rule", "aria": False, "strokeWidth": 2, "opacity": 0.4},
             "encoding": {"y": y, "yOffset": offset, "x": value | {"field": "low"}, "x2": {"field": "high"},
                          "color": colour}},
            {"mark": {"type": "point", "filled": True, "size": 70},
             "encoding": {"y": y, "yOffset": offset, "x": value | {"field": "value"}, "color": colour,
                          "shape": by_row(results, names, "shape"),
                          "tooltip": [{"field": "row"}, {"field": "attack"},
                                      {"field": "value", "format": ".3f"}, {"field": "low", "format": ".3f"},
                                      {"field": "high", "format": ".3f"}]}},
        ],
    }  # fmt: skip


def cost(results: Results, width: int | str = 640) -> Spec | None:
    """Cost relative to retraining, on a logarithmic scale; None where nothing is known."""
    rows: list[dict[str, Any]] = []
    for label in methods(results):
        for name, title in COSTS.items():
            pooled = results.pooled(label, name)
            if pooled is not None and pooled.value is not None:
                rows.append({"row": plain(results, label), "cost": title, "value": pooled.value, "retraining": 1})
    if not rows:
        return None
    names = list(dict.fromkeys(row["row"] for row in rows))
    if len(names) > MANY:
        scale = {"type": "log", "domain": [0.02, 1, 50], "clamp": True, "scheme": "blueorange"}
        order = [title for title in COSTS.values() if any(row["cost"] == title for row in rows)]
        spec = _grid(rows, names, ("cost", order), scale, "datum.value < 0.05 || datum.value > 20", width)
        return spec | {"description": "Cost as a multiple of retraining's, a column a kind of cost, a line a row."}
    rows = [row for row in rows if row["value"] > 0]  # a logarithm has no place for what is free
    return {
        "$schema": SCHEMA,
        "description": "Cost of every method as a multiple of retraining's.",
        "width": width,
        "height": max(26, 14 * len(names)) * len({row["cost"] for row in rows}),
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.8}},
             "encoding": {
                 "y": {"field": "cost", "type": "nominal", "sort": list(COSTS.values()), "title": None,
                       "axis": {"labelLimit": 200}},
                 "yOffset": {"field": "row", "sort": names},
                 "x": {"field": "retraining", "type": "quantitative", "scale": {"type": "log"},
                       "axis": {"title": ["multiple of retraining, logarithmic", "left of 1 is cheaper"],
                                "format": "~g"}},
                 "x2": {"field": "value"},
                 "color": by_row(results, names, "color"),
                 "tooltip": [{"field": "row"}, {"field": "cost"}, {"field": "value", "format": ".3f"}]}},
            {"mark": {"type": "rule", "aria": False, "strokeWidth": 1.5, "color": GREY},
             "encoding": {"x": {"datum": 1}}},
        ],
    }  # fmt: skip


def _grid(
    rows: list[dict[str, Any]],
    names: list[str],
    columns: tuple[str, list[str]],
    scale: dict[str, Any],
    dark: str,
    width: int | str,
) -> Spec:
    """A table of coloured numbers, for more rows than marks of a plot can be told apart.

    Args:
        names: The lines.
        columns: The field that the columns are of, and its values in their order.
        scale: Of the colour.
        dark: Where the colour is so dark that the number must be light.
    """
    field, order = columns
    x = {"field": field, "type": "nominal", "sort": order, "title": None, "axis": {"orient": "top", "labelAngle": -40}}
    y = {"field": "row", "type": "nominal", "sort": names, "title": None, "axis": {"labelLimit": 220}}
    value = {"field": "value", "type": "quantitative"}
    tooltip = [{"field": "row"}, {"field": field}, value | {"format": ".3f"}]
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": 22 * len(names),
        "data": {"values": rows},
        "transform": [{"calculate": SHOWN, "as": "shown"}],
        "encoding": {"x": x, "y": y, "tooltip": tooltip},
        "layer": [
            {"mark": "rect", "encoding": {"color": value | {"scale": scale, "legend": None}}},
            {"mark": {"type": "text", "aria": False, "fontSize": 11},
             "encoding": {"text": {"field": "shown", "type": "nominal"},
                          "color": {"condition": {"test": dark, "value": "white"}, "value": "black"}}},
        ],
    }  # fmt: skip


def distribution(results: Results, label: str, width: int | str = 640) -> Spec:
    """The cumulative distribution over users of what the page fills in: values of base, gold and the method `label`."""
    rows = [row for row in (results.label_of("do_nothing"), results.label_of("retrain"), label) if row]
    names = list(dict.fromkeys(plain(results, row) for row in rows))
    dashes = [[1, 0], [7, 3], [2, 2]][: len(names)]
    return {
        "$schema": SCHEMA,
        "description": "The share of users at or below a value: base, gold and the chosen method.",
        "width": width,
        "height": 280,
        "data": {"values": []},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.5},
        "encoding": {
            "x": {"field": "value", "type": "quantitative", "title": "value of a user", "scale": {"zero": False}},
            "y": {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1]},
                  "axis": {"title": "share of users at or below it", "format": "%"}},
            "color": by_row(results, names, "color"),
            "strokeDash": {"field": "row", "scale": {"domain": names, "range": dashes}, "title": None},
        },
    }  # fmt: skip


def _attempts(results: Results) -> list[str]:
    return [name for name in results.attempts if has(results, f"recovery:{name}/forget")]


def _marks(results: Results) -> dict[str, tuple[str, str]]:
    """Colour and shape of every row, the same in all plots: rows that compete with nobody are grey."""
    out = {}
    for place, label in enumerate(results.competing):
        out[plain(results, label)] = (COLOURS[place % len(COLOURS)], SHAPES[place % len(SHAPES)])
    for place, label in enumerate(results.controls):
        out[plain(results, label)] = (GREY, SHAPES[place % len(SHAPES)])
    return out


def by_row(results: Results, names: Sequence[str], channel: Literal["color", "shape"]) -> Mapping[str, Any]:
    """The encoding of rows by colour or shape, the same in all plots."""
    marks = _marks(results)
    place = 0 if channel == "color" else 1
    return {
        "field": "row",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(names), "range": [marks[name][place] for name in names]},
        "legend": {"labelLimit": 260, "symbolLimit": 60, "symbolOpacity": 1},
    }
