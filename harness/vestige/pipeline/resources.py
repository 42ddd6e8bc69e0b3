"""What a piece of work takes, in seconds and memory, and whether there was too little memory for it."""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from vestige.errors import InputError

NO_MEMORY = ("can't allocate memory", "std::bad_alloc", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How torch and what it stands on say so in an error of no type of its own."""


class Meter:
    """Measures from when it is made on. A GPU works on after it was asked, so the clock waits until it has done all."""

    def __init__(self, device: str) -> None:
        self._cuda = _cuda(device)
        if self._cuda is None:
            _reset_peak()
        else:
            self._cuda.synchronize(device)
            self._cuda.reset_peak_memory_stats(device)
        self._device = device
        self._start = time.perf_counter()

    def read(self) -> dict[str, Any]:
        """`seconds`, and `peak_bytes`: the highest resident size of the process; on a GPU the most that tensors took
        there.
        """
        if self._cuda is None:
            return {"seconds": time.perf_counter() - self._start, "peak_bytes": _peak_bytes()}
        self._cuda.synchronize(self._device)
        seconds = time.perf_counter() - self._start
        return {"seconds": seconds, "peak_bytes": int(self._cuda.max_memory_allocated(self._device))}


def hide_gpus(device: str) -> None:
    """Hides the GPUs from work on the processor; called before torch has looked for any.

    Around a training torch keeps the states of all random generators, and opens every GPU for that: the training would
    take time and memory for what it does not use, or fail for want of either.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def check_gpu(device: str) -> None:
    """Raises an `InputError` where a GPU is meant by a number that none of those here has."""
    cuda, (_, _, number) = _cuda(device), device.partition(":")
    there = cuda.device_count() if cuda is not None and number else 0
    if 0 < there <= int(number or 0):
        found = "one GPU, cuda:0" if there == 1 else f"GPUs up to cuda:{there - 1}"
        raise InputError(f"device {device!r} was asked for, and this machine has {found}.")


def _cuda(device: str) -> Any:
    """`torch.cuda`, where that is the device."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda


def _reset_peak() -> None:
    """What a process did before is not the job's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # not Linux, or not allowed: the peak is then that of the process so far


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or what it was raised from, says that memory ran out; torch says it in several ways."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    cause = error.__cause__
    told = any(words in str(error) for words in NO_MEMORY)
    return named or told or (cause is not None and out_of_memory(cause))


def _peak_bytes() -> int:
    """The highest resident size since `_reset_peak`, or of the process where that is unknown."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
