"""Who is one unit where items are withdrawn: the item, with all that is asked about it, whoever is asked.

F and T are items then, and a coin a pair of items parted them. So an item is what is resampled, what values are
averaged within, and what an attack tells apart; users are not, as one popular item is in many histories, which all rise
and fall with it. Metrics average and resample by `Queries.users` and `Split.forget_users`; here these hold items.
"""

from dataclasses import dataclass, replace

import numpy as np

from vestige.data.interactions import Interactions
from vestige.data.request import Part, Split
from vestige.data.views import Queries, Views

ASKED = ("forget", "unseen_train")
"""The views that are about F and T."""


@dataclass(frozen=True)
class Frame:
    """Data, split and views as they are measured: a unit stands wherever a user does.

    Where items are withdrawn, item i is the unit n_users + i: it has the training interactions with item i, if that is
    in F or T, and asks the queries of `forget` and `unseen_train` whose target it is. Users keep their positions and
    everything else.
    """

    data: Interactions
    split: Split
    views: Views


def frame(data: Interactions, split: Split, views: Views) -> Frame:
    """What is measured; as it is, unless items are withdrawn."""
    if split.kind != "items":
        return Frame(data, split, views)
    first = data.n_users
    moved = np.isin(split.part, (Part.FORGET, Part.UNSEEN))
    owner = np.where(moved, first + data.item, data.user).astype(np.int32)
    order = np.argsort(owner, kind="stable")
    place = np.argsort(order, kind="stable")
    own = replace(
        data,
        user=owner[order],
        item=data.item[order],
        rating=data.rating[order],
        timestamp=data.timestamp[order],
        user_ids=np.concatenate([data.user_ids, np.char.add("item ", data.item_ids)]),
    )
    parted = replace(
        split,
        part=split.part[order],
        forget_users=(first + split.forget_items).astype(np.int32),
        unseen_users=(first + split.unseen_items).astype(np.int32),
    )
    queries = dict(views.queries)
    for view in ASKED:
        asked = queries[view]
        queries[view] = Queries(asked.histories, asked.targets, (first + asked.targets).astype(np.int32))
    return Frame(own, parted, Views(queries, views.rows, {view: place[of] for view, of in views.events.items()}))
