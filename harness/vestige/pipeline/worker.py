"""A worker process: reads jobs from standard input and answers on standard output, one JSON object a line.

Started as `python -m vestige.pipeline.worker STORE THREADS`. Whatever plugins print goes to standard error, so that it
cannot disturb the answers. When standard input closes, the parent is gone, and the worker ends at once.
"""

import json
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vestige.errors import StoreError, VestigeError

Answer = Callable[[dict[str, Any]], None]


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

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")
    import torch
    import torch.utils.flop_counter  # slow to import; the first training must not pay for it in its seconds

    torch.set_num_threads(threads)
    from vestige import plugins
    from vestige.pipeline.stages import Workbench
    from vestige.pipeline.store import Store

    store = Store(store_root, say=lambda text: answer({"event": "said", "text": text}))
    bench = Workbench(store, plugins.load())
    answer({"event": "ready"})
    while True:
        job = jobs.get()
        _run(bench, job, answer)


def _listen(jobs: "queue.Queue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)  # the parent has gone; a training in progress is of no use to anybody


def _run(bench: Any, job: dict[str, Any], answer: Answer) -> None:
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
        meta: dict[str, Any] = bench.run(job["payload"], folder, progress)
        return meta

    try:
        _, made = bench.store.make(job["stage"], job["key"], fill)
        result = {"status": "ok", "made": made}
    except MemoryError as error:
        result = _failure("oom", error)
    except StoreError as error:
        result = _failure("store", error)
    except Exception as error:  # whatever a plugin raises becomes a record, never the end of the board
        result = _failure("oom" if _out_of_memory(error) else "error", error)
    answer({"event": "done", "seconds": time.perf_counter() - begun, **result})


def _failure(status: str, error: BaseException) -> dict[str, Any]:
    text = " ".join(str(error).split())
    name = "" if isinstance(error, VestigeError) else f"{type(error).__name__}: "
    return {"status": status, "made": False, "message": f"{name}{text}", "detail": traceback.format_exc()}


def _out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


if __name__ == "__main__":
    main()
