"""How long measuring takes, against what it measures: one method, one seed, all metrics and attacks."""

import tempfile
import time
from pathlib import Path

from vestige import api, plugins
from vestige.pipeline.jobs import Job
from vestige.pipeline.plan import Plan
from vestige.pipeline.stages import Workbench
from vestige.progress import silent

STAGES = ("score", "attack", "measure")


def measuring(board: str, method: str) -> None:
    """Prints the seconds of scoring, attacking and measuring one method's cell, and as a ratio to one training.

    The board is run first where it never was; its models are then asked again, in this process.
    """
    api.run(board, out=Path(tempfile.mkdtemp()))
    planned = api.make_plan(board)
    cell = next(c for c in planned.plan.cells if c.method is not None and c.method.spec.name == method)
    bench = Workbench(planned.store, plugins.load())
    spent: dict[str, float] = {}
    for job in _needed(planned.plan, cell.job):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            bench.run(job.payload, Path(folder), silent)
            name = job.payload["attack"]["name"] if job.stage == "attack" else job.stage
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
    whole = sum(spent.values())
    base = planned.store.require("train", cell.job.payload["roles"]["base"]["key"]).meta["cost"]["seconds"]
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items())
    print(
        f"measuring  {board}, {method}, one seed, all metrics and attacks: {whole:.0f} s, {whole / base:.1f} of one "
        f"training ({base:.0f} s): {parts}"
    )


def _needed(plan: Plan, job: Job) -> list[Job]:
    """The jobs that measure, among all that a cell stands on, in the order of the plan."""
    by_id = {job.id: job for job in plan.jobs}
    wanted: set[tuple[str, str]] = set()
    stack = [job.id]
    while stack:
        identity = stack.pop()
        if identity not in wanted:
            wanted.add(identity)
            stack += by_id[identity].needs
    return [job for job in plan.jobs if job.id in wanted and job.stage in STAGES]
