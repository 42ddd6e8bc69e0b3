"""Data and splits as artifacts, so that every job of a board reads the same ones."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from vestige.data import request
from vestige.data.interactions import Interactions
from vestige.data.request import RequestConfig, Split, draw, without_times
from vestige.data.stream import deal
from vestige.data.textfiles import read_lines
from vestige.datasets import Dataset
from vestige.errors import InputError, blamed
from vestige.pipeline.board import Board, check_places
from vestige.pipeline.keys import key_of
from vestige.pipeline.sources import source_digest
from vestige.pipeline.store import Store, cache_root
from vestige.progress import Progress, silent

DATA_VERSION = 1
SPLIT_VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """What a seed of a board is run on, and where it lies in the store."""

    content_hash: str
    split_key: str
    notes: dict[str, Any]


def open_dataset(board: Board) -> Dataset:
    """The board's dataset, not read yet."""
    spec = board.dataset.spec
    with blamed(f"the dataset {spec.name!r}"):
        dataset: Dataset = spec.load()(board.dataset.config, cache_root() / "datasets" / spec.name)
    return dataset


def prepare(board: Board, store: Store, fetch: bool = True, progress: Progress = silent) -> dict[int, Inputs]:
    """Reads (and, where it may, fetches) the data and draws R, F and T for every seed; what is stored is not redone.

    Raises:
        InputError: The data cannot be used, or the request cannot be met by it.
    """
    check_places(board)
    dataset = open_dataset(board)
    if fetch:
        with blamed(f"the dataset {board.dataset.spec.name!r}"):
            dataset.fetch(progress)
    elif not dataset.is_local():
        dataset.fingerprint()  # says what is wrong where fetching would not help
        name = board.dataset.spec.name
        raise InputError(f"dataset {name!r} is not on this machine yet; run: vestige data fetch {name}")
    data_hash, notes = _data(board, dataset, store)
    # Equal rows are stored once, whether their source says when or not.
    if board.config.holdout.rule == "temporal" and "timestamps" in notes:
        raise without_times(str(notes["source"]))
    loaded: list[Interactions] = []

    def data() -> Interactions:
        if not loaded:
            loaded.append(replace(load_data(store, data_hash), notes=notes))
        return loaded[0]

    out = {}
    request = board.config.request
    listed = list_digest(request.file)
    for method in board.methods:
        if method.study and method.study.list_digest != listed:
            raise InputError(
                f"{request.file}: it is not the list that the study of {method.label!r} was made for; "
                "run `vestige tune` on this board again."
            )
    for seed in board.config.seeds:
        identity = {
            "version": SPLIT_VERSION,
            "data": data_hash,
            "request": request.model_dump(exclude={"file"} if request.file else {"file", "missing"}),
            "file": listed,
            "holdout": board.config.holdout.model_dump(),
            "seed": seed,
            **({"stand_in_for": list(board.stand_in_for)} if board.stand_in_for else {}),
        }
        key = key_of(identity)

        def fill(folder: Path, seed: int = seed, request: RequestConfig = request) -> dict[str, Any]:
            split = draw(data(), request, board.config.holdout, seed, board.stand_in_for)
            return save_split(folder, deal(split, request.steps, seed) if request.kind == "stream" else split)

        artifact, _ = store.make("split", key, fill)
        out[seed] = Inputs(data_hash, key, {"dataset": notes, "request": dict(artifact.meta["notes"])})
    return out


def stood_in(board: Board, inputs: Mapping[int, Inputs]) -> str:
    """What stands in for the list of a board that is tuned on, in one sentence; empty where its request is drawn."""
    if not board.stand_in_for:
        return ""
    notes = next(iter(inputs.values())).notes["request"]
    counted = [f"{notes[name]:,} {name}" for name in request.COUNTED if name in notes]
    lost = f" (the list names {notes[request.LISTED]:,})" if request.LISTED in notes else ""
    return f"{Path(str(board.config.request.file)).name}: another list stands in for it: {', '.join(counted)}{lost}."


def left_out(board: Board, inputs: Mapping[int, Inputs]) -> str:
    """What of a request from a file was left out (`missing = "drop"`), with both counts; empty where nothing may be."""
    return request.left_out(Path(str(board.config.request.file)).name, next(iter(inputs.values())).notes["request"])


def load_data(store: Store, content_hash: str) -> Interactions:
    """Interactions from the store; a `StoreError` where they are not there."""
    artifact = store.require("data", content_hash)
    table = pq.read_table(artifact.folder / "interactions.parquet")
    ids = json.loads((artifact.folder / "ids.json").read_bytes())
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return Interactions(
        **columns,
        user_ids=np.asarray(ids["users"], dtype=np.str_),
        item_ids=np.asarray(ids["items"], dtype=np.str_),
        notes=ids["notes"],
    )


def load_split(store: Store, key: str) -> Split:
    """A split from the store; a `StoreError` where it is not there."""
    artifact = store.require("split", key)
    arrays = load_file(artifact.folder / "split.safetensors")
    values: dict[str, Any] = {**arrays, **{name: artifact.meta[name] for name in ("kind", "exchangeable", "notes")}}
    return Split(**values)


def _data(board: Board, dataset: Dataset, store: Store) -> tuple[str, dict[str, Any]]:
    """The content hash of the data, which is in the store afterwards, and its notes."""
    spec, config = board.dataset.spec, board.dataset.config
    with blamed(f"the dataset {spec.name!r}"):
        fingerprint = dict(dataset.fingerprint())
    identity = {
        "version": DATA_VERSION,
        "name": spec.name,
        "plugin_version": spec.version,
        "digest": source_digest(spec),
        # Where a file lies does not matter, only what is in it.
        "config": config.model_dump(mode="json", exclude={"path", "folder"} if fingerprint else set()),
        "fingerprint": fingerprint,
    }
    key = key_of(identity)
    found = store.get("source", key)
    if found and store.get("data", found.meta["content_hash"]):
        return found.meta["content_hash"], found.meta["notes"]
    with blamed(f"the dataset {spec.name!r}"):
        data = dataset.load()
    store.make("data", data.content_hash, lambda folder: save_data(folder, data))
    notes = dict(data.notes)
    notes |= {"users": data.n_users, "items": data.n_items, "interactions": len(data)}
    if not found:
        store.make("source", key, lambda folder: {"content_hash": data.content_hash, "notes": notes})
    return data.content_hash, notes


def save_data(folder: Path, data: Interactions) -> dict[str, Any]:
    """Writes interactions as `load_data` reads them; returns the artifact's meta."""
    columns = {name: pa.array(getattr(data, name)) for name in ("user", "item", "rating", "timestamp")}
    pq.write_table(pa.table(columns), folder / "interactions.parquet")
    ids = {"users": data.user_ids.tolist(), "items": data.item_ids.tolist(), "notes": dict(data.notes)}
    (folder / "ids.json").write_text(json.dumps(ids))
    return {"notes": dict(data.notes)}


def save_split(folder: Path, split: Split) -> dict[str, Any]:
    """Writes a split as `load_split` reads it; returns the artifact's meta."""
    values = asdict(split)
    optional = {"forget_items", "unseen_items", "steps"}  # left out where there are none
    arrays = {
        name: value
        for name, value in values.items()
        if isinstance(value, np.ndarray) and (len(value) or name not in optional)
    }
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / "split.safetensors")
    return {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}


def list_digest(file: str | None) -> str | None:
    """Of the lines of a list, wherever it lies; None where there is none."""
    if file is None:
        return None
    return key_of({"lines": read_lines(Path(file))})
