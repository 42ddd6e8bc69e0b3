"""What a board plans, and what it spares."""

from pathlib import Path

import pytest

from tests.conftest import TINY
from vestige import api


@pytest.mark.parametrize(("size", "shadows"), [("count = 8", 4), ('file = "users.txt"', 0)])
def test_shadows_are_trained_where_f_was_drawn(tmp_path: Path, size: str, shadows: int) -> None:
    """Of a list they would tell nothing, and cost as much; where its T is smaller they could not even be made."""
    (tmp_path / "users.txt").write_text("".join(f"{user}\n" for user in range(8)))
    text = TINY.replace("count = 8", size) + "\n[shadows]\ncount = 4\n"
    (tmp_path / "board.toml").write_text(text)
    jobs = api.make_plan(str(tmp_path), fetch=False).plan.jobs
    assert sum(job.label.startswith("train shadow") for job in jobs) == shadows
