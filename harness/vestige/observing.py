"""Tells observers what happens; one that fails is named, and neither the run nor another observer loses by it."""

from collections.abc import Callable
from typing import Any

from vestige.plugins import Plugins


class Observers:
    """All that listen to one run.

    Args:
        plugins: Those that have observer hooks are told.
        say: Told, in a sentence, which observer failed.
    """

    def __init__(self, plugins: Plugins, say: Callable[[str], None]) -> None:
        self._plugins, self._say = plugins, say

    def tell(self, hook: str, **what: Any) -> None:
        """Calls the hook of every observer by itself, with the hook's arguments."""
        for name, call in self._plugins.observers(hook):
            try:
                call(**what)
            except Exception as error:  # an observer may raise anything; no result must be lost by it
                text = " ".join(str(error).split())
                self._say(f"an observer failed and was ignored ({name}): {type(error).__name__}: {text}")
