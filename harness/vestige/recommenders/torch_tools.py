"""What every torch recommender and method needs: devices, determinism, gradient steps."""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import torch

from vestige.errors import InputError


def resolve_device(name: str) -> str:
    """`auto` becomes `cuda` where there is one; a device that is not there is an `InputError`."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {name!r} was asked for, but this machine has no usable GPU; use device = 'cpu'.")
    return name


def deterministic(seed: int) -> None:
    """Seeds torch and refuses operations that are not deterministic."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Writing NaN into all memory before it is used finds operations that read it too early, for a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast(device: str, enabled: bool) -> AbstractContextManager[object]:
    """bfloat16 autocast on `device`, where enabled."""
    return torch.autocast(device.split(":", maxsplit=1)[0], dtype=torch.bfloat16, enabled=enabled)


def warm_then_linear(steps: int, warm: int, floor: float) -> Callable[[int], float]:
    """A learning-rate factor: linear warm-up over `warm` steps, then linear decay to `floor`."""

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return max(floor, 1 - (step - warm) / max(steps - warm, 1))

    return factor


def step(
    optimizer: torch.optim.Optimizer, loss: torch.Tensor, parameters: Iterable[torch.Tensor], clip: float
) -> float:
    """One gradient step on `loss`; returns its value.

    Raises:
        FloatingPointError: The loss is not finite, so that training ends with a sentence and not with NaN weights.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError(f"the training loss became {value}; a smaller learning rate may help.")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(parameters), clip)
    optimizer.step()
    return value
