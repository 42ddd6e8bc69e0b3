"""What the methods with shards share: one report of many trainings, and files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vestige.errors import InputError
from vestige.progress import Progress
from vestige.recommenders.contract import FitReport
from vestige_methods.sharding.affinity import Affinity
from vestige_methods.sharding.partition import Partition


def summed(reports: Sequence[FitReport]) -> FitReport:
    """One report of several trainings; of none, a training of no steps."""
    counted = [report.flops for report in reports if report.flops is not None]
    return FitReport(
        passes=max((report.passes for report in reports), default=0.0),
        steps=sum(report.steps for report in reports),
        loss=float(np.mean([report.loss for report in reports])) if reports else 0.0,
        flops=sum(counted) if len(counted) == len(reports) else None,
        uncounted=tuple(sorted({name for report in reports for name in report.uncounted})),
    )


def save_sharding(file: Path, partition: Partition, affinity: Affinity) -> None:
    """Writes both as safetensors."""
    arrays: dict[str, npt.NDArray[Any]] = {"users": partition.users, "shards": partition.shards}
    arrays |= {"weights": affinity.weights, "centres": affinity.centres}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, file)


def load_sharding(file: Path) -> tuple[Partition, Affinity]:
    """What `save_sharding` wrote.

    Raises:
        InputError: The file is missing or no such file.
    """
    try:
        found = load_file(file)
        return Partition(found["users"], found["shards"]), Affinity(found["weights"], found["centres"])
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(f"{file}: the partition cannot be read.") from error


def read_about(folder: Path, name: str, method: str) -> dict[str, Any]:
    """The JSON that says what a folder holds.

    Raises:
        InputError: It is missing, or of something else.
    """
    try:
        about: dict[str, Any] = json.loads((folder / name).read_bytes())
        if about["format"] != 1:
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: this is no {method} ({name} cannot be read).") from error
    return about


def part(progress: Progress, done: int, of: int, prefix: str) -> Progress:
    """A progress for one of several trainings."""

    def told(share: float, text: str = "") -> None:
        progress((done + share) / of, prefix + text)

    return told
