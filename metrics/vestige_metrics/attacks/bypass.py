"""bypass: the attacker takes the router away, and the main memory answers alone.

A router in front of an unchanged main memory hides what is forgotten and forgets none of it.
"""

from collections.abc import Iterator
from dataclasses import replace

from vestige.measuring.attacks import Recovered, Target
from vestige.recommenders.contract import Composite
from vestige_metrics.attacks.configs import NoSettings


class Bypass:
    """See the module's docstring."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def attack(self, target: Target) -> Iterator[Recovered]:
        """`bypass`, of models that declare a router; nothing of others."""
        parts = target.model.parts() if isinstance(target.model, Composite) else None
        if parts is not None and parts.router is not None:
            yield replace(target, model=parts.main).recovered("bypass")
