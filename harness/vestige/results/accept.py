"""Makes fresh results the accepted ones."""

import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vestige.configs import portable
from vestige.errors import InputError, StoreError
from vestige.pipeline.board import Board, Chosen
from vestige.pipeline.own import row_label
from vestige.pipeline.store import write_atomically
from vestige.pipeline.study import describe_portably
from vestige.results.accepted import edited, incomplete, of_other_replicates, other_interval
from vestige.results.collect import ACCEPTED, about_of, attacked_by
from vestige.results.page.picture import CURVES, PICTURE
from vestige.results.records import Finished, read_records
from vestige.results.render import read_results
from vestige.results.restoring import restored
from vestige.results.sides import read_per_user, read_side
from vestige.results.streams import TABLE
from vestige.results.tolerances import gated

TABLES = ("leaderboard.md", "leaderboard.csv")
OPTIONAL = (PICTURE, CURVES, TABLE)
"""Shown beside the tables where a run wrote them."""

VALUES = ("per_user.parquet", "board.json")
MAX_BYTES = 2 * 2**20
"""Of all accepted files, each compressed as a repository keeps it: records are text that says much alike."""

ATTACKED = {
    "attacks": "set of attacks",
    "seeds": "set of attacked seeds",
    "shadows": "set of shadow models",
    "recheck": "value of recheck",
    "swap": "value of swap",
}
"""What is compared of the attacks, in words."""

REPLICATES = 250
"""Of the bootstrap, so many are kept of what is judged and no mean over users: enough for a standard error."""

ROLES = ("control", "popularity")
"""Rows that every board has."""

RETRAININGS = ("control", "recheck")
"""Rows that are not judged, but say how far two trainings lie apart."""


def accept(fresh: Path, board_folder: Path, board: Board, render: Callable[[Path], object]) -> list[Path]:
    """Copies records and values into `accepted/` and the tables beside it; returns what was written.

    Nothing of the old results is lost before the new ones are complete, and in `accepted/` the two are never mixed.

    Args:
        fresh: The results folder of a run.
        board_folder: Where `board.toml` lies.
        board: What the results must be of; its tolerances name further measurements that are judged.
        render: Writes the tables in `fresh` from its records again, so that they say what these say.

    Raises:
        InputError: There are no fresh results, they are of another board, or of other seeds, rows or settings than it
            has now, a cell failed, a value was edited, or they are larger than what may be committed.
        StoreError: They cannot be written.
    """
    target = board_folder / ACCEPTED
    _check(fresh, board)
    render(fresh)
    files = [*sorted((fresh / "records").glob("*.json")), *(fresh / name for name in VALUES)]
    missing = [file.name for file in [*files, *(fresh / name for name in TABLES)] if not file.exists()]
    if missing:
        raise InputError(f"{fresh}: {', '.join(missing)} is missing; run the board again.")
    replicates = _replicates(fresh, board.config.tolerance)
    size = sum(len(zlib.compress(content)) for content in (*(file.read_bytes() for file in files), replicates))
    if size > MAX_BYTES:
        raise InputError(
            f"{fresh}: the results take {size / 2**20:.1f} MiB, compressed; at most 2 MiB are accepted for a board. "
            "Fewer k in [metrics] make them smaller."
        )
    contents = {file.relative_to(fresh): file.read_bytes() for file in files}
    if replicates:
        contents[Path("bootstrap.parquet")] = replicates
    replace_folder(target, contents)
    return [*sorted(target / name for name in contents), *_show(fresh, board_folder)]


def replace_folder(target: Path, contents: Mapping[Path, bytes]) -> None:
    """Puts a folder with these files in the place of `target`, once it is whole.

    Raises:
        StoreError: It cannot be written; `target` is as it was.
    """
    target = target.resolve()
    new, old = (target.with_name(f"{target.name}.{word}") for word in ("new", "old"))
    try:
        if old.exists() and not target.exists():  # a command was killed just between
            old.rename(target)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        for name, content in contents.items():
            write_atomically(new / name, content)
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _check(fresh: Path, board: Board) -> None:
    """Refuses what is no result of the board as it is."""
    finished = read_records(fresh)
    found = {f.record.identity.board for f in finished}
    if found != {board.name}:
        raise InputError(f"{fresh}: these are results of {', '.join(sorted(found))}, not of {board.name}.")
    ran, seeds = sorted({f.record.identity.seed for f in finished}), sorted(board.config.seeds)
    if ran != seeds:
        raise InputError(f"{fresh}: seeds {ran} were run, but the board has {seeds}; run the whole board first.")
    failed = [f.record.identity.cell for f in finished if not f.record.ok]
    if failed:
        raise InputError(f"{fresh}: these cells failed, so the results cannot be accepted: {', '.join(failed)}.")
    if other := _unlike(finished, board) or _attacked_otherwise(fresh, board):
        raise InputError(f"{fresh}: the results are of another {other} than the board's; run the board as it is now.")
    if other := _shown_otherwise(fresh, board):
        raise InputError(f"{fresh}: the board has another `{other}` now; run it again, which trains nothing for that.")
    side = read_side(fresh)
    if gap := incomplete(side):
        raise InputError(f"{fresh}: {gap}; run the board again.")
    for item, m, of in edited(side):
        file = fresh / "records" / f"{item.record.identity.cell}.json"
        raise InputError(
            f"{file}: {m.name} is {m.value:.6g}, but the values of its users have the mean {of.values.mean():.6g}; run "
            "the board again."
        )
    for one in of_other_replicates(side):  # of another run, as where one was ended while it wrote
        raise InputError(f"{fresh}: {other_interval(*one, 'bootstrap.parquet')}; run the board again.")


