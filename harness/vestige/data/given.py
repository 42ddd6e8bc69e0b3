"""A split that is given and not drawn: files say what is forgotten, and what nobody was trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from vestige.data.interactions import Interactions
from vestige.data.interchange import read_samples
from vestige.data.request import Part, Split, listed_events, listed_users
from vestige.data.sequences import IntArray
from vestige.data.textfiles import read_lines
from vestige.errors import InputError

Kind = Literal["users", "interactions"]


@dataclass(frozen=True)
class Given:
    """What a file names.

    Attributes:
        kind: Whole users, or single interactions.
        events: int64 [n], ascending: the training interactions that it comes to.
        notes: What it named, where something of that was left out.
    """

    kind: Kind
    events: IntArray
    notes: dict[str, str | int | float]


def kind_of(file: Path) -> Kind:
    """`interactions` for an interchange file `….json` and where a line has a tab (`user<TAB>item`), else `users`."""
    if file.suffix.lower() == ".json":
        return "interactions"
    filled = [line for line in read_lines(file) if line.strip()]
    if not filled:
        raise InputError(f"{file}: the file is empty; one user a line is needed, or user<TAB>item.")
    return "interactions" if any("\t" in line for line in filled) else "users"


def read_given(data: Interactions, part: npt.NDArray[np.int8], file: Path, drop: bool) -> Given:
    """The training interactions that a file names, or those of the users it names.

    Args:
        data: The interactions.
        part: int8 [events], as `vestige.data.request.hold_out` returns it.
        file: See `kind_of`.
        drop: Leave out named users and interactions that do not exist, and interactions that are held out, and count
            them.

    Raises:
        InputError: The file is malformed, or names what is not there.
    """
    if kind_of(file) == "interactions":
        found = listed_events(data, part, str(file), drop)
        return Given("interactions", found.events, found.notes)
    users, notes = listed_users(data, part, str(file), drop)
    events = np.flatnonzero(np.isin(data.user, users) & (part == Part.RETAINED))
    if not len(events):
        raise InputError(f"{file}: none of the users that it names has a training interaction.")
    return Given("users", events, notes)


DROP = "; --missing drop leaves out what cannot be used"


@dataclass(frozen=True)
class Named:
    """Users whom a file names.

    Attributes:
        users: int64 [n]: those who are retained.
        asked: How many it names.
    """

    users: IntArray
    asked: int

    @property
    def told(self) -> str:
        """How many were dropped; empty where none was."""
        left = self.asked - len(self.users)
        return f"{left} of {self.asked} users to retain are left out: they are not retained" if left else ""


def retained_in(data: Interactions, split: Split, file: Path, drop: bool) -> Named:
    """Whom an interchange file of retained users names.

    Args:
        drop: Leave out users and items that are not in the dataset, and users who are not retained (all that is theirs
            may be held out); only the users matter.

    Raises:
        InputError: It is malformed, or names a user or an item that is not there, or somebody who is not retained; or
            nobody is left.
    """
    users, items = ({name: at for at, name in enumerate(ids.tolist())} for ids in (data.user_ids, data.item_ids))
    retained = set(split.retained_users.tolist())
    found = []
    samples = read_samples(file, "retain")
    for number, sample in enumerate(samples, start=1):
        where = f"{file}, entry {number}"
        if users.get(sample.user_id) in retained:
            found.append(users[sample.user_id])
        elif not drop:
            why = (
                "is not in the dataset"
                if sample.user_id not in users
                else "is not retained: something of theirs is forgotten or was never trained on; name others"
            )
            raise InputError(f"{where}: user {sample.user_id!r} {why}{DROP}.")
        if (strange := next((item for item in sample.seq_items if item not in items), None)) and not drop:
            place = f"{where} (user {sample.user_id!r}): seq_items"
            raise InputError(f"{place}: item {strange!r} is not in the dataset{DROP}.")
    if not found:
        raise InputError(f"{file}: none of the users that it names is retained.")
    return Named(np.unique(np.asarray(found, dtype=np.int64)), len({sample.user_id for sample in samples}))


def given_split(
    data: Interactions, part: npt.NDArray[np.int8], kind: Kind, forget: IntArray, unseen: IntArray
) -> Split:
    """The split in which `forget` is F and `unseen` is T; membership is not exchangeable, since nobody tossed a coin.

    Args:
        data: The interactions.
        part: int8 [events], as `vestige.data.request.hold_out` returns it.
        kind: Of the request.
        forget: int64 [n], events of F.
        unseen: int64 [m], events that no model was trained on, beside those held out; maybe none.
    """
    part = part.copy()
    part[forget], part[unseen] = Part.FORGET, Part.UNSEEN
    affected, others = (np.unique(data.user[events]).astype(np.int32) for events in (forget, unseen))
    touched = np.union1d(affected, others)
    return Split(
        kind=kind,
        part=part,
        forget_users=affected,
        # Where interactions are forgotten, these are the users whose test items are the view `affected`.
        unseen_users=others if kind == "users" else touched.astype(np.int32),
        retained_users=np.setdiff1d(np.unique(data.user[part == Part.RETAINED]), touched).astype(np.int32),
        exchangeable=False,
        notes={
            "affected users": len(affected),
            "forgotten interactions": len(forget),
            "never-trained interactions": len(unseen),
        },
    )
