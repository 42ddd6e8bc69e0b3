"""What a board plans, and what it spares."""

from pathlib import Path

import pytest

from tests.conftest import TINY
from vestige import api, plugins
from vestige.errors import InputError
from vestige.pipeline import board as boards
from vestige.pipeline.inputs import prepare
from vestige.pipeline.store import Store


@pytest.mark.parametrize(("size", "shadows"), [("count = 8", 4), ('file = "users.txt"', 0)])
def test_shadows_are_trained_where_f_was_drawn(tmp_path: Path, size: str, shadows: int) -> None:
    """Of a list they would tell nothing, and cost as much; where its T is smaller they could not even be made."""
    (tmp_path / "users.txt").write_text("".join(f"{user}\n" for user in range(8)))
    text = TINY.replace("count = 8", size) + "\n[shadows]\ncount = 4\n"
    (tmp_path / "board.toml").write_text(text)
    jobs = api.make_plan(str(tmp_path), fetch=False).plan.jobs
    assert sum(job.label.startswith("train shadow") for job in jobs) == shadows


def test_whether_a_source_says_when_does_not_hang_on_what_was_stored_before(board: Path, tmp_path: Path) -> None:
    """The same rows, once in the order of their times and once with these times."""
    rows = [(user, item) for user in range(40) for item in range(user % 7, user % 7 + 8)]
    (tmp_path / "untimed.inter").write_text("".join(f"{u}\t{i}\n" for u, i in rows))
    timed = "".join(f"{u}\t{i}\t{time}\n" for time, (u, i) in enumerate(rows))
    head = "user_id:token\titem_id:token"
    (tmp_path / "untimed.inter").write_text(f"{head}\n" + (tmp_path / "untimed.inter").read_text())
    (tmp_path / "timed.inter").write_text(f"{head}\ttimestamp:float\n" + timed)
    text = (board / "board.toml").read_text()
    names = text[text.index("[dataset]") : text.index("[request]")]
    found = {}
    for kind in ("untimed", "timed"):
        for rule in ("last", "temporal"):
            folder = tmp_path / f"{kind}-{rule}"
            folder.mkdir()
            own = f'[dataset]\nname = "interactions"\npath = "../{kind}.inter"\n\n[holdout]\nrule = "{rule}"\n\n'
            (folder / "board.toml").write_text(text.replace(names, own))
            found[kind, rule] = boards.load(str(folder), plugins.load())
    for first, then in (("untimed", "timed"), ("timed", "untimed")):
        store = Store(tmp_path / f"{first} first")
        prepare(found[first, "last"], store)
        for kind in (first, then):
            if kind == "timed":
                prepare(found[kind, "temporal"], store)
            else:
                with pytest.raises(InputError, match=r"untimed\.inter has none"):
                    prepare(found[kind, "temporal"], store)


def test_which_gpu_computes_is_for_whoever_runs_a_job_and_not_in_its_key(board: Path) -> None:
    def planned(device: str) -> dict[str, str]:
        (board / "board.toml").write_text(TINY.replace("threads = 1", f'threads = 1\ndevice = "{device}"'))
        jobs = api.make_plan(str(board), fetch=False).plan.jobs
        assert {job.payload["device"] for job in jobs} == {device}
        return {job.label: job.key for job in jobs}

    keys = {device: planned(device) for device in ("cpu", "cuda", "cuda:0", "cuda:1")}
    assert keys["cuda"] == keys["cuda:0"] == keys["cuda:1"]
    assert not set(keys["cpu"].values()) & set(keys["cuda"].values())