def _unlike(finished: Sequence[Finished], board: Board) -> str:
    """In what the results are not those of the board as it is; empty where they are."""
    seeds_of: dict[str, set[int]] = {}
    for f in finished:
        seeds_of.setdefault(f.record.identity.label, set()).add(f.record.identity.seed)
    steps = board.config.request.steps if board.config.request.kind == "stream" else None
    if {f.record.identity.step for f in finished} != (set(range(1, steps + 1)) if steps else {None}):
        return "number of steps"
    for label in {*ROLES, *(["recheck"] if board.config.recheck else []), *seeds_of}:
        if seeds_of.get(label) != set(board.config.seeds):
            return f"set of rows ({label!r} does not stand on every seed)"
    rows = {method.label: _told(method) for method in board.methods}
    identities = [f.record.identity for f in finished]
    ran = {of.label: of.method for of in identities if of.method is not None}
    for label in sorted(rows.keys() | ran.keys()):
        method = ran.get(label)
        if label not in rows or method is None or (method.name, method.config) != rows[label]:
            return f"row {label!r} (it is missing, is no row of the board, or has other settings)"
    config = board.config
    asked = {
        "dataset": _told(board.dataset),
        "recommender": _told(board.recommender),
        "set of metrics": [_told(metric) for metric in board.metrics],
        "request": portable(config.request.model_dump(mode="json")),
        "holdout": config.holdout.model_dump(mode="json"),
    }
    for of in identities:
        had = {
            "dataset": (of.dataset.name, of.dataset.config),
            "recommender": (of.recommender.name, of.recommender.config),
            "set of metrics": [(metric.name, metric.config) for metric in of.metrics],
            "request": of.request,
            "holdout": of.holdout,
        }
        for what, its in asked.items():
            if had[what] != its:
                return what
    return ""


def _attacked_otherwise(fresh: Path, board: Board) -> str:
    """What of the attacks on the results is not the board's; empty where nothing is."""
    had = read_results(fresh).about.get("attacked_by")
    if had is None:
        raise InputError(
            f"{fresh}: an earlier version made it, which did not say by what was attacked; run the board again."
        )
    for what, its in attacked_by(board).items():
        if had.get(what) != its:
            return ATTACKED[what]
    return ""


def _shown_otherwise(fresh: Path, board: Board) -> str:
    """What of the words and columns of the tables is not the board's; empty where nothing is."""
    had, right = read_results(fresh).about, about_of(board, ())
    keys = ("title", "columns", "k", "remarks", "published", "tuned")
    return next((key for key in keys if (had.get(key) or []) != (right.get(key) or [])), "")


def _told(chosen: Chosen[Any]) -> tuple[str, dict[str, Any]]:
    """A plugin's name and settings, as records have them."""
    described = describe_portably(chosen.spec, chosen.config)
    return described.name, described.config


def _show(fresh: Path, board_folder: Path) -> list[Path]:
    """Copies the tables, and the pictures where there are any, beside the `board.toml`."""
    shown = [*TABLES, *(name for name in OPTIONAL if (fresh / name).exists())]
    for name in shown:
        write_atomically(board_folder / name, (fresh / name).read_bytes())
    for name in OPTIONAL:
        if name not in shown:
            (board_folder / name).unlink(missing_ok=True)
    return [board_folder / name for name in shown]


def _replicates(fresh: Path, tolerance: Mapping[str, float]) -> bytes:
    """The first replicates of what is judged and does not follow from users' values, as an AUC, or a mean over queries
    of which users are asked unequally many: with them, both sides of a check, and rows, are paired.

    Empty where there is nothing of the kind.
    """
    results = read_results(fresh)
    follows = restored(results, read_per_user(fresh)).keys()
    own = (row_label(label, "gold") for label in results.own_based)
    rows = (*results.competing, *RETRAININGS, *own)
    cells = {item.record.identity.cell for label in rows for item in results.row(label)}
    judged = {
        key: r for key, r in results.replicates.items() if key[0] in cells and key[1] in gated(results, tolerance)
    }
    names = {name for cell, name in judged if (cell, name) not in follows}
    kept = {key: r for key, r in judged.items() if key[1] in names}
    if not kept:
        return b""
    table = pa.table(
        {
            "cell": [cell for cell, _ in kept],
            "metric": [name.partition("/")[0] for _, name in kept],
            "view": [name.partition("/")[2] for _, name in kept],
            "replicates": pa.array([r[:REPLICATES] for r in kept.values()], pa.list_(pa.float32())),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
