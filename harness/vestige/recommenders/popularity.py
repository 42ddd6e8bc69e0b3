"""The popularity list: what any trained recommender must beat."""

import json
from pathlib import Path

import numpy as np

from vestige.data.sequences import Sequences
from vestige.progress import Progress
from vestige.recommenders.contract import Catalogue, FitReport, FloatArray
from vestige.recommenders.popularity_config import PopularityConfig


class Popularity:
    """Scores every item by how often it stands in the training sequences, whatever the history."""

    reach: int | None = None

    def __init__(self, config: PopularityConfig, catalogue: Catalogue, device: str) -> None:
        self.catalogue = catalogue
        self._log_probs = np.full(len(catalogue), -np.log(max(len(catalogue), 1)), dtype=np.float32)

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Counts, with one added to each count so that every score is finite."""
        counts = np.bincount(sequences.items, minlength=len(self.catalogue)) + 1.0
        self._log_probs = np.log(counts / counts.sum()).astype(np.float32)
        return FitReport(passes=1, steps=1, loss=0.0, flops=float(len(sequences.items)))

    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items], the same row for every query."""
        return np.tile(self._log_probs, (len(histories), 1))

    def save(self, folder: Path) -> None:
        """Writes `popularity.json`."""
        (folder / "popularity.json").write_text(json.dumps(self._log_probs.tolist()))

    @classmethod
    def load(cls, folder: Path, config: PopularityConfig, catalogue: Catalogue, device: str) -> "Popularity":
        """Reads what `save` wrote."""
        model = cls(config, catalogue, device)
        model._log_probs = np.asarray(json.loads((folder / "popularity.json").read_text()), dtype=np.float32)
        return model
