"""Writes what a board's cells left in the store as records and tables of values."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from vestige.configs import portable
from vestige.errors import InputError, StoreError
from vestige.pipeline.board import Board, Chosen
from vestige.pipeline.inputs import Inputs
from vestige.pipeline.jobs import Outcome
from vestige.pipeline.plan import Cell
from vestige.pipeline.provenance import MADE_BY, made_by
from vestige.pipeline.store import Artifact, Store, write_atomically
from vestige.pipeline.study import describe_portably
from vestige.plugins import Plugins
from vestige.results.records import Finished, Identity, Measured, PluginId, Record, Run, dump
from vestige.results.records import Outcome as RecordOutcome
from vestige.results.tuned import about_study

ABOUT = "board.json"
"""What the results in a folder are of."""

ACCEPTED = "accepted"
"""The folder of the accepted results, beside a `board.toml`."""

WRITTEN = (
    "leaderboard.md", "leaderboard.csv", "leaderboard.tex", "leaderboard.html", "leaderboard.svg", "results.csv",
    "per_user.parquet", "bootstrap.parquet", "stream.csv", "stream.svg",
)  # fmt: skip
"""Files that a run replaces, beside those that say that a run wrote them."""

LOCK = ".lock"

HEAD = 200
"""In so many bytes a record says that it is one."""

PAGE = 1 << 24
"""Rows, and bytes, of a page of `per_user.parquet`."""


@contextlib.contextmanager
def results_lock(out: Path) -> Iterator[None]:
    """One writer at a time for a results folder, so that two runs do not mix their tables."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}).") from error
    with filelock.FileLock(out / LOCK):
        yield


@contextlib.contextmanager
def settled(out: Path) -> Iterator[None]:
    """Waits until no run writes to a results folder, and keeps runs from it; at once where none ever did."""
    if not (out / LOCK).exists():
        yield
        return
    with filelock.FileLock(out / LOCK):
        yield


