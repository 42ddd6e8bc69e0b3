"""The list of boards."""

from pathlib import Path
from urllib.parse import quote

from vestige.errors import InputError
from vestige.results.collect import settled
from vestige.results.page.build import PAGE, write_index, write_page
from vestige.results.pooling import Results
from vestige.results.render import read_results
from vestige.results.restoring import read_restored

INDEX = "index.html"


def index(folder: Path) -> list[Path]:
    """Writes the page of every board in `folder`, and `index.html`, which lists them.

    A board is a folder with fresh results (`records/`) or accepted ones (`accepted/records/`).

    Returns:
        What was written, the index last.

    Raises:
        InputError: There is no board with results, or results cannot be read.
        MissingExtra: The extra `html` is not installed.
    """
    boards: list[tuple[str, Results]] = []
    written = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        source = next((s for s in (place, place / "accepted") if (s / "records").is_dir()), None)
        if source is None:
            continue
        with settled(source):
            results = read_results(source) if source == place else read_restored(source)
            written.append(write_page(results, source, place))
        boards.append((f"{quote(place.name)}/{PAGE}", results))
    if not boards:
        raise InputError(f"{folder}: there is no folder with results in it; run a board first: vestige run BOARD.")
    return [*written, write_index(boards, folder / INDEX)]
