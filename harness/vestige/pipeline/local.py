"""The executor that comes with Vestige: long-lived worker processes on this machine."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psutil

from vestige.errors import InputError, StoreError, VestigeError
from vestige.pipeline.jobs import ExecutorSettings, Job, Outcome, Report, Status
from vestige.quiet import QUIET

POLL_SECONDS = 0.2
START_SECONDS = 300.0
ERROR_OF: Mapping[str, Status] = {
    "train": "role_error",
    "unlearn": "method_error",
    "score": "method_error",
    "attack": "attack_error",
    "measure": "measure_error",
}

LIMITED = ("unlearn", "score", "attack")
"""Stages that a board's limits hold for; and the training of a base that a method brings."""


class LocalExecutor:
    """Runs jobs in `settings.workers` processes; one that is killed or overruns its limits is replaced."""

    def __init__(self, settings: ExecutorSettings) -> None:
        if settings.workers < 1:
            raise InputError(f"workers: at least 1 is needed, not {settings.workers}.")
        self._settings = settings
        self._warned = False

    def execute(self, jobs: Sequence[Job], report: Report) -> Mapping[tuple[str, str], Outcome]:
        """See `vestige.pipeline.jobs.Executor`.

        Raises:
            StoreError: The store cannot be written; running on would lose everything.
        """
        if not self._warned and (text := crowded(self._settings, len(jobs), os.cpu_count() or 1)):
            self._warned = True
            report.said(text)
        waiting = {job.id: job for job in jobs}
        outcomes: dict[tuple[str, str], Outcome] = {}
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.job for worker in workers):
                self._give_up_blocked(waiting, outcomes, report)
                self._assign(waiting, workers, outcomes)
                for worker in list(workers):
                    outcome = worker.poll(report)
                    if outcome is None:
                        continue
                    assert worker.job is not None
                    job, worker.job = worker.job, None
                    outcomes[job.id] = outcome
                    report.finished(job, outcome)
                    if not worker.alive:
                        workers.remove(worker)
        finally:
            for worker in workers:
                worker.stop()
        return outcomes

    def _give_up_blocked(
        self, waiting: dict[tuple[str, str], Job], outcomes: dict[tuple[str, str], Outcome], report: Report
    ) -> None:
        for job in list(waiting.values()):
            failed = next((outcomes[n] for n in job.needs if n in outcomes and outcomes[n].status != "ok"), None)
            if failed:
                del waiting[job.id]
                outcomes[job.id] = Outcome(failed.status, failed.message, failed.detail, killed=failed.killed)
                report.finished(job, outcomes[job.id])

    def _assign(
        self,
        waiting: dict[tuple[str, str], Job],
        workers: list["_Worker"],
        outcomes: Mapping[tuple[str, str], Outcome],
    ) -> None:
        ready = [job for job in waiting.values() if not any(need in waiting for need in job.needs)]
        running = {need for worker in workers if worker.job for need in [worker.job.id]}
        ready = [job for job in ready if not any(need in running for need in job.needs)]
        for worker in [w for w in workers if w.job is None and w.dead]:
            worker.stop()  # it died while it had nothing to do, so no job is to blame
            workers.remove(worker)
        for job in ready:
            idle = next((worker for worker in workers if worker.job is None), None)
            if idle is None:
                if len(workers) >= self._settings.workers:
                    return
                idle = _Worker(self._settings)
                workers.append(idle)
            del waiting[job.id]
            idle.begin(job)


def crowded(settings: ExecutorSettings, jobs: int, processors: int) -> str:
    """What to say where more threads would compute than there are processors for; else nothing."""
    workers, threads = min(settings.workers, jobs), settings.threads
    if workers == 1 or workers * threads <= processors:
        return ""
    return (
        f"{workers} workers of {threads} {'thread' if threads == 1 else 'threads'} each wait for each other on "
        f"{processors} {'processor' if processors == 1 else 'processors'}, which can take many times longer; "
        f"--workers {max(processors // threads, 1)} suits this board."
    )


@dataclass
class _Clock:
    """When a job began to run (not to wait for another process), on the monotonic clock."""

    running_since: float | None = None


