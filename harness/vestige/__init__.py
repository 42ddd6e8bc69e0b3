"""Vestige measures what a recommender still remembers after it was told to forget.

The public names are imported when they are first used, so that `import vestige` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vestige.api import run as run
    from vestige.configs import Config as Config
    from vestige.hookspecs import hookimpl as hookimpl

__all__ = ["Config", "hookimpl", "run"]

_PUBLIC = {"Config": "vestige.configs", "hookimpl": "vestige.hookspecs", "run": "vestige.api"}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vestige' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
