"""The content-addressed store: what was made once is never made again, and what is half made is never seen.

An artifact is a folder `<root>/<stage>/<key>` with a `manifest.json` that names the checksum of every file. It is
written under a temporary name, synced and renamed, under one lock a key, so that two processes never make the same
thing twice and a killed one leaves nothing behind that could be mistaken for a result.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import platformdirs
from safetensors import SafetensorError

from vestige.errors import StoreError

MANIFEST = "manifest.json"
UNFINISHED = "unfinished"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
Meta = dict[str, Any]


def cache_root() -> Path:
    """`$VESTIGE_CACHE`, or the user's cache folder for vestige."""
    return Path(os.environ.get("VESTIGE_CACHE") or platformdirs.user_cache_dir("vestige"))


@dataclass(frozen=True)
class Artifact:
    """A complete folder in the store.

    Attributes:
        meta: What its maker said about it.
        bytes: Of its files.
    """

    stage: str
    key: str
    folder: Path
    meta: Mapping[str, Any]
    bytes: int


class Store:
    """Artifacts by stage and key.

    Args:
        root: The folder; made where it is missing.
        say: Told, in a sentence, when a damaged artifact was found and removed.
    """

    def __init__(self, root: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.root = root
        self._say = say

    def folder(self, stage: str, key: str) -> Path:
        """Where an artifact lies, or would."""
        return self.root / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether a complete artifact is there, by its manifest alone."""
        return (self.folder(stage, key) / MANIFEST).exists()

    def get(self, stage: str, key: str) -> Artifact | None:
        """The artifact if it is there and whole; a damaged one is removed, which is said, and counts as missing."""
        found = self._read(stage, key)
        if isinstance(found, Artifact) or found is None:
            return found
        with self.lock(stage, key):
            return self._whole(stage, key)

    def require(self, stage: str, key: str) -> Artifact:
        """The artifact.

        Raises:
            StoreError: It is not there, or was damaged.
        """
        artifact = self.get(stage, key)
        if artifact is None:
            raise StoreError(f"{self.folder(stage, key)}: it is gone from the store; run the board again.")
        return artifact

    def make(self, stage: str, key: str, fill: Callable[[Path], Meta]) -> tuple[Artifact, bool]:
        """The artifact, made by `fill(folder) → meta` if it is not there; and whether it was made now.

        Raises:
            StoreError: The store cannot be written.
        """
        found = self.get(stage, key)
        if found:
            return found, False
        with self.lock(stage, key):
            found = self._whole(stage, key)  # another process may have made it while we waited
            if found:
                return found, False
            with _guarded(self.root):
                partial = self._aside(stage, key)
            try:
                meta = self._filled(fill, partial)
                _seal(partial, meta, self.root)
                with _guarded(self.root):
                    target = self.folder(stage, key)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._discard(stage, key)
                    partial.rename(target)
                    _sync(target.parent)
                shutil.rmtree(self.unfinished(stage, key), ignore_errors=True)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            made = self._whole(stage, key)
        if made is None:
            raise StoreError(f"{self.folder(stage, key)}: what was just written cannot be read back.")
        return made, True

    def _filled(self, fill: Callable[[Path], Meta], folder: Path) -> Meta:
        try:
            return fill(folder)
        except (OSError, SafetensorError) as error:
            if not self.no_room(error):
                raise
            raise _refused(self.root, error) from error

    def no_room(self, error: Exception) -> bool:
        """Whether an error says that nothing more can be written here; one that names a file elsewhere does not."""
        if _number(error) not in NO_ROOM:
            return False
        named = getattr(error, "filename", None)
        return not isinstance(named, str) or Path(named).absolute().is_relative_to(self.root.absolute())

    def _read(self, stage: str, key: str) -> "Artifact | str | None":
        """The artifact, what is wrong with it, or None where there is none."""
        folder = self.folder(stage, key)
        if not folder.exists():
            return None
        fault = self._fault(folder)
        if fault:
            return fault
        manifest = json.loads((folder / MANIFEST).read_bytes())
        size = sum((folder / name).stat().st_size for name in manifest["files"])
        return Artifact(stage, key, folder, manifest["meta"], size)

    def _whole(self, stage: str, key: str) -> Artifact | None:
        """As `get`, for who holds the lock."""
        found = self._read(stage, key)
        if isinstance(found, str):
            self._say(f"the stored {stage} {key[:12]} is damaged ({found}); it is made again.")
            with _guarded(self.folder(stage, key)):
                self._discard(stage, key)
            return None
        return found

    def _aside(self, stage: str, key: str) -> Path:
        """A new folder that `sweep` finds if we are killed."""
        (self.root / "tmp").mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{stage}-{key}.", dir=self.root / "tmp"))

    def _discard(self, stage: str, key: str) -> None:
        """Takes whatever lies in an artifact's place away, in one step, and then deletes it."""
        folder = self.folder(stage, key)
        if folder.exists():
            aside = self._aside(stage, key)
            folder.rename(aside / "old")
            shutil.rmtree(aside, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, stage: str, key: str) -> Iterator[None]:
        """One holder a key over all processes; released by the system when a holder is killed."""
        with _guarded(self.root):
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / "locks" / f"{stage}-{key}.lock")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def unfinished(self, stage: str, key: str) -> Path:
        """The folder of a maker who can go on from where it was stopped; it survives `sweep`, and need not exist."""
        return self.root / UNFINISHED / f"{stage}-{key}"

    def give_up(self, before: float) -> None:
        """Removes what makers left unfinished that nobody works on, or has since `before` (seconds since the epoch)."""
        for folder in (self.root / UNFINISHED).glob("*"):
            lock = filelock.FileLock(self.root / "locks" / f"{folder.name}.lock")
            # Its maker may have ended, and removed it, since it was listed.
            with contextlib.suppress(filelock.Timeout, FileNotFoundError), lock.acquire(timeout=0):
                if folder.stat().st_mtime < before:
                    shutil.rmtree(folder, ignore_errors=True)

    def artifacts(self) -> list[Artifact]:
        """Everything complete in the store, not read and not verified: `meta` is empty."""
        out = []
        for manifest in sorted(self.root.glob(f"*/*/{MANIFEST}")):
            folder = manifest.parent
            if folder.parent.name == "tmp":
                continue
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            out.append(Artifact(folder.parent.name, folder.name, folder, {}, size))
        return out

    def remove(self, artifact: Artifact) -> None:
        """Deletes an artifact, under its lock."""
        with self.lock(artifact.stage, artifact.key), _guarded(self.root):
            self._discard(artifact.stage, artifact.key)

    def sweep(self) -> int:
        """Removes what killed processes left half made, and returns how many; what somebody works on is locked."""
        swept = 0
        for partial in (self.root / "tmp").glob("*"):
            lock = filelock.FileLock(self.root / "locks" / f"{partial.name.partition('.')[0]}.lock")
            try:
                with lock.acquire(timeout=0):
                    shutil.rmtree(partial, ignore_errors=True)
                    swept += 1
            except filelock.Timeout:
                continue
        return swept

    def _fault(self, folder: Path) -> str:
        try:
            files = json.loads((folder / MANIFEST).read_bytes())["files"]
            for name, checksum in files.items():
                if _sha256(folder / name) != checksum:
                    return f"the checksum of {name} is wrong"
        except FileNotFoundError as error:
            return f"{Path(error.filename).name} is missing"
        except (ValueError, KeyError, TypeError):
            return "it cannot be read"
        except OSError as error:  # that a disk does not answer says nothing of what lies on it
            raise StoreError(f"{folder}: cannot be read ({error.strerror or error}).") from error
        return ""


