"""decode_filter: a list of what must not be said. A sanity baseline: it filters the answer, and forgets nothing.

    log p(y⁻ | history) = −∞, as far as numbers go,   where the history is one of F's, and y⁻ what F had after it

It recognises an exact training history by its hash, as `uniform_on_f` does, and sends the forgotten item to the end
of the list; all other answers are the base's. Guardrails of this kind are compared in Thaker et al., "Guardrail
Baselines for Unlearning in LLMs", 2024 (arXiv 2403.03329).
"""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vestige.data.sequences import IntArray, Sequences
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import FloatArray, Recommender, Scorer
from vestige_methods.configs import NoSettings
from vestige_methods.uniform_on_f import Words, hashes_of

FILE = "filter.safetensors"
LEAST = np.float32(-1e4)
"""A log-probability that is finite, and lower than any model's."""


class DecodeFilter:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def unlearn(self, task: Task) -> Unlearned:
        """Writes the list; the base is not touched."""
        hashes = hashes_of(task.forget.histories)
        order = np.lexsort((hashes[:, 1], hashes[:, 0])) if len(hashes) else np.zeros(0, np.int64)
        model = DecodeFilterModel(task.recommender, hashes[order], task.forget.targets[order].astype(np.int64))
        return Unlearned(model, 0, notes={"histories": len(order)}, flops=0.0)

    def load(self, folder: Path, recommender: Recommender) -> "DecodeFilterModel":
        """What `DecodeFilterModel.save` wrote, in front of the base.

        Raises:
            InputError: The folder holds no list.
        """
        try:
            found = load_file(folder / FILE)
            return DecodeFilterModel(recommender, found["hashes"], found["targets"])
        except (OSError, KeyError, SafetensorError) as error:
            raise InputError(f"{folder}: this is no decode_filter ({FILE} cannot be read).") from error


class DecodeFilterModel:
    """Answers as the base does, without the items that are on the list for a history."""

    def __init__(self, base: Scorer, hashes: Words, targets: IntArray) -> None:
        self.base, self.hashes, self.targets = base, hashes, targets

    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        scores = self.base.score(histories).copy()
        rows, entries = _matches(hashes_of(histories), self.hashes)
        if len(rows):
            scores[rows, self.targets[entries]] = LEAST
            left = np.log(np.exp(scores[rows].astype(np.float64)).sum(axis=1, keepdims=True))
            scores[rows] = (scores[rows] - left).astype(np.float32)
        return scores

    def save(self, folder: Path) -> None:
        """Writes hashes and targets; the base is not repeated."""
        save_file({"hashes": self.hashes, "targets": self.targets}, folder / FILE)


def _matches(asked: Words, listed: Words) -> tuple[IntArray, IntArray]:
    """All pairs (query, entry of the list) with the same hash; the list is sorted."""
    key = np.dtype([("high", np.uint64), ("low", np.uint64)])
    wanted, known = (np.ascontiguousarray(h).view(key)[:, 0] for h in (asked, listed))
    first, last = (np.searchsorted(known, wanted, side) for side in ("left", "right"))
    counts = last - first
    rows = np.repeat(np.arange(len(wanted)), counts)
    entries = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    return rows, entries
