"""Makes fresh results the accepted ones."""

import shutil
from pathlib import Path

from vestige.errors import InputError
from vestige.pipeline.store import write_atomically
from vestige.results.records import read_records

TABLES = ("leaderboard.md", "leaderboard.csv")
VALUES = ("results.csv", "per_user.parquet", "board.json")
MAX_BYTES = 2 * 2**20


def accept(fresh: Path, board_folder: Path) -> list[Path]:
    """Copies records and values into `accepted/` and the tables beside it; returns what was written.

    Nothing of the old results is lost before the new ones are complete.

    Raises:
        InputError: There are no fresh results, a cell failed, or they are larger than what may be committed.
    """
    finished = read_records(fresh)
    failed = [f.record.identity.cell for f in finished if not f.record.ok]
    if failed:
        raise InputError(f"{fresh}: these cells failed, so the results cannot be accepted: {', '.join(failed)}.")
    files = [*sorted((fresh / "records").glob("*.json")), *(fresh / name for name in VALUES)]
    missing = [file.name for file in [*files, *(fresh / name for name in TABLES)] if not file.exists()]
    if missing:
        raise InputError(f"{fresh}: {', '.join(missing)} is missing; run the board again.")
    size = sum(file.stat().st_size for file in files)
    if size > MAX_BYTES:
        raise InputError(f"{fresh}: the results take {size / 2**20:.1f} MiB; at most 2 MiB are accepted for a board.")
    target = board_folder / "accepted"
    for file in files:
        write_atomically(target / file.relative_to(fresh), file.read_bytes())
    kept = {target / file.relative_to(fresh) for file in files}
    for old in target.rglob("*"):
        if old.is_file() and old not in kept:
            old.unlink()
    for name in TABLES:
        write_atomically(board_folder / name, (fresh / name).read_bytes())
    for folder in target.rglob("*"):
        if folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder)
    return [*sorted(kept), *(board_folder / name for name in TABLES)]