def write_atomically(file: Path, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part."""
    if not file.name:
        raise StoreError(f"{file}: cannot be written (this is a folder; a file is needed).")
    with _guarded(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


def check_writable(file: Path) -> None:
    """Finds whether `write_atomically` could write a file, before the work whose result it is to hold.

    Raises:
        StoreError: It could not.
    """
    if not file.name or file.is_dir():
        raise StoreError(f"{file}: cannot be written (this is a folder; a file is needed).")
    above = next(folder for folder in file.absolute().parents if folder.exists())
    with _guarded(file), tempfile.TemporaryFile(dir=above):
        pass


@contextlib.contextmanager
def _guarded(place: Path) -> Iterator[None]:
    """Turns the system's refusals into a sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _refused(place, error) from error


def _refused(place: Path, error: Exception) -> StoreError:
    return StoreError(f"{place}: cannot be written ({getattr(error, 'strerror', None) or error}).")


def _number(error: Exception) -> int | None:
    """The system's number of an error; safetensors says it in words."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error ([0-9]+)", str(error)) if isinstance(error, SafetensorError) else None
    return int(found[1]) if found else None


def _seal(folder: Path, meta: Meta, root: Path) -> None:
    path = folder / MANIFEST
    if path.exists():
        raise ValueError(
            f"a plugin saved a file called {MANIFEST}, which is the store's own; it must choose another name."
        )
    with _guarded(root):
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        for file in files:
            _sync(file)
        manifest = {"files": {str(f.relative_to(folder)): _sha256(f) for f in files}, "meta": meta}
        path.write_text(json.dumps(manifest, indent=1, sort_keys=True))
        _sync(path)
        _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
