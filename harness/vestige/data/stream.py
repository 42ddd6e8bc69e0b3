"""A stream of requests: what is to be forgotten is asked for step by step, and T is the same all the time.

Pairs of F and T are drawn at once, as for one request, and dealt to the steps, equally many each. After step i the
pairs of the steps up to i are F and T; those of later steps wait: their side of F is still retained, and their side of
T is used by nobody, as nobody ever trains on it. Base and swap are trained before the first step.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from vestige import seeds
from vestige.data.interactions import Interactions
from vestige.data.request import Part, Split
from vestige.data.sequences import BoolArray, IntArray

FROM_BASE = "base, with all requests so far"
"""What a method started from that could not go on from its own last state."""

World = Literal[Part.FORGET, Part.UNSEEN]
"""Which side is forgotten: F, or in the second world T."""


def deal(split: Split, steps: int, seed: int) -> Split:
    """The same split, its pairs (affected users, for `interactions`) dealt to steps 1 … `steps` by seed.

    Args:
        steps: Divides the number of pairs.
    """
    members = len(split.forget_items if split.kind == "items" else split.forget_users)
    order = seeds.generator(seed, "stream").permutation(members)
    step = np.empty(members, dtype=np.int32)
    step[order] = 1 + np.arange(members) // (members // steps)
    return replace(split, steps=step, notes={"requests": steps, **split.notes})


def after(data: Interactions, split: Split, step: int, world: World = Part.FORGET) -> Split:
    """R, F and T once `step` requests were made, by which models are measured and gold is trained.

    In the second world it is T of which the requests are, and what waits of it is retained, while nobody trains on F.

    The users of `retained_users` are those whom no step touches, so that the same are asked after every one.
    """
    when = asked_at(data, split)
    part = split.part.copy()
    other = Part.UNSEEN if world == Part.FORGET else Part.FORGET
    part[(split.part == world) & (when > step)] = Part.RETAINED
    part[(split.part == other) & (when > step)] = Part.UNUSED
    return _kept(data, replace(split, part=part), split.steps <= step)


def request(data: Interactions, split: Split, step: int, world: World, first: int) -> Split:
    """What a method is asked at `step`: to forget the requests from step `first` on, up to this one.

    Earlier ones are gone from the data, later ones are retained; of the other side nothing is left.
    """
    when = asked_at(data, split)
    own = split.part == world
    part = split.part.copy()
    part[own & (when > step)] = Part.RETAINED
    part[own & (when < first)] = Part.UNUSED
    part[np.isin(split.part, (Part.FORGET, Part.UNSEEN)) & ~own] = Part.UNUSED
    return _kept(data, replace(split, part=part), (split.steps >= first) & (split.steps <= step))


def asked_at(data: Interactions, split: Split) -> IntArray:
    """int32 [events]: the step at which an interaction of F is asked for, or that of its counterpart in T; else 0."""
    items = split.kind == "items"
    step_of = np.zeros(data.n_items if items else data.n_users, dtype=np.int32)
    sides = (split.forget_items, split.unseen_items) if items else (split.forget_users, split.unseen_users)
    for members in sides:
        step_of[members] = split.steps
    of_pairs = np.isin(split.part, (Part.FORGET, Part.UNSEEN))
    when: IntArray = np.where(of_pairs, step_of[data.item if items else data.user], 0)
    return when


def _kept(data: Interactions, split: Split, members: BoolArray) -> Split:
    """The split with only these pairs."""
    kept = replace(split, steps=split.steps[members])
    if split.kind == "items":
        affected = np.unique(data.user[np.isin(split.part, (Part.FORGET, Part.UNSEEN))]).astype(np.int32)
        return replace(
            kept,
            forget_users=affected,
            unseen_users=affected,
            forget_items=split.forget_items[members],
            unseen_items=split.unseen_items[members],
        )
    return replace(kept, forget_users=split.forget_users[members], unseen_users=split.unseen_users[members])
