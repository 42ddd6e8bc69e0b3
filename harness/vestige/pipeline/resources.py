"""Memory of this process: how much it took, where the system tells it, and whether there was too little."""

import resource
import sys
from pathlib import Path

NO_MEMORY = ("can't allocate memory", "std::bad_alloc", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How torch and what it stands on say so in an error of no type of its own."""


def reset_peak() -> None:
    """Starts the measurement of the peak anew: what a process did before is not the job's."""
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


def peak_bytes() -> int:
    """The highest resident size since `reset_peak`, or of the process where that is unknown."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
