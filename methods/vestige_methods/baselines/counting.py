"""Floating-point operations of much work of a kind, of which some is counted."""

from collections.abc import Callable
from typing import TypeVar

from vestige.recommenders.flops import Flops, count_flops

T = TypeVar("T")

EVERY = 16


class CountsSome:
    """Counts one piece of work in `EVERY`, since counting can take as long as the work, and takes it for all."""

    def __init__(self) -> None:
        self._pieces, self._size, self._counted = 0, 0.0, 0.0
        self._flops = 0.0
        self._uncounted: set[str] = set()

    def run(self, work: Callable[[], T], size: float = 1.0) -> T:
        """What `work` returns; `size` is how much it does, beside other pieces."""
        counts = self._pieces % EVERY == 0
        self._pieces, self._size = self._pieces + 1, self._size + size
        if not counts:
            return work()
        found: list[T] = []
        flops = count_flops(lambda: found.append(work()))
        self._flops, self._counted = self._flops + flops.count, self._counted + size
        self._uncounted.update(flops.uncounted)
        return found[0]

    @property
    def total(self) -> Flops:
        """Of all that was run."""
        each = self._flops / self._counted if self._counted else 0.0
        return Flops(each * self._size, tuple(sorted(self._uncounted)))
