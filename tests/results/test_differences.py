"""How far retrainings lie apart is that of independent ones, however much a measurement ties them together."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest

from vestige.results.differences import noise_floor
from vestige.results.sides import Basis, Number, Side

SEEDS = 3_000
SPREAD = 0.1
"""The standard deviation of what one training gives."""


class Told:
    """A side of given values, about whose users nothing is known."""

    def __init__(self, rows: Mapping[str, np.ndarray]) -> None:
        self.rows = rows
        self.results = self

    def label_of(self, method: str) -> str | None:
        return method if method in self.rows else None

    def find(self, label: str, name: str, seed: int) -> tuple[str, Any] | None:
        return (label, None) if label in self.rows else None

    def bases(self, label: str, name: str, seed: int) -> frozenset[Basis]:
        return frozenset({Basis.SEEDS})

    def size(self, name: str, basis: Basis) -> int:
        return 4

    def number(self, label: str, name: str, seed: int, basis: Basis, size: int, slot: int) -> Number:
        return Number(float(self.rows[label][seed]), np.zeros(size), 1)


def trained() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {label: rng.normal(0, SPREAD, SEEDS) for label in ("retrain", "control", "recheck")}


def of(kind: str) -> tuple[str, str, dict[str, np.ndarray], float]:
    """A measurement, its direction, what the three retrainings have of it, and the variance of one training."""
    own = trained()
    g, c, r = own.values()
    never = np.zeros(SEEDS)
    return {
        "plain": ("hit@10/retain", "higher", own, SPREAD**2),
        "gold is the target": ("hit@10/forget", "gold", {**own, "retrain": never}, SPREAD**2),
        # All are calibrated with recheck, which is so with control.
        "calibrated": ("auc_calibrated/forget", "gold", {"retrain": g, "control": c, "recheck": -c}, SPREAD**2),
        # Each tells F by one model, and T by the next.
        "swap": (
            "auc_swap/forget", "gold",
            {"retrain": (g - c) / 2, "control": (c - r) / 2, "recheck": (r - g) / 2}, SPREAD**2 / 2,
        ),
        "streisand": ("streisand/forget", "0", {"retrain": g, "control": never, "recheck": r}, SPREAD**2),
        "recovery": ("recovery_api/forget", "0", {"retrain": never, "control": never, "recheck": r}, SPREAD**2),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "gold is the target", "calibrated", "swap", "streisand", "recovery"])
def test_the_floor_is_the_variance_of_one_training(kind: str) -> None:
    name, better, rows, variance = of(kind)
    found = noise_floor(cast(Side, Told(rows)), name, better, range(SEEDS))
    assert found.variance == pytest.approx(variance, rel=0.1)
    assert found.freedom == SEEDS * (2 if kind == "plain" else 1)


def test_of_one_retraining_nothing_is_known() -> None:
    rows = {"retrain": trained()["retrain"], "control": np.zeros(SEEDS)}
    for name in ("streisand/forget", "recovery_api/forget"):
        assert noise_floor(cast(Side, Told(rows)), name, "0", range(9)).freedom == 0
