"""The contract of a dataset."""

from collections.abc import Mapping
from typing import Protocol

from vestige.data.interactions import Interactions
from vestige.progress import Progress


class Dataset(Protocol):
    """Made by its plugin's factory from a config and the folder `<cache>/datasets/<name>`."""

    def fingerprint(self) -> Mapping[str, str]:
        """What identifies the source (checksums, not paths): equal fingerprints mean equal interactions.

        Raises:
            InputError: The source is not there and cannot be fetched.
        """
        ...

    def is_local(self) -> bool:
        """Whether `load` would work without fetching."""
        ...

    def fetch(self, progress: Progress) -> None:
        """Makes the source local and verifies it; does nothing where it is."""
        ...

    def load(self) -> Interactions:
        """Reads the source.

        Raises:
            InputError: The source is malformed; names the file and the line.
        """
        ...