def claim(out: Path, board: str) -> None:
    """Makes the folder that a run writes its results to, before any work is done, or finds that they may lie there.

    Raises:
        InputError: It holds something that is not this board's results: they would be lost.
        StoreError: It cannot be written.
    """
    if out.resolve().name == ACCEPTED:
        raise InputError(f"{out}: accepted results lie there, which `vestige accept` alone writes; name another --out.")
    if (out / ABOUT).exists():
        try:
            named = json.loads((out / ABOUT).read_bytes())["name"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{out / ABOUT}: this is no {ABOUT} of a run; name another --out, or remove it.") from None
        if named != board:
            raise InputError(f"{out}: the results of {named!r} lie there, not of {board!r}; name another --out.")
    else:
        strange = [name for name in WRITTEN if (out / name).exists()]
        if strange:
            raise InputError(f"{out / strange[0]}: no run wrote it, and this one would replace it; name another --out.")
    for file in sorted((out / "records").glob("*.json")):
        if not file.name.endswith(".run.json") and b'"identity"' not in file.read_bytes()[:HEAD]:
            raise InputError(f"{file}: no run wrote it, and this one would remove it; name another --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}).") from error


def collect(
    board: Board,
    plugins: Plugins,
    cells: tuple[Cell, ...],
    inputs: Mapping[int, Inputs],
    outcomes: Mapping[tuple[str, str], Outcome],
    store: Store,
    out: Path,
) -> list[Finished]:
    """Writes `records/`, `per_user.parquet`, `bootstrap.parquet` and `board.json`; returns the records.

    Records of cells that are not on the board any more are removed.
    """
    finished = []
    per_user: list[pa.Table] = []
    bootstrap: list[pa.Table] = []
    for cell in cells:
        here = made_by(cell.job.payload["device"])
        item = _finish(board, plugins, cell, inputs[cell.seed], outcomes.get(cell.job.id), store, here)
        finished.append(item)
        artifact = store.get("measure", cell.job.key)
        if item.record.ok and artifact:
            for name, tables in (("per_user", per_user), ("bootstrap", bootstrap)):
                if name == "per_user" and not cell.last:
                    continue  # curves need no values of users
                table = pq.read_table(artifact.folder / f"{name}.parquet")
                cells_column = pa.array([cell.id] * len(table), pa.string()).dictionary_encode()
                tables.append(table.add_column(0, "cell", cells_column))
    records = out / "records"
    kept = {f"{item.record.identity.cell}{end}" for item in finished for end in (".json", ".run.json")}
    for file in records.glob("*.json"):
        if file.name not in kept:
            file.unlink(missing_ok=True)
    for item in finished:
        write_atomically(records / f"{item.record.identity.cell}.json", dump(item.record))
        write_atomically(records / f"{item.record.identity.cell}.run.json", dump(item.run))
    for name, tables in (("per_user", per_user), ("bootstrap", bootstrap)):
        _write_table(tables, out / f"{name}.parquet")
    about = about_of(board, cells)
    write_atomically(out / ABOUT, (json.dumps(about, indent=1) + "\n").encode())
    return finished


def about_of(board: Board, cells: Sequence[Cell]) -> dict[str, Any]:
    """`board.json`; `tuned` stands in it where a row's settings come from a study, `remarks` where there are any."""
    tuned = [about_study(method) for method in board.methods if method.study]
    about = {
        "name": board.name,
        "title": board.config.title,
        "columns": list(board.config.columns),
        "k": list(board.config.metrics.k),
        "labels": list(dict.fromkeys(cell.label for cell in cells)),
        "seeds": list(board.config.seeds),
        "attacked_by": attacked_by(board),
        "published": [row.model_dump(mode="json") for row in board.config.published],
        **({"steps": board.config.request.steps} if board.config.request.kind == "stream" else {}),
        **({"remarks": list(board.config.remarks)} if board.config.remarks else {}),
    }
    return {**about, "tuned": tuned} if tuned else about


def attacked_by(board: Board) -> dict[str, Any]:
    """Everything that asks what a model remembers beside the metrics: attacks, shadows, and further trainings."""
    attacks = [describe_portably(attack.spec, attack.config) for attack in board.attacks]
    shadow = describe_portably(board.shadow.spec, board.shadow.config)
    count = board.config.shadows.count
    return {
        "attacks": [{"name": attack.name, "config": attack.config} for attack in attacks],
        "seeds": sorted(board.config.attacked),
        "shadows": {"count": count, "seeds": sorted(board.config.shadowed), "config": shadow.config} if count else None,
        "recheck": board.config.recheck,
        "swap": board.config.swap,
    }


def _finish(
    board: Board,
    plugins: Plugins,
    cell: Cell,
    inputs: Inputs,
    outcome: Outcome | None,
    store: Store,
    here: dict[str, Any],
) -> Finished:
    artifact = store.get("measure", cell.job.key)
    measurements: list[Measured] = []
    cost: list[Measured] = []
    notes = {name: dict(values) for name, values in inputs.notes.items()}
    if artifact:
        measurements, cost = (
            [Measured.model_validate(row) for row in json.loads((artifact.folder / f"{name}.json").read_bytes())]
            for name in ("measurements", "cost")
        )
        notes["method"] = dict(artifact.meta["notes"])
        own = [role for role, model in cell.job.payload["roles"].items() if "board" in model]
        if own:
            notes["own roles"] = {"trained by the method itself": ", ".join(own)}
        if "stream" in artifact.meta:
            notes["stream"] = {"started from": artifact.meta["stream"]}
    failed = outcome is not None and outcome.status != "ok"
    record = Record(
        identity=identity_of(board, plugins, cell),
        outcome=RecordOutcome(
            status=outcome.status if failed and outcome else "ok" if artifact else "measure_error",
            message=outcome.message if failed and outcome else "",
            measurements=tuple(measurements),
            notes=notes,
        ),
        keys=keys_of(cell),
    )
    run = Run(
        cell=cell.id,
        cost=tuple(cost),
        traceback=outcome.detail if failed and outcome else "",
        provenance=_provenance(cell, artifact, store, here),
    )
    return Finished(record, run)


def _provenance(cell: Cell, measured: Artifact | None, store: Store, here: dict[str, Any]) -> dict[str, Any]:
    """Who measured the cell and, as `model`, who made what was measured (and took what its cost says): stored results
    are not the doing of whoever collects them.
    """
    if measured is None:
        return here
    subject = cell.job.payload["subject"]
    model = store.get(subject["stage"], subject["key"])
    return {
        **measured.meta.get(MADE_BY, here),
        **({"model": model.meta[MADE_BY]} if model is not None and MADE_BY in model.meta else {}),
    }


def identity_of(board: Board, plugins: Plugins, cell: Cell) -> Identity:
    """What the record of a cell says that it is."""
    return Identity(
        board=board.name,
        cell=cell.id,
        row=cell.row,
        label=cell.label,
        seed=cell.seed,
        dataset=_plugin(plugins, board.dataset),
        recommender=_plugin(plugins, board.recommender),
        method=_plugin(plugins, cell.method) if cell.method else None,
        metrics=tuple(_plugin(plugins, metric) for metric in board.metrics),
        request=portable(board.config.request.model_dump(mode="json")),
        holdout=board.config.holdout.model_dump(mode="json"),
        step=cell.step,
    )


def keys_of(cell: Cell) -> dict[str, Any]:
    """The keys of everything that a cell's result is made from."""
    payload = cell.job.payload
    board = {role: model["board"]["key"] for role, model in payload["roles"].items() if "board" in model}
    return {
        **({"board_roles": board} if board else {}),
        "data": payload["data"],
        "split": payload["split"],
        "measure": cell.job.key,
        "subject": payload["subject"]["key"],
        "swapped": payload["swapped"] and payload["swapped"]["key"],
        "roles": {role: model["key"] for role, model in payload["roles"].items()},
    }


def _plugin(plugins: Plugins, chosen: Chosen[Any]) -> PluginId:
    origin = plugins.origin(chosen.spec)
    return PluginId(
        name=chosen.spec.name,
        version=chosen.spec.version,
        distribution=origin.distribution,
        distribution_version=origin.distribution_version,
        config=portable(chosen.config.model_dump(mode="json"), *chosen.config.places()),
    )


def _write_table(tables: list[pa.Table], file: Path) -> None:
    if not tables:
        file.unlink(missing_ok=True)
        return
    table, sink = pa.concat_tables(tables).combine_chunks(), pa.BufferOutputStream()
    words = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    # Of users: they ascend within a measurement, and many rows have the same values, which a page must be long to hold.
    small: dict[str, Any] = {
        "use_dictionary": words,
        "column_encoding": {"user": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
        "data_page_size": PAGE,
        "max_rows_per_page": PAGE,
    }
    pq.write_table(table, sink, compression="zstd", **(small if "user" in table.column_names else {}))
    write_atomically(file, sink.getvalue().to_pybytes())
