"""The reference method: a frozen T5 as main memory, a LoRA side memory that forgets, a router that decides.

`config` holds the settings, `losses` the loss terms, `method` the training, `router` the router, `model` what answers.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vestige_methods.dual_memory.method import DualMemory as DualMemory

__all__ = ["DualMemory"]


def __getattr__(name: str) -> Any:
    if name != "DualMemory":
        raise AttributeError(name)
    from vestige_methods.dual_memory.method import DualMemory

    return DualMemory
