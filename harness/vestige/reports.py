"""What long work shows: bars on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vestige.api import RunReport
from vestige.console import console
from vestige.pipeline.jobs import Job, Outcome


@contextlib.contextmanager
def report() -> Iterator[RunReport]:
    """A report for this output."""
    if not console().is_terminal:
        yield Lines()
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=console(),
        transient=True,
    )
    with bar:
        yield Bars(bar)


class Lines(RunReport):
    """One line for each job that ends, and for long ones one now and then."""

    EVERY_SECONDS = 30.0

    def __init__(self) -> None:
        self._total, self._done = 0, 0
        self._spoke: dict[tuple[str, str], float] = {}

    def planned(self, jobs: Sequence[Job]) -> None:
        """Says how much there is to do; of jobs that follow others, how much there is more."""
        self._total += len(jobs)
        more = " more" if self._total > len(jobs) else ""
        self._say(f"{len(jobs)}{more} jobs to run." if jobs else "Everything is stored; nothing to run.")

    def started(self, job: Job) -> None:
        """Starts the job's clock."""
        self._spoke[job.id] = time.monotonic()

    def progressed(self, job: Job, share: float, text: str) -> None:
        """Says so every half minute."""
        now = time.monotonic()
        if now - self._spoke.get(job.id, now) >= self.EVERY_SECONDS:
            self._spoke[job.id] = now
            self._say(f"  {job.label}: {100 * share:.0f} % {text}")

    def finished(self, job: Job, outcome: Outcome) -> None:
        """One line."""
        self._done += 1
        self._say(f"[{self._done}/{self._total}] {job.label}: {_ended(outcome)}")

    def said(self, text: str) -> None:
        """One line."""
        self._say(text)

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bars(RunReport):
    """A bar for the board and one for each running job."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._all: TaskID | None = None
        self._planned = 0
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def planned(self, jobs: Sequence[Job]) -> None:
        """Shows the whole, which jobs that follow others make longer."""
        self._planned += len(jobs)
        if self._all is None:
            self._all = self._bar.add_task("board", total=max(len(jobs), 1), completed=0 if jobs else 1, note="")
        else:
            self._bar.update(self._all, total=max(self._planned, 1))

    def started(self, job: Job) -> None:
        """Shows the job."""
        self._tasks[job.id] = self._bar.add_task(job.label, total=1.0, note="")

    def progressed(self, job: Job, share: float, text: str) -> None:
        """Moves the job's bar."""
        if job.id in self._tasks:
            self._bar.update(self._tasks[job.id], completed=share, note=text)

    def finished(self, job: Job, outcome: Outcome) -> None:
        """Takes the job's bar away; a failure stays on the screen."""
        if job.id in self._tasks:
            self._bar.remove_task(self._tasks.pop(job.id))
        if self._all is not None:
            self._bar.advance(self._all)
        if outcome.status != "ok":
            self.said(f"{job.label}: {_ended(outcome)}")

    def said(self, text: str) -> None:
        """Prints above the bars."""
        self._bar.console.print(text, markup=False, highlight=False)


def _ended(outcome: Outcome) -> str:
    if outcome.status != "ok":
        return f"{outcome.status}: {outcome.message}"
    return f"done in {outcome.seconds:.1f} s" if outcome.made else "made by another process"
