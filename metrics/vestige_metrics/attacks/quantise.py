"""quantise: every weight matrix is rounded to int8 and back, as whoever deploys a model may do.

    w ← s · round(w / s),   s = max |w| / 127, for each output channel (row)

Unlearning that moves weights by less than half a step s is undone by it: Zhang et al., "Catastrophic Failure of LLM
Unlearning via Quantization", ICLR 2025 (arXiv 2410.16454). Vectors, such as biases and norms, stay.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from vestige.measuring.attacks import Recovered, Target
from vestige.recommenders.contract import Modular
from vestige_metrics.attacks.configs import NoSettings
from vestige_metrics.attacks.weights import put_back

LEVELS = 127


class Quantise:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def attack(self, target: Target) -> Iterator[Recovered]:
        """`int8`, of models that answer by torch modules; nothing of others."""
        if isinstance(target.model, Modular):
            modules = target.model.modules()
            with put_back(modules):
                quantise(modules)
                yield target.recovered("int8")


@torch.no_grad()
def quantise(modules: Sequence[nn.Module]) -> None:
    """Rounds the weight matrices of all modules in place, a tensor that several share once."""
    matrices = {
        parameter.data_ptr(): parameter
        for module in modules
        for parameter in module.parameters()
        if parameter.ndim >= 2 and parameter.is_floating_point() and parameter.numel()
    }
    for matrix in matrices.values():
        matrix.copy_(rounded(matrix))


def rounded(matrix: torch.Tensor) -> torch.Tensor:
    """float32, the shape of `matrix` [channels, ...]: the nearest of 255 evenly spaced values of each channel."""
    w = matrix.float()
    scale = w.abs().amax(dim=tuple(range(1, w.ndim)), keepdim=True) / LEVELS
    steps = torch.round(w / torch.where(scale > 0, scale, 1.0)).clamp(-LEVELS, LEVELS)
    return steps * scale
