"""relearn: the attacker trains the model for a few steps on a tenth of F, and asks about the other nine tenths.

A tenth of the users; where items are withdrawn, of the items, since every user of one item tells about it.

What was hidden and not forgotten comes back as a whole when a little of it is shown again. In the benign variant the
same steps are taken on users of T, who are like those of F but were never trained on: what training on anything at all
brings back. Hu et al., "Unlearning or Obfuscating? Jogging the Memory of Unlearned LLMs via Benign Relearning", ICLR
2025 (arXiv 2406.13356). The same steps on gold are the yardstick: what they teach is no memory.

Of a model that declares its parts, the side memory is trained and then asked by itself, whatever a router would do; or
the main memory, where there is no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
import torch

from vestige import seeds
from vestige.data.request import Part, select
from vestige.data.sequences import IntArray, Sequences
from vestige.measuring.attacks import Recovered, Target
from vestige.recommenders.contract import Composite, Scorer, Trainable
from vestige.recommenders.torch_tools import deterministic, step
from vestige_metrics.attacks.configs import STEPS, RelearnConfig
from vestige_metrics.attacks.weights import put_back


@dataclass(frozen=True)
class Lesson:
    """What is trained on, and what is asked.

    Attributes:
        forget: Training sequences of the chosen users of F, with what was forgotten; or of all who had a chosen item of
            F, with those items.
        unseen: Of their counterparts in T (for `interactions` of the same users, with T instead of F).
        rows: The queries of `forget` of all other users; or for all other items.
        unseen_rows: Those of `unseen_train` of all but their counterparts.
    """

    forget: Sequences
    unseen: Sequences
    rows: IntArray
    unseen_rows: IntArray


class Learner(Scorer, Trainable, Protocol):
    """What can be trained and asked."""


class Relearn:
    """See the module's docstring."""

    def __init__(self, config: RelearnConfig) -> None:
        self.config = config

    def attack(self, target: Target) -> Iterator[Recovered]:
        """`relearn_<steps>` and `relearn_benign_<steps>`; NaN at queries of chosen users, or for chosen items.

        Nothing of models that cannot be trained, nor where a single user or item is forgotten.
        """
        learner = trainable_part(target.model)
        lesson = lesson_of(target, self.config.share)
        if learner is None or lesson is None:
            return
        for name, taught in (("relearn", lesson.forget), ("relearn_benign", lesson.unseen)):
            with put_back([learner.module]):
                yield from self._train(target, learner, taught, lesson, name)

    def _train(
        self, target: Target, learner: Learner, taught: Sequences, lesson: Lesson, name: str
    ) -> Iterator[Recovered]:
        config, module = self.config, learner.module
        seed = seeds.derive(target.seed, name)
        deterministic(seed)
        rng = np.random.default_rng(seed)
        parameters = list(module.requires_grad_(True).parameters())
        optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
        for done in range(1, STEPS[-1] + 1):
            module.train()
            batch = taught.take(rng.permutation(len(taught))[: config.batch_size])
            step(optimizer, learner.loss(batch, rng), parameters, config.clip)
            if done in STEPS:
                module.eval()
                asked = replace(target, model=learner)
                of_t = asked.hits(rows=lesson.unseen_rows, view="unseen_train") if len(lesson.unseen_rows) else None
                yield Recovered(f"{name}_{done}", asked.hits(rows=lesson.rows), unseen=of_t)


def trainable_part(model: Scorer) -> Learner | None:
    """What an attacker would train, or None."""
    part: Scorer = model
    if isinstance(model, Composite):
        parts = model.parts()
        part = parts.main if parts.side is None else parts.side
    return cast(Learner, part) if isinstance(part, Trainable) else None


def lesson_of(target: Target, share: float) -> Lesson | None:
    """A `share` of the asked users of F (where items are withdrawn, of the items), at least one, chosen by the target's
    seed; None where nobody would be left.
    """
    split, data = target.split, target.data
    items = split.kind == "items"
    asked = target.forget.targets if items else target.forget.users
    of = data.item if items else data.user
    members = (split.forget_items, split.unseen_items) if items else (split.forget_users, split.unseen_users)
    pairs = np.flatnonzero(np.isin(members[0], asked))
    if len(pairs) < 2:
        return None
    count = min(max(1, round(share * len(pairs))), len(pairs) - 1)
    chosen = seeds.generator(target.seed, "relearn").permutation(pairs)[:count]

    def taught(part: Part, members: IntArray) -> Sequences:
        """The interactions of a part that are of these members, and what their users retain, in order."""
        shown = (split.part == part) & np.isin(of, members)
        users = data.user[shown] if items else members
        return select(data, shown | ((split.part == Part.RETAINED) & np.isin(data.user, users)))

    forget, unseen = (side[chosen] for side in members)
    rows = np.flatnonzero(~np.isin(asked, forget))
    others = target.queries("unseen_train")
    unseen_rows = np.flatnonzero(~np.isin(others.targets if items else others.users, unseen))
    return Lesson(taught(Part.FORGET, forget), taught(Part.UNSEEN, unseen), rows, unseen_rows)
