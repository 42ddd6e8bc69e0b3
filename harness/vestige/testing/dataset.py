"""What a dataset must keep to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vestige.configs import Config
from vestige.data.interactions import MIN_EVENTS, Interactions
from vestige.pipeline.store import cache_root
from vestige.progress import silent
from vestige.specs import DatasetSpec
from vestige.testing.check import Check, Once, require

COLUMNS = {"user": np.int32, "item": np.int32, "rating": np.float32, "timestamp": np.int64}
BUILD = "make the Interactions with vestige.data.interactions.from_columns, which sees to it"


class DatasetChecks:
    """The checks of one dataset; where its source is not on this machine, it is fetched."""

    def __init__(self, spec: DatasetSpec, config: Config) -> None:
        self._spec, self._config = spec, config
        self._first = Once("loading", self._load)

    def all(self) -> list[Check]:
        """The checks, in the order in which they are best mended."""
        return [
            Check("is here once it is fetched", self._fetches),
            Check("loads interactions", self._loads),
            Check("is sorted by user and time", self._sorted),
            Check("names every user and item once", self._names),
            Check("loads twice to the same content", self._twice),
            Check("says what identifies its source", self._fingerprint),
        ]

    def _fetches(self) -> None:
        dataset = self._new()
        dataset.fetch(silent)
        require(dataset.is_local(), "after `fetch`, `is_local` is False", "say True once `load` needs no network")
        dataset.fetch(silent)

    def _loads(self) -> None:
        data = self._first()
        require(
            isinstance(data, Interactions), f"`load` returned a {type(data).__name__}", "return vestige's Interactions"
        )
        for name, dtype in COLUMNS.items():
            column = getattr(data, name)
            require(
                column.dtype == dtype and column.shape == (len(data),),
                f"its column {name!r} is {column.dtype} of shape {column.shape}",
                BUILD,
            )
        require(np.isfinite(data.rating).all(), "a rating is not finite", "leave such rows out, or give them a number")
        fewest = int(np.bincount(data.user, minlength=data.n_users).min(initial=MIN_EVENTS))
        require(fewest >= MIN_EVENTS, f"a user has {fewest} interactions, of {MIN_EVENTS} that are needed", BUILD)

    def _sorted(self) -> None:
        data = self._first()
        order = np.lexsort((np.arange(len(data)), data.timestamp, data.user))
        require(
            np.array_equal(order, np.arange(len(data))),
            "its rows are not in the order of users, then timestamps",
            BUILD,
        )

    def _names(self) -> None:
        data = self._first()
        for what, ids, column in (("user", data.user_ids, data.user), ("item", data.item_ids, data.item)):
            require(len(set(ids.tolist())) == len(ids), f"two {what}s have the same id", BUILD)
            require(
                np.array_equal(np.unique(column), np.arange(len(ids))),
                f"its {what}s are not numbered from 0, or some have no interaction",
                BUILD,
            )

    def _twice(self) -> None:
        require(
            self._load().content_hash == self._first().content_hash,
            "a second `load` gave other interactions",
            "depend on the source and the settings alone; draw random numbers from a seed among the settings",
        )

    def _fingerprint(self) -> None:
        one, other = self._new().fingerprint(), self._new().fingerprint()
        require(
            isinstance(one, Mapping) and all(isinstance(v, str) for pair in one.items() for v in pair),
            f"its fingerprint is {one!r}",
            "return text by name, such as a checksum; empty where the settings say it all",
        )
        require(dict(one) == dict(other), "its fingerprint differs from call to call", "name what is in the source")
        paths = [value for value in one.values() if Path(value).is_absolute()]
        require(not paths, f"its fingerprint holds the path {paths[:1]}", "a checksum says what is in a file, wherever")

    def _new(self) -> Any:
        return self._spec.load()(self._config, cache_root() / "datasets" / self._spec.name)

    def _load(self) -> Interactions:
        dataset = self._new()
        if not dataset.is_local():
            dataset.fetch(silent)
        data: Interactions = dataset.load()
        return data
