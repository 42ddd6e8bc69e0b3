"""What is printed: tables on standard output, everything else on standard error. Imports nothing heavy."""

import sys
from collections.abc import Sequence
from functools import cache

from rich.console import Console
from rich.table import Table

WIDE = 4096


@cache
def console() -> Console:
    """Standard error, where progress goes."""
    return Console(stderr=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table on standard output; on a terminal it is fitted to it, elsewhere no line is folded."""
    out = Console() if sys.stdout.isatty() else Console(width=WIDE, no_color=True)
    grid = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*[cell.replace("[", r"\[") for cell in row])
    out.print(grid)
