"""The attacks that come with Vestige, as plugins."""

from vestige.hookspecs import hookimpl
from vestige.specs import AttackSpec


@hookimpl
def vestige_attacks() -> list[AttackSpec]:
    """None yet."""
    return []
