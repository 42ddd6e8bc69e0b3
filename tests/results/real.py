"""Real results to read, few enough to be read often."""

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.conftest import ROOT

WHOLE = ROOT / "leaderboards" / "ml-100k" / "accepted"
"""Real results: three seeds, 22 rows that compete, 743 retained users."""

ROWS = ("do_nothing", "retrain", "finetune", "dual_memory (published)", "control", "recheck", "popularity")
"""Enough of them for what is asked here."""


@cache
def old_folder() -> Path:
    """Those rows alone; never changed."""
    place = Path(tempfile.mkdtemp()) / "accepted"
    atexit.register(shutil.rmtree, place.parent)
    (place / "records").mkdir(parents=True)
    cells = set()
    for file in (WHOLE / "records").glob("*-s?.json"):
        identity = json.loads(file.read_text())["identity"]
        if identity["label"] in ROWS:
            cells.add(identity["cell"])
            for end in (".json", ".run.json"):
                shutil.copy(file.with_suffix(end), place / "records")
    for name in ("per_user.parquet", "bootstrap.parquet"):
        table = pq.read_table(WHOLE / name)
        of = pc.cast(table["cell"], pa.string())
        pq.write_table(table.filter(pc.is_in(of, pa.array(sorted(cells)))), place / name)
    content = json.loads((WHOLE / "board.json").read_text())
    (place / "board.json").write_text(json.dumps({**content, "labels": [r for r in content["labels"] if r in ROWS]}))
    return place
