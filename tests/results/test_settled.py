"""Who reads a results folder waits for the run that writes it."""

import threading
from pathlib import Path

import pytest

from vestige.results.collect import results_lock, settled


def test_a_reader_waits_for_the_writer_and_a_writer_for_the_reader(tmp_path: Path) -> None:
    for first, second in ((results_lock, settled), (settled, results_lock)):
        (tmp_path / ".lock").touch()
        came = threading.Event()

        def follow(lock=second, came=came) -> None:  # type: ignore[no-untyped-def]
            with lock(tmp_path):
                came.set()

        with first(tmp_path):
            other = threading.Thread(target=follow)
            other.start()
            assert not came.wait(0.3)
        assert came.wait(10)
        other.join()


def test_where_no_run_ever_wrote_nothing_is_made(tmp_path: Path) -> None:
    with settled(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
    with settled(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()


def test_a_lock_ends_with_an_error(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    for lock in (results_lock, settled, results_lock):
        with pytest.raises(ZeroDivisionError), lock(tmp_path):
            raise ZeroDivisionError
