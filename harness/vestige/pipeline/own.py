"""Roles of a method that trains its own base: how they stand in a job, and what measurements see of them.

Whether such a method forgets is judged by models of its own kind, on the views that ask for training transitions: an
ensemble of shards is unlike the board's gold whatever it forgets. How useful it is, and what it costs, is judged by the
board's models.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vestige.measuring.contract import Subject

OWN_VIEWS = ("forget", "unseen_train")
"""The views on which a role of the method's own stands; on all others the board's does."""

OWN_ROWS = {"base": "own base", "gold": "own gold"}
"""The rows that show a method's own roles, by role."""

Described = dict[str, Any]
"""A model as jobs describe it."""


def paired(own: Mapping[str, Described], board: Mapping[str, Described]) -> dict[str, Described]:
    """Roles of both kinds by name, as the measurement of the method's cells is given them."""
    return {role: {**model, "board": board[role]} for role, model in own.items()}


def combined(own: Subject, board: Subject) -> Subject:
    """A role as metrics see it: the method's own on `OWN_VIEWS` and under attack, the board's elsewhere and in cost."""
    scores = {view: (own if view in OWN_VIEWS else board).scores[view] for view in board.scores}
    elsewhere = {view: board.load for view in board.scores if view not in OWN_VIEWS}
    return replace(own, scores=scores, cost=board.cost, elsewhere=elsewhere)


def row_label(label: str, role: str) -> str:
    """The label of the row that shows a method's own role."""
    return f"{label}: {OWN_ROWS[role]}"
