"""The pictures that stand in `leaderboard.md`."""

from pathlib import Path

from vestige.pipeline.store import write_atomically
from vestige.results.page import charts, extra
from vestige.results.page.charts import Spec
from vestige.results.page.curves import curves
from vestige.results.pooling import Results

PICTURE = "leaderboard.svg"
CURVES = "stream.svg"

LOOK = {
    "background": "white",
    # Room at the right: who draws the picture may have wider letters than who measured them.
    "padding": {"left": 12, "top": 12, "bottom": 12, "right": 60},
    "config": {"font": "Helvetica, Arial, sans-serif"},
}


def write_picture(results: Results, folder: Path) -> Path | None:
    """`leaderboard.svg`, forgetting, seen in up to three ways, against utility; the same bytes for the same results.

    None, and no file, where the extra is not installed, or fewer than two rows can be plotted.
    """
    return _write(None if extra.missing() else charts.picture(results), folder / PICTURE)


def write_curves(results: Results, folder: Path) -> Path | None:
    """`stream.svg`, what `curves` plots; None, and no file, where that is nothing, or the extra is not installed."""
    return _write(None if extra.missing() else curves(results), folder / CURVES)


def _write(spec: Spec | None, path: Path) -> Path | None:
    if spec is None:
        path.unlink(missing_ok=True)
        return None
    write_atomically(path, extra.svg(spec | LOOK).encode())
    return path
