"""`vestige recommend`: the items that a saved model, a dual memory among them, names after given histories."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.data.sequences import IntArray, Sequences, sequences
from vestige.data.textfiles import read_lines
from vestige.errors import InputError, blamed
from vestige.plugins import Plugins
from vestige.recommenders.contract import Catalogue, FloatArray
from vestige.recommenders.scoring import CELLS
from vestige.steps.manifest import MANIFEST, open_model, read_data, read_manifest
from vestige.steps.running import Machine


@dataclass(frozen=True)
class Recommended:
    """One item of a list.

    Attributes:
        line: Of the file of histories, from 1.
        rank: From 1.
        item: Its original id.
        log_prob: Its log-probability over the whole catalogue.
    """

    line: int
    rank: int
    item: str
    log_prob: float


def recommend(
    folder: Path,
    histories: Path,
    *,
    plugins: Plugins,
    k: int = 10,
    base: Path | None = None,
    place: Path | None = None,
    machine: Machine | None = None,
) -> list[Recommended]:
    """The k items that the model scores highest after each history, its own items left out; ties by the item's place.

    Args:
        folder: What `train` or `unlearn` wrote.
        histories: A file with one history a line: item ids, oldest first, separated by blanks.
        plugins: What is installed.
        k: Items a list; fewer where the catalogue has no more.
        base: Where the base lies, if not where the manifest says.
        place: Where the data lie now.
        machine: Where it runs.

    Raises:
        InputError: A history names an unknown item, or the model cannot be opened.
    """
    manifest = read_manifest(folder)
    source = read_data(manifest.data, plugins, place, str(folder / MANIFEST))
    rows = _read_histories(histories, source.catalogue)
    device = (machine or Machine()).start()
    model = open_model(folder, source, plugins, device, base)
    step = max(1, min(len(rows), CELLS // len(source.catalogue)))
    found = []
    for first in range(0, len(rows), step):
        some = rows.take(np.arange(first, min(first + step, len(rows))))
        with blamed(f"the model in {folder}"):
            scores = model.score(some.anonymous())
        items, log_probs = best(scores, some, k)
        found += [
            Recommended(first + row + 1, rank + 1, source.catalogue.item_ids[item], float(log_probs[row, rank]))
            for row in range(len(some))
            for rank, item in enumerate(items[row].tolist())
            if np.isfinite(log_probs[row, rank])
        ]
    return found


def best(scores: FloatArray, rows: Sequences, k: int) -> tuple[IntArray, FloatArray]:
    """The k items of each row [n, k] that it scores highest and whose history does not have them, and their scores
    (−inf where there are fewer); equal ones by their place.
    """
    shown = scores.copy()
    shown[np.repeat(np.arange(len(rows)), rows.lengths), rows.items] = -np.inf
    order = np.argsort(-shown, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(shown, order, axis=1)


def _read_histories(file: Path, catalogue: Catalogue) -> Sequences:
    known = {item: place for place, item in enumerate(catalogue.item_ids)}
    rows = []
    for number, line in enumerate(read_lines(file), start=1):
        items = line.split()
        if not items:
            raise InputError(
                f"{file}, line {number}: the history is empty; write the ids of items, separated by blanks."
            )
        strange = [item for item in items if item not in known]
        if strange:
            raise InputError(f"{file}, line {number}: item {strange[0]!r} is not in the dataset.")
        rows.append([known[item] for item in items])
    if not rows:
        raise InputError(f"{file}: the file is empty; write one history a line.")
    return sequences(rows)
