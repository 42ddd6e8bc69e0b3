"""Dataset `interactions`: any file of a known form."""

from collections.abc import Mapping
from pathlib import Path

from vestige.data.interactions import Interactions
from vestige.progress import Progress
from vestige_datasets import readers
from vestige_datasets.configs import InteractionsConfig


class InteractionsFile:
    """Reads `config.path`; nothing is fetched."""

    def __init__(self, config: InteractionsConfig, cache: Path) -> None:
        self.config = config
        self.path = Path(config.path).expanduser()

    def fingerprint(self) -> Mapping[str, str]:
        """The checksum of the file."""
        file = readers.source_file(self.path)
        return {"sha256": readers.sha256(file), "file": file.name}

    def is_local(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def fetch(self, progress: Progress) -> None:
        """Raises `InputError` where the file is missing."""
        readers.source_file(self.path)

    def load(self) -> Interactions:
        """The file's interactions."""
        return readers.read(self.path, self.config.format, self.config.core, self.config.min_rating)
