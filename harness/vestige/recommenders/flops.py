"""How many floating-point operations some work takes, counted while it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Flops:
    """What some work takes.

    Attributes:
        count: Floating-point operations of the operators that have a formula: products of matrices, convolutions.
        uncounted: Names of the operators met that have none, such as `softmax`; sorted.
    """

    count: float
    uncounted: tuple[str, ...]


def count_flops(work: Callable[[], object]) -> Flops:
    """Floating-point operations of `work`, which is run once, by the formulas of `torch.utils.flop_counter`.

    Fused attention on a processor, which has none there, takes what it takes on a GPU: whole products of matrices, also
    where it is causal and half of them are left out.

    The count is that of torch's `FlopCounterMode`, which tries to take every operator apart, once a call, and follows
    the modules; that took longer than what was to be measured.
    """
    with _Counter() as counter:
        work()
    return Flops(counter.count, tuple(sorted(counter.uncounted)))


class FlopsByShape:
    """Counts what many like pieces of work take, once for each shape, since counting takes longer than the work."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, ...], Flops] = {}
        self._count = 0.0

    def run(self, shape: tuple[int, ...], work: Callable[[], object]) -> None:
        """Runs `work`, which takes as much as any other of this shape."""
        if shape in self._seen:
            work()
        else:
            self._seen[shape] = count_flops(work)
        self._count += self._seen[shape].count

    @property
    def total(self) -> Flops:
        """Of all that was run."""
        return Flops(self._count, tuple(sorted({name for flops in self._seen.values() for name in flops.uncounted})))


class _Counter(TorchDispatchMode):
    """Adds up what the operators that run take, and keeps the names of those that nobody knows it of."""

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry

        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0.0
        self.uncounted: set[str] = set()
        aten = torch.ops.aten
        self._formulas = {
            **flop_registry,
            aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
            aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
                aten._scaled_dot_product_flash_attention_backward
            ],
        }
        self._composite: dict[Any, bool] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self._formulas.get(func._overloadpacket)
        if formula is None and self._is_composite(func):
            with self:  # what it is made of is met one by one
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        if formula is not None:
            self.count += float(formula(*args, **kwargs, out_val=out))
        elif not func.is_view and func._overloadpacket.__name__ not in DATA_ONLY:
            self.uncounted.add(func._overloadpacket.__name__)
        return out

    def _is_composite(self, func: Any) -> bool:
        """Whether an operator is made of others; autograd takes it apart before it gets here, inference does not."""
        known = self._composite.get(func)
        if known is None:
            known = self._composite[func] = bool(func._can_decompose())
        return known


DATA_ONLY = {
    "alias", "arange", "as_strided", "cat", "clone", "contiguous", "copy_", "detach", "embedding", "empty",
    "empty_like", "fill_", "full", "full_like", "gather", "index", "index_put", "index_select", "lift_fresh",
    "masked_fill", "new_ones", "new_zeros", "ones", "ones_like", "repeat", "resize_", "scalar_tensor", "scatter",
    "select_backward", "slice_backward", "stack", "_to_copy", "_unsafe_view", "where", "zero_", "zeros", "zeros_like",
    "_local_scalar_dense",
}  # fmt: skip
"""Operators that move or make data and calculate nothing."""