class _Worker:
    """One process and the job it is on."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self.job: Job | None = None
        self.alive = True
        self._clock = _Clock()
        self._started = time.monotonic()
        self._ready = False
        threads = str(settings.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        # Text hashes alike in every process: in which order a set of names is read is no matter of luck.
        environment |= {**QUIET, "TOKENIZERS_PARALLELISM": "false", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            # -P: the folder the command was started in is no place to import from; one called `datasets` would
            # make transformers believe that Hugging Face `datasets` is installed.
            [sys.executable, "-P", "-m", "vestige.pipeline.worker", settings.store_root, threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C is the parent's to answer; workers end when it does.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._buffer = b""

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def begin(self, job: Job) -> None:
        """Hands the job over."""
        self.job = job
        self._clock = _Clock()
        line = json.dumps({"stage": job.stage, "key": job.key, "payload": job.payload}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has died; `poll` finds out how

    def poll(self, report: Report) -> Outcome | None:
        """Waits a moment for news; the outcome once the job has ended."""
        if self.job is None:
            return None
        self._selector.select(POLL_SECONDS)
        assert self._process.stdout is not None
        closed = False
        while (chunk := self._read()) is not None:
            if chunk == b"":
                closed = True
                break
            self._buffer += chunk
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            outcome = self._hear(json.loads(line), report)
            if outcome:
                return outcome
        if closed or self._process.poll() is not None:
            return self._died()
        return self._limits()

    def stop(self) -> None:
        """Ends the process."""
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with the child that runs the job
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> bytes | None:
        assert self._process.stdout is not None
        return cast(bytes | None, self._process.stdout.read(65536))

    def _hear(self, message: dict[str, Any], report: Report) -> Outcome | None:
        assert self.job is not None
        event = message["event"]
        if event == "ready":
            self._ready = True
        elif event == "running":
            self._clock.running_since = time.monotonic()
            report.started(self.job)
        elif event == "progress":
            report.progressed(self.job, message["share"], message["text"])
        elif event == "said":
            report.said(message["text"])
        elif event == "done":
            status = message["status"]
            if status == "store":
                raise StoreError(message["message"])
            if status == "error":
                status = _error_of(self.job)
            return Outcome(
                status,
                message.get("message", ""),
                message.get("detail", ""),
                message["made"],
                message["seconds"],
                message.get("killed", False),
            )
        return None

    def _died(self) -> Outcome:
        assert self.job is not None
        code = self._process.wait()
        if not self._ready:
            self.stop()
            raise VestigeError(f"a worker process ended while it started (exit code {code}); see the messages above.")
        ran = self._seconds()
        self.stop()
        if code == -9:
            return Outcome(
                "oom",
                "the system killed the worker process (signal 9), as it does when memory runs out",
                seconds=ran,
                killed=True,
            )
        return Outcome(_error_of(self.job), f"the worker process ended with code {code}", seconds=ran, killed=code < 0)

    def _limits(self) -> Outcome | None:
        assert self.job is not None
        if not self._ready and time.monotonic() - self._started > START_SECONDS:
            self.stop()
            raise VestigeError(f"a worker process did not start within {START_SECONDS:.0f} s.")
        if not (self.job.stage in LIMITED or _of_method(self.job)) or self._clock.running_since is None:
            return None
        seconds, mib = self._settings.seconds, self._settings.memory_mib
        ran = self._seconds()
        if seconds is not None and ran > seconds:
            self.stop()
            return Outcome("timeout", f"it ran longer than the {seconds:g} s it was given", "", False, ran)
        if mib is not None and self._resident() > mib * 2**20:
            self.stop()
            return Outcome("oom", f"it took more than the {mib} MiB it was given", "", False, ran)
        return None

    def _seconds(self) -> float:
        return 0.0 if self._clock.running_since is None else time.monotonic() - self._clock.running_since

    def _resident(self) -> int:
        """Of the child that runs the job."""
        try:
            children = psutil.Process(self._process.pid).children(recursive=True)
            return max((int(child.memory_info().rss) for child in children), default=0)
        except psutil.NoSuchProcess:
            return 0


def _of_method(job: Job) -> bool:
    """Whether a method trains a base of its own."""
    return job.stage == "train" and job.payload.get("method") is not None


def _error_of(job: Job) -> Status:
    return "method_error" if _of_method(job) else ERROR_OF[job.stage]
