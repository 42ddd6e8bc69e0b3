"""New boards and new plugin packages, from templates that are real files."""

from vestige.scaffold.board import new_board
from vestige.scaffold.plugin import new_plugin

__all__ = ["new_board", "new_plugin"]
