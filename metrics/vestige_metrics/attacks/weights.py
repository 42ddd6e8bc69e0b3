"""What attacks on weights share: whatever they change is put back."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


@contextmanager
def put_back(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, the modules may be changed at will; afterwards their weights, and which are trainable, are as before."""
    states = [copy.deepcopy(module.state_dict()) for module in modules]
    trainable = [[parameter.requires_grad for parameter in module.parameters()] for module in modules]
    training = [module.training for module in modules]
    try:
        yield
    finally:
        for module, state, flags, mode in zip(modules, states, trainable, training, strict=True):
            module.load_state_dict(state)
            module.train(mode)
            for parameter, flag in zip(module.parameters(), flags, strict=True):
                parameter.requires_grad_(flag)
                parameter.grad = None
