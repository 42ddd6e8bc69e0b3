"""The table writers that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import RendererSpec


@hookimpl
def vestige_renderers() -> list[RendererSpec]:
    """`csv`, `html`, `latex` and `markdown`."""
    return [
        RendererSpec(
            name="csv",
            version="1",
            summary="results.csv (tidy) and leaderboard.csv.",
            factory="vestige.results.tables:write_csv",
        ),
        RendererSpec(
            name="html",
            version="1",
            summary="leaderboard.html, a page with tables, plots and records (extra 'html').",
            factory="vestige.results.page.build:render_page",
        ),
        RendererSpec(
            name="latex",
            version="1",
            summary="leaderboard.tex, a table of a paper (booktabs).",
            factory="vestige.results.latex:write_latex",
        ),
        RendererSpec(
            name="markdown",
            version="1",
            summary="leaderboard.md.",
            factory="vestige.results.tables:write_markdown",
        ),
    ]
