"""What the executor on this machine says before it begins."""

import re

import pytest

from vestige.pipeline.jobs import ExecutorSettings
from vestige.pipeline.local import crowded


@pytest.mark.parametrize(
    ("workers", "threads", "jobs", "processors", "better"),
    [(2, 2, 9, 2, 1), (2, 1, 9, 1, 1), (9, 1, 3, 2, 2), (4, 2, 9, 7, 3), (2, 8, 9, 4, 1)],
)
def test_more_threads_than_processors_are_said_with_what_would_fit(
    workers: int, threads: int, jobs: int, processors: int, better: int
) -> None:
    said = crowded(ExecutorSettings("store", workers, threads, None, None), jobs, processors)
    assert re.search(rf"--workers {better} suits", said)
    assert not crowded(ExecutorSettings("store", better, threads, None, None), jobs, processors)


@pytest.mark.parametrize(
    ("workers", "threads", "jobs", "processors"),
    [(1, 8, 9, 2), (2, 1, 9, 2), (8, 2, 1, 2), (8, 2, 0, 2), (3, 2, 9, 6)],
)
def test_what_fits_or_never_runs_at_once_is_no_crowd(workers: int, threads: int, jobs: int, processors: int) -> None:
    assert not crowded(ExecutorSettings("store", workers, threads, None, None), jobs, processors)
