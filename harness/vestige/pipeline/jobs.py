"""A job is one artifact to be made; an executor is where jobs run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Status = Literal["ok", "method_error", "oom", "timeout", "role_error", "attack_error", "measure_error"]


@dataclass(frozen=True)
class Job:
    """One artifact to be made.

    Attributes:
        stage: `train`, `unlearn`, `score`, `attack` or `measure`.
        key: Of the artifact: the hash of the payload.
        label: For people.
        payload: All that the artifact depends on, as JSON; who runs it needs nothing else but the store.
        needs: The (stage, key) pairs that must be in the store first.
    """

    stage: str
    key: str
    label: str
    payload: Mapping[str, Any]
    needs: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> tuple[str, str]:
        """(stage, key)."""
        return self.stage, self.key


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: `ok`, or what went wrong.
        message: One line.
        detail: The traceback, if there is one.
        made: Whether the artifact was made now, and not found.
        seconds: Of wall time, waiting for other processes not counted.
        killed: Whether a signal ended its process, as when the system's memory runs out, so that the next try may well
            end otherwise; not where it broke a stated limit.
    """

    status: Status
    message: str = ""
    detail: str = ""
    made: bool = False
    seconds: float = 0.0
    killed: bool = False


class Report(Protocol):
    """Told what happens to jobs."""

    def started(self, job: Job) -> None:
        """A worker has begun."""
        ...

    def progressed(self, job: Job, share: float, text: str) -> None:
        """`share` in [0, 1] is done."""
        ...

    def finished(self, job: Job, outcome: Outcome) -> None:
        """The job has ended, or was given up because something it needs failed."""
        ...

    def said(self, text: str) -> None:
        """Something a person should know."""
        ...


class Executor(Protocol):
    """Where jobs run."""

    def execute(self, jobs: Sequence[Job], report: Report) -> Mapping[tuple[str, str], Outcome]:
        """Runs all jobs, each after those it needs; a failed one fails those that need it, and no others.

        Args:
            jobs: In an order in which each stands after what it needs; needs that are not among them are in the store.
            report: Told what happens.
        """
        ...


@dataclass(frozen=True)
class ExecutorSettings:
    """What every executor is made from.

    Attributes:
        store_root: The folder of the store.
        workers: Jobs that run at once.
        threads: Of each job; part of every key, since it changes results.
        seconds, memory_mib: Limits of one method, or None.
    """

    store_root: str
    workers: int
    threads: int
    seconds: float | None = None
    memory_mib: int | None = None


ExecutorFactory = Callable[[ExecutorSettings], Executor]
