"""Accepted results as they were at a commit: `REVISION:BOARD`."""

import io
import subprocess
import tarfile
from pathlib import Path

from vestige.errors import InputError


def accepted_at(name: str, into: Path) -> Path | None:
    """Extracts the accepted results that `REVISION:BOARD` names, from the repository around the working folder.

    Args:
        name: The board as a folder in the repository, or the name of one under `leaderboards/`.
        into: An empty folder.

    Returns:
        `accepted/` under `into`; None where `name` has no colon, so that it is no such name.

    Raises:
        InputError: There is no repository, no such revision, or it has no accepted results of the board.
    """
    revision, colon, board = name.partition(":")
    if not colon or Path(name).exists():
        return None
    if revision.startswith("-") or not revision or not board:
        raise InputError(f"{name}: REVISION:BOARD is needed, such as HEAD~1:ml-100k.")
    try:
        top = _git("rev-parse", "--show-toplevel").decode().strip()
        _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except FileNotFoundError:
        raise InputError(f"{name}: git is not installed, so no commit can be read.") from None
    except subprocess.CalledProcessError:
        raise InputError(f"{name}: there is no git repository here, or it has no revision {revision!r}.") from None
    for place in (board.strip("/"), f"leaderboards/{board.strip('/')}"):
        try:
            archive = _git("-C", top, "archive", "--format=tar", revision, f"{place}/accepted")
        except subprocess.CalledProcessError:
            continue
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(into, filter="data")
        return into / place / "accepted"
    raise InputError(f"{name}: the revision has no accepted results of {board!r}.")


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], check=True, capture_output=True).stdout
