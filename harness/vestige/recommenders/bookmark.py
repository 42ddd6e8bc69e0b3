"""Where a training stands, in one file, so that one that was stopped goes on as if it had not been.

The file is safetensors: weights, the optimizer's moments, the states of the random generators, the order of the pass
and the losses of its steps. It is written under a temporary name and renamed, so what is read is whole.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vestige.data.sequences import IntArray, Sequences
from vestige.recommenders.contract import Unfinished

FILE = "training.safetensors"

FORMAT = 2
"""Of what is written; a file of another one is not read."""

SHARE = 0.02
"""Writing takes at most this share of the time: where it is slow, it is done less often."""


@dataclass
class Standing:
    """What changes while a recommender trains, beside its weights and the optimizer's state.

    Attributes:
        rng: Draws the order of a pass and its windows.
        order: int64 [windows], the rows of this pass.
        at: The next place in it.
        done: Steps.
        losses: Of every step.
        windows: In these steps.
        counts: Floating-point operations a window, of the steps that were counted.
        uncounted: Operators that have no formula.
        seconds: Spent before this process.
    """

    rng: np.random.Generator
    order: IntArray
    at: int = 0
    done: int = 0
    windows: int = 0
    losses: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    uncounted: tuple[str, ...] = ()
    seconds: float = 0.0


class Bookmark:
    """A file that holds where one training stands.

    Args:
        unfinished: Where it lies, and how often it is written.
        identity: Of the training, see `identity_of`.
    """

    def __init__(self, unfinished: Unfinished, identity: str) -> None:
        self._file, self._identity, self._every = unfinished.folder / FILE, identity, unfinished.every
        self._begun = time.perf_counter()
        self._next = self._begun + self._every

    def read(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, standing: Standing) -> None:
        """Puts what the file holds into all three; what is missing, cut short or of another one does nothing."""
        found = self._read()
        if found is None:
            return
        tensors, about = found
        with torch.no_grad():
            for name, weight in _weights(module):
                weight.copy_(tensors[f"weight {name}"])
        moments = {
            int(number): {kind: tensors[f"moment {number} {kind}"] for kind in kinds}
            for number, kinds in about["moments"].items()
        }
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        torch.set_rng_state(tensors["torch rng"])
        if "cuda rng" in tensors:
            torch.cuda.set_rng_state(tensors["cuda rng"], next(module.parameters()).device)
        standing.rng.bit_generator.state = about["rng"]
        standing.order = tensors["order"].numpy()
        standing.losses = tensors["losses"].tolist()
        standing.at, standing.done, standing.windows = about["at"], about["done"], about["windows"]
        standing.counts = about["counts"]
        standing.uncounted, standing.seconds = tuple(about["uncounted"]), about["seconds"]

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.perf_counter() >= self._next

    def write(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, standing: Standing) -> None:
        """Replaces the file's content."""
        begun = time.perf_counter()
        tensors = {f"weight {name}": weight.detach().cpu() for name, weight in _weights(module)}
        moments: dict[str, list[str]] = {}
        for number, kinds in optimizer.state_dict()["state"].items():
            moments[str(number)] = sorted(kinds)
            tensors |= {f"moment {number} {kind}": kinds[kind].detach().cpu() for kind in kinds}
        tensors["torch rng"] = torch.get_rng_state()
        device = next(module.parameters()).device
        if device.type == "cuda":
            tensors["cuda rng"] = torch.cuda.get_rng_state(device)
        tensors["order"] = torch.from_numpy(np.asarray(standing.order))
        tensors["losses"] = torch.tensor(standing.losses, dtype=torch.float64)
        about = {
            "rng": standing.rng.bit_generator.state,
            "at": standing.at,
            "done": standing.done,
            "windows": standing.windows,
            "counts": standing.counts,
            "uncounted": standing.uncounted,
            "seconds": standing.seconds + begun - self._begun,
            "moments": moments,
        }
        self._replace({name: tensor.contiguous() for name, tensor in tensors.items()}, json.dumps(about))
        now = time.perf_counter()
        self._next = now + max(self._every, (now - begun) / SHARE if self._every else 0.0)

    def _replace(self, tensors: dict[str, torch.Tensor], about: str) -> None:
        """A full disk ends no training: what was written last stays, and it is tried again later."""
        partial = self._file.with_name(f"{FILE}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, partial, {"identity": self._identity, "about": about})
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(self._file)
        except (OSError, SafetensorError):
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        try:
            with safe_open(self._file, framework="pt") as held:
                said = held.metadata() or {}
                if said.get("identity") != self._identity:
                    return None
                return {name: held.get_tensor(name) for name in held.keys()}, json.loads(said["about"])  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError):
            return None


def identity_of(unfinished: Unfinished, module: torch.nn.Module, settings: str, rows: Sequences, seed: int) -> str:
    """SHA-256 of what a training is determined by, on one machine, before its first step."""
    device = str(next(module.parameters()).device)
    said = [FORMAT, unfinished.training, settings, seed, device, torch.get_num_threads(), torch.__version__]
    digest = hashlib.sha256(json.dumps(said).encode())
    for name, weight in _weights(module):
        digest.update(name.encode() + weight.detach().float().cpu().numpy().tobytes())
    for array in (rows.items, rows.offsets):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()


def _weights(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters, of which shared ones come once, and buffers."""
    yield from module.named_parameters()
    yield from module.named_buffers()
