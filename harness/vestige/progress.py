"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called with the share of the work that is done, in [0, 1], and a few words about it."""

    def __call__(self, share: float, text: str = "") -> None:
        """Tells it."""
        ...


def silent(share: float, text: str = "") -> None:
    """A `Progress` that says nothing."""
