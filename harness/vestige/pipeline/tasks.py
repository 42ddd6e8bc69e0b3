"""What a method is told: the task of forgetting F (or T, in the second world), and nothing else."""

from typing import Any

import numpy as np

from vestige.data.interactions import Interactions
from vestige.data.request import Part, Split, select, training
from vestige.data.sequences import Sequences
from vestige.data.views import Queries
from vestige.methods import Task
from vestige.recommenders.contract import Catalogue


def make_task(data: Interactions, split: Split, forget: Part, **rest: Any) -> Task:
    """The task of forgetting `forget` (F, or T in the second world); test, validation and the other are not in it."""
    retained = training(data, split, [Part.RETAINED])
    users = split.forget_users if forget == Part.FORGET else split.unseen_users
    if split.kind == "items":  # not those who only had an item that nobody is trained on
        users = np.unique(data.user[split.part == forget])
    shown = (split.part == forget) | ((split.part == Part.RETAINED) & np.isin(data.user, users))
    sequences = select(data, shown)
    mask = split.part[shown] == forget
    return Task(
        kind=split.kind,
        retained=retained,
        forget=_forget_queries(sequences, mask, split.asked_as_trained),
        forget_sequences=sequences,
        forget_mask=mask,
        catalogue=Catalogue(tuple(data.item_ids.tolist())),
        **rest,
    )


def _forget_queries(sequences: Sequences, mask: Any, as_trained: bool) -> Queries:
    """Each forgotten item after what stood before it: everything `as_trained`, else only what is retained."""
    row_of = np.repeat(np.arange(len(sequences)), sequences.lengths)
    visible = np.ones(len(mask), dtype=np.bool_) if as_trained else ~mask
    before = np.concatenate([[0], np.cumsum(visible)])
    events = np.flatnonzero(mask)
    starts = before[sequences.offsets[row_of[events]]]
    lengths = before[events] - starts
    seen = Sequences(sequences.items[visible], np.asarray([0, int(visible.sum())]), np.zeros(1, np.int32))
    histories = seen.slices(np.zeros(len(events), dtype=np.int64), starts, lengths)
    users = sequences.users[row_of[events]]
    able = np.flatnonzero(lengths > 0)
    rows = Sequences(histories.items, histories.offsets, users).take(able)
    return Queries(rows, sequences.items[events][able], users[able])
