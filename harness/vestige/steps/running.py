"""What all steps share: devices and threads, and what a step cost."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vestige.errors import InputError
from vestige.pipeline.resources import Meter, check_gpu

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Machine:
    """Where a step runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1` or `auto`.
        threads: Of torch; another number gives other weights.
    """

    device: str = "cpu"
    threads: int = 2

    def start(self) -> str:
        """Sets the threads; returns the device that is meant.

        Raises:
            InputError: It is no device, or a GPU where there is none.
        """
        if not re.fullmatch(r"cpu|auto|cuda(:[0-9]+)?", self.device):
            raise InputError(f"--device: cpu, cuda, cuda:1 or auto is needed, not {self.device!r}.")
        import torch

        from vestige.recommenders.torch_tools import resolve_device

        torch.set_num_threads(self.threads)
        device = resolve_device(self.device)
        check_gpu(device)
        return device


def timed(work: Callable[[], ValueT], device: str) -> tuple[ValueT, dict[str, float | None]]:
    """What `work` returns, with the seconds and the peak of memory that it took.

    Raises:
        InputError: It diverged, which is a matter of its settings.
    """
    meter = Meter(device)
    try:
        made = work()
    except FloatingPointError as error:
        raise InputError(str(error)) from error
    return made, meter.read()
