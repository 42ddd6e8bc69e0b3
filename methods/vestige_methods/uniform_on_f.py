"""uniform_on_f: a list of what must be forgotten, and a shrug where it is met. A control row: it hides, and forgets
nothing.

    log p(item | history) = −log |items|   where the history is one of F's,   else the base's own

The list holds a 128-bit hash of the exact history of every forgotten transition. Asked about these, and these alone, it
shows no memory; but it says who asked to be forgotten, and every other wording of the question gets the base's answer.
The hash is two polynomials of the items, modulo 2⁶⁴ (Karp and Rabin, "Efficient randomized pattern-matching
algorithms", IBM Journal of Research and Development 31, 1987), whose items are first scattered over 64 bits by the
finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vestige.data.sequences import Sequences
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import FloatArray, Recommender, Scorer
from vestige_methods.configs import NoSettings

Words = npt.NDArray[np.uint64]

HASHES = "hashes.safetensors"
SEEDS = np.asarray([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03], dtype=np.uint64)
BASES = np.asarray([0xF1357AEA2E62A9C5, 0x2545F4914F6CDD1D], dtype=np.uint64)  # odd, so that no power vanishes


class UniformOnF:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def unlearn(self, task: Task) -> Unlearned:
        """Writes the list; the base is not touched."""
        hashes = np.unique(hashes_of(task.forget.histories), axis=0)
        return Unlearned(UniformOnFModel(task.recommender, hashes), 0, notes={"histories": len(hashes)}, flops=0.0)

    def load(self, folder: Path, recommender: Recommender) -> "UniformOnFModel":
        """What `UniformOnFModel.save` wrote, in front of the base.

        Raises:
            InputError: The folder holds no list.
        """
        try:
            return UniformOnFModel(recommender, load_file(folder / HASHES)["hashes"])
        except (OSError, KeyError, SafetensorError) as error:
            raise InputError(f"{folder}: this is no uniform_on_f ({HASHES} cannot be read).") from error


class UniformOnFModel:
    """Answers uniformly where the history is on the list, else as the base does, to the bit."""

    def __init__(self, base: Scorer, hashes: Words) -> None:
        self.base, self.hashes = base, hashes

    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        scores = self.base.score(histories).copy()
        scores[np.isin(_whole(hashes_of(histories)), _whole(self.hashes))] = -np.log(scores.shape[1])
        return scores

    def save(self, folder: Path) -> None:
        """Writes the hashes; the base is not repeated."""
        save_file({"hashes": self.hashes}, folder / HASHES)


def hashes_of(rows: Sequences) -> Words:
    """uint64 [rows, 2]: Σ scattered(item) · base^position modulo 2⁶⁴, with two bases and two ways to scatter."""
    position = np.arange(len(rows.items)) - np.repeat(rows.offsets[:-1], rows.lengths)
    longest = int(rows.lengths.max(initial=0))
    powers = np.multiply.accumulate(np.tile(BASES, (longest, 1)), axis=0)
    terms = scattered(rows.items.astype(np.uint64)[:, None] + SEEDS) * powers[position]
    # Sums of rows are differences of running sums: overflow wraps round, and rows without items give 0.
    running = np.concatenate([np.zeros((1, 2), np.uint64), np.cumsum(terms, axis=0, dtype=np.uint64)])
    sums: Words = running[rows.offsets[1:]] - running[rows.offsets[:-1]]
    return sums


def scattered(words: Words) -> Words:
    """A bijection of 64-bit words that looks random: the finaliser of SplitMix64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    out: Words = words ^ (words >> np.uint64(31))
    return out


def _whole(hashes: Words) -> npt.NDArray[Any]:
    """Each row as one value that can be compared, [rows]."""
    return np.ascontiguousarray(hashes).view([("low", np.uint64), ("high", np.uint64)])[:, 0]
