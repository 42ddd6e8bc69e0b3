"""A worker process: reads jobs from standard input and answers on standard output, one JSON object a line.

Started as `python -m vestige.pipeline.worker STORE THREADS`. Whatever plugins print goes to standard error, so that it
cannot disturb the answers. When standard input closes, the parent is gone, and the worker ends at once.

The worker itself only imports and reads sources. Every job runs in a child of its own, forked from it: so a job's peak
memory is that of a fresh process, nothing one job left behind reaches the next, and no job pays for imports. The worker
never computes anything with torch, whose threads would not survive the fork.
"""

import contextlib
import gc
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vestige.errors import StoreError, VestigeError
from vestige.pipeline.resources import hide_gpus, out_of_memory
from vestige.quiet import quiet_warnings

Answer = Callable[[dict[str, Any]], None]

PRELOADED = (
    "torch",
    "torch.utils.flop_counter",
    "peft",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "vestige.recommenders.t5",
)
"""What jobs need and is slow to import."""


ANSWERED = 83
"""What a child ends with that has told how its job ended; what ends the process itself may well say 0."""


def preload() -> None:
    """Does once what every job would do again for itself."""
    gc.disable()  # nothing of what is imported is garbage, and looking for it takes a fifth of the time
    try:
        for module in PRELOADED:
            importlib.import_module(module)
    finally:
        gc.enable()
    with contextlib.suppress(ImportError):  # nothing that transformers promises; without it jobs begin later
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("t5")  # compiles the patterns of all models


def main() -> None:
    """Runs until standard input closes."""
    store_root, threads = Path(sys.argv[1]), int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()

    quiet_warnings()
    preload()
    from vestige import plugins
    from vestige.pipeline.provenance import here
    from vestige.pipeline.stages import Workbench
    from vestige.pipeline.store import Store

    here()  # once for all jobs
    store = Store(store_root, say=lambda text: answer({"event": "said", "text": text}))
    bench = Workbench(store, plugins.load())
    answer({"event": "ready"})
    while True:
        job = jobs.get()
        if hasattr(os, "fork"):
            bench.read_ahead(job["payload"])
            _run_in_child(bench, job, threads, answer)
        else:  # no fork on this system: jobs then share the process
            _run(bench, job, threads, answer)


def _listen(jobs: "queue.Queue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)  # the parent has gone; a training in progress is of no use to anybody


def _run_in_child(bench: Any, job: dict[str, Any], threads: int, answer: Answer) -> None:
    begun = time.perf_counter()
    worker = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            threading.Thread(target=_end_with, args=(worker,), daemon=True).start()
            os.dup2(
                os.open(os.devnull, os.O_RDONLY), 0
            )  # there the worker is told its jobs, of which none is for a plugin
            _run(bench, job, threads, answer)
            code = ANSWERED
        except BaseException:  # whatever it was, the worker tells it by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != ANSWERED:
        killed = code == -signal.SIGKILL
        message = (
            "the system killed the process (signal 9), as it does when memory runs out"
            if killed
            else f"the process ended with code {code}"
        )
        answer(
            {
                "event": "done",
                "status": "oom" if killed else "error",
                "made": False,
                "message": message,
                "seconds": time.perf_counter() - begun,
                "killed": code < 0,  # by a signal; what ends itself would do so again
            }
        )


def _end_with(worker: int) -> None:
    """Ends this child when its worker is gone."""
    while os.getppid() == worker:
        time.sleep(0.2)
    os._exit(1)


def _run(bench: Any, job: dict[str, Any], threads: int, answer: Answer) -> None:
    import torch

    hide_gpus(job["payload"]["device"])
    torch.set_num_threads(threads)
    begun = time.perf_counter()
    last = 0.0

    def progress(share: float, text: str = "") -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= 0.5:
            last = now
            answer({"event": "progress", "share": round(float(share), 4), "text": text})

    def fill(folder: Path) -> dict[str, Any]:
        nonlocal begun
        begun = time.perf_counter()
        answer({"event": "running"})
        meta: dict[str, Any] = bench.run(
            job["payload"], folder, progress, bench.store.unfinished(job["stage"], job["key"])
        )
        return meta

    try:
        _, made = bench.store.make(job["stage"], job["key"], fill)
        result = {"status": "ok", "made": made}
    except StoreError as error:
        result = _failure("store", error)
    except Exception as error:  # whatever a plugin raises becomes a record, never the end of the board
        result = _failure("oom" if out_of_memory(error) else "error", error)
    answer({"event": "done", "seconds": time.perf_counter() - begun, **result})


def _failure(status: str, error: BaseException) -> dict[str, Any]:
    text = " ".join(str(error).split())
    name = "" if isinstance(error, VestigeError) else f"{type(error).__name__}: "
    return {"status": status, "made": False, "message": f"{name}{text}", "detail": traceback.format_exc()}


if __name__ == "__main__":
    main()
