"""What is asked of whatever answers queries."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vestige.data.sequences import Sequences
from vestige.recommenders.contract import FloatArray, Modular, Scorer
from vestige.recommenders.scoring import NORMALISED
from vestige.testing.check import require

SAME = 1e-5
"""Log-probabilities nearer than this are the same after saving and loading."""

EXECUTABLE = (b"\x80", b"PK")
"""How files begin that hold code to be run when they are read."""


def right_scores(scores: FloatArray, queries: int, items: int) -> None:
    """Checks shape, kind, finiteness and normalisation of what `score` returned."""
    require(isinstance(scores, np.ndarray), f"`score` returned a {type(scores).__name__}", "return a NumPy array")
    require(
        scores.shape == (queries, items),
        f"`score` returned the shape {scores.shape} for {queries} histories and {items} items",
        "return [queries, items]: every item of the catalogue, in its order",
    )
    require(
        np.issubdtype(scores.dtype, np.floating), f"`score` returned {scores.dtype}", "return float32 log-probabilities"
    )
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    require(not bad, f"{bad} of {queries} rows hold a score that is not finite", "mask nothing, and smooth zeros")
    sums = np.exp(scores.astype(np.float64)).sum(axis=1)
    off = float(np.abs(sums - 1).max(initial=0.0))
    require(
        off <= NORMALISED,
        f"the probabilities of a row sum to {sums[np.abs(sums - 1).argmax()] if len(sums) else 1:.4g}",
        "return the log-softmax over the whole catalogue",
    )


def same_scores(one: FloatArray, other: FloatArray, what: str, change: str, within: float = 0.0) -> None:
    """Checks that two answers to the same queries agree."""
    with np.errstate(invalid="ignore"):  # scores that are not finite have a check of their own
        off = float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))
    require(off <= within, f"{what} changed log-probabilities by up to {off:.3g}", change)


def answers(model: Scorer, asked: Sequences, items: int) -> FloatArray:
    """The model's scores, checked; it is not told who asks, just as on a board."""
    scores = model.score(asked.anonymous())
    right_scores(scores, len(asked), items)
    return scores


def written_files(folder: Path) -> None:
    """Checks that `save` wrote something, and nothing that must be executed to be read."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    require(files, "`save` wrote no file", "write everything that loading needs into the folder")
    for file in files:
        if file.suffix != ".safetensors":
            require(
                not file.read_bytes().startswith(EXECUTABLE),
                f"`save` wrote {file.name}, which holds code that is run when it is read",
                "write weights as safetensors, tables as Parquet, the rest as JSON",
            )


def on_cpu(*models: object) -> None:
    """Checks that all weights lie on the processor, where they were asked to be."""
    for tensor in _tensors(models):
        require(
            tensor.device.type == "cpu",
            f"weights lie on {tensor.device}, though the device was 'cpu'",
            "put everything on `task.device` (or `device`), and look for no other",
        )


def _tensors(models: Iterable[object]) -> Iterable[Any]:
    for model in models:
        module = getattr(model, "module", None)
        modules = model.modules() if isinstance(model, Modular) else (() if module is None else (module,))
        for part in modules:
            yield from part.parameters()
