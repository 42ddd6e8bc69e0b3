"""Puts the page together."""

import json
import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vestige.errors import MissingExtra
from vestige.pipeline.store import write_atomically
from vestige.results.cells import unmarked
from vestige.results.page import charts, data, extra
from vestige.results.pooling import Results
from vestige.results.summary import facts, verdict_lines
from vestige.results.under import Under, under
from vestige.results.verdicts import warnings

ASSETS = Path(__file__).parent / "assets"
PAGE = "leaderboard.html"


@dataclass(frozen=True)
class Shown:
    """A cell of the template: the value, and its interval apart."""

    parts: tuple[str, str]
    order: float | None
    gold: str
    best: str
    is_best: bool


def render_page(results: Results, folder: Path) -> Path:
    """`write_page`; where that cannot be, no page of other results is left beside the tables.

    Raises:
        MissingExtra: The extra `html` is not installed.
    """
    try:
        return write_page(results, folder)
    except MissingExtra:
        (folder / PAGE).unlink(missing_ok=True)
        raise


def write_page(results: Results, folder: Path, place: Path | None = None) -> Path:
    """`leaderboard.html`, one file that needs no network.

    Args:
        results: Those in `folder`.
        place: Where the page is to lie; `folder` unless given.

    Raises:
        MissingExtra: The extra `html` is not installed.
    """
    extra.require()
    path = (place or folder) / PAGE
    write_atomically(path, page(results, folder).encode())
    return path


def page(results: Results, folder: Path) -> str:
    """The whole page."""
    shown = data.columns(results)
    table = data.rows(results, shown)
    payload = data.payload(results, folder, shown, table)
    plots: dict[str, Any] = {
        "forgetting": {
            way.short: spec for way in charts.ways(results) if (spec := charts.forgetting(results, way)) is not None
        },
        "recovery": charts.recovery(results),
        "cost": charts.cost(results),
    }
    payload["charts"] = plots | {
        "users": {
            charts.plain(results, label): charts.distribution(results, label) for label in charts.methods(results)
        }
    }
    module, style = extra.data_tables()
    text: str = _template("page.html").render(
        title=results.about["title"],
        facts=unmarked(facts(results)),
        verdicts=[unmarked(line) for line in verdict_lines(results)],
        warnings=warnings(results),
        groups=data.groups(results),
        columns=shown,
        uncompared=data.uncompared(results, shown),
        rows=[_row(row) for row in table],
        charts=plots,
        has_users=bool(payload["users"]) and bool(payload["methods"]),
        ways=list(plots["forgetting"]),
        methods=payload["methods"],
        user_values=[(name, found["title"]) for name, found in payload["users"].items()],
        under=[_shown(section) for section in under(results)],
        data=_safe(json.dumps(payload, ensure_ascii=False)),
        css=_asset("page.css"),
        js=_asset("page.js"),
        vega=_script(extra.vega()),
        tables_js=_script(_named(module)),
        tables_css=style,
        version=version("vestige"),
    )
    return text


def write_index(boards: list[tuple[str, Results]], path: Path) -> Path:
    """A page that lists boards.

    Args:
        boards: Where each board's page lies, relative to the index, and its results.
        path: The file to write.
    """
    extra.require()
    listed = [
        {
            "link": link,
            "title": results.about["title"],
            "facts": unmarked(facts(results)),
            "verdicts": [unmarked(line) for line in verdict_lines(results)],
        }
        for link, results in boards
    ]
    write_atomically(path, _template("index.html").render(boards=listed, css=_asset("page.css")).encode())
    return path


def _template(name: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template(name)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _row(row: data.Row) -> dict[str, Any]:
    cells = []
    for cell in row.cells:
        head, bracket, tail = cell.text.partition(" [")
        cells.append(Shown((head, bracket.strip() + tail), cell.order, cell.gold, cell.best, cell.is_best))
    return {"label": row.label, "role": row.role, "control": row.control, "cells": cells}


def _shown(section: Under) -> Under:
    """The section without the marks of Markdown."""
    # The first and last mark of a row in italics are no part of its name.
    rows = tuple(tuple(unmarked(re.sub(r"^\*(.*)\*$", r"\1", text)) for text in row) for row in section.rows)
    paragraphs, points = (tuple(map(unmarked, lines)) for lines in (section.paragraphs, section.points))
    return replace(section, rows=rows, paragraphs=paragraphs, points=points)


def _safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _script(text: str) -> str:
    """A script that cannot end the element it stands in."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _named(module: str) -> str:
    """The module's default export as a constant `DataTable` of the script that it becomes part of."""
    head, _, exports = module.rpartition("export{")
    names, _, rest = exports.partition("}")
    inner = next(pair.split(" as ")[0] for pair in names.split(",") if pair.strip().endswith(" as default"))
    return f"{head}const DataTable={inner.strip()};{rest.lstrip(';')}"
