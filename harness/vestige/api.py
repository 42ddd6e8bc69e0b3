"""The Python API: boards planned, run, tuned, checked and verified, as the command line does it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vestige import configs
from vestige import plugins as plugins_module
from vestige.errors import InputError, blamed
from vestige.observing import Observers
from vestige.pipeline import board as board_module
from vestige.pipeline import sampler
from vestige.pipeline.board import Board
from vestige.pipeline.inputs import Inputs, left_out, prepare, stood_in
from vestige.pipeline.jobs import Executor, ExecutorSettings, Job, Outcome, Report
from vestige.pipeline.plan import Cell, Plan, plan
from vestige.pipeline.sources import source_digest
from vestige.pipeline.store import Store, cache_root, check_writable, write_atomically
from vestige.pipeline.study import Study, dump, file_name
from vestige.pipeline.tuning import Tuned, free_seeds, row_settings, tuning_board
from vestige.pipeline.tuning import tune as tune_method
from vestige.plugins import Plugins
from vestige.results import verdicts
from vestige.results import verify as verifying
from vestige.results.accepted import read_accepted, same_inputs
from vestige.results.checking import Check
from vestige.results.checking import check as check_sides
from vestige.results.collect import claim, collect, results_lock
from vestige.results.pooling import Results
from vestige.results.records import Finished
from vestige.results.render import read_results, render
from vestige.results.rerun import compare as compare_rerun
from vestige.results.sides import read_side
from vestige.results.tolerances import gated
from vestige.results.verify import Status, Step, Submission, Verification
from vestige.specs import ExecutorSpec, MethodSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BoardResults:
    """What `run` returns.

    Attributes:
        board: The name.
        folder: Where records and tables lie.
        results: Everything that was measured, with the means to pool it.
        tables: The path of each renderer's table.
        made: How many jobs were run; 0 where everything was stored.
    """

    board: str
    folder: Path
    results: Results
    tables: Mapping[str, Path]
    made: int

    @property
    def records(self) -> tuple[Finished, ...]:
        """One record a cell, with its run; of a stream, of every step."""
        return self.results.every

    @property
    def table(self) -> "pd.DataFrame":
        """`results.csv` as a table: one row a cell and measurement."""
        import pandas as pd

        return pd.read_csv(self.folder / "results.csv")

    @property
    def failed(self) -> tuple[Finished, ...]:
        """The cells that have no result."""
        return tuple(item for item in self.records if not item.record.ok)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before any number is read: INVALID, NO POWER, UNDEFINED."""
        return tuple(verdicts.warnings(self.results))

    @property
    def invalid(self) -> str | None:
        """Why the board says nothing, or None."""
        return verdicts.invalid(self.results)


@dataclass(frozen=True)
class Planned:
    """A board with its plan, before anything is run."""

    board: Board
    plugins: Plugins
    store: Store
    inputs: Mapping[int, Inputs]
    plan: Plan


class Silent:
    """A report that says nothing."""

    def started(self, job: Job) -> None:
        """Nothing."""

    def progressed(self, job: Job, share: float, text: str) -> None:
        """Nothing."""

    def finished(self, job: Job, outcome: Outcome) -> None:
        """Nothing."""

    def said(self, text: str) -> None:
        """Nothing."""

    def planned(self, jobs: Sequence[Job]) -> None:
        """Nothing."""


class RunReport(Report, Protocol):
    """A `Report` that is also told, first, what will run."""

    def planned(self, jobs: Sequence[Job]) -> None:
        """These jobs are missing and will be run; a study tells so several times, of other jobs each time."""


def open_store(report: Report | None = None) -> Store:
    """The user's store."""
    return Store(cache_root() / "store", say=report.said if report else lambda text: None)


def make_plan(
    board: str,
    *,
    methods: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    fetch: bool = True,
    strict_plugins: bool = False,
    report: Report | None = None,
) -> Planned:
    """Reads a board and its data and plans its cells.

    Raises:
        InputError: The board or its data cannot be used.
    """
    source_digest.cache_clear()  # a plugin may have been edited since the last board of this process
    plugins = plugins_module.load(strict_plugins)
    loaded = board_module.load(board, plugins, tuple(methods), tuple(seeds) if seeds else None, only=tuple(only))
    store = open_store(report)
    inputs = prepare(loaded, store, fetch)
    dropped = left_out(loaded, inputs)
    if dropped and report:
        report.said(dropped)
    return Planned(loaded, plugins, store, inputs, plan(loaded, plugins, inputs))


def run(
    board: str,
    *,
    out: str | Path | None = None,
    methods: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    workers: int = 1,
    executor: str = "local",
    timeout: float | None = None,
    max_memory: int | None = None,
    observers: Sequence[str] = (),
    strict_plugins: bool = False,
    report: RunReport | None = None,
) -> BoardResults:
    """Runs what is missing of a board and writes its records and tables.

    Args:
        board: A folder with a `board.toml`, or the name of a board that ships.
        out: Where results go; `vestige-out/<board>` unless given.
        methods: `NAME` or `NAME:preset`, run beside the board's own.
        only: Labels, `NAME` or `NAME:preset` of the board's own rows; no others of them are run, but base, gold and
            the controls.
        seeds: Instead of the board's own.
        workers: How many jobs run at once; it changes no result.
        executor: Where jobs run.
        timeout: Seconds that one method or attack may take, instead of the board's `[limits]`.
        max_memory: MiB of resident memory that it may take, instead of the board's `[limits]`.
        observers: Names of observers that are told of this run, such as `mlflow`.
        strict_plugins: A broken plugin is an error.
        report: Told what happens.

    Returns:
        The records and tables; a cell that failed is among them, with its status.

    Raises:
        InputError: The board, its data or its plugins cannot be used.
        StoreError: The store cannot be written.
    """
    told = report or Silent()
    planned = make_plan(board, methods=methods, only=only, seeds=seeds, strict_plugins=strict_plugins, report=told)
    for name in dict.fromkeys(observers):
        planned.plugins.switch_on(name)
    folder = Path(out) if out is not None else Path("vestige-out") / planned.board.name
    claim(folder, planned.board.name)
    return _run(planned, folder, told, workers, executor, timeout, max_memory)


def _run(
    planned: Planned,
    folder: Path,
    told: RunReport,
    workers: int,
    executor: str,
    timeout: float | None = None,
    max_memory: int | None = None,
) -> BoardResults:
    board, plugins = planned.board, planned.plugins
    place = _place(board, plugins, planned.store, workers, executor, _limits(board, timeout, max_memory))
    planned.store.sweep()
    missing = planned.plan.missing(planned.store)
    told.planned(missing)
    observers = Observers(plugins, told.said)
    observers.tell(
        "vestige_board_started",
        board=board.name,
        config=board.config.model_dump(mode="json"),
        cells=tuple(cell.id for cell in planned.plan.cells),
    )
    done: Path | None = None
    try:
        outcomes = place.execute(missing, _Told(planned, told, observers)) if missing else {}
        with results_lock(folder):
            finished = collect(board, plugins, planned.plan.cells, planned.inputs, outcomes, planned.store, folder)
            for item in finished:
                observers.tell(
                    "vestige_cell_finished",
                    board=board.name,
                    cell=item.record.identity.cell,
                    record=item.record.model_dump(mode="json"),
                    run=item.run.model_dump(mode="json"),
                )
            results = read_results(folder)
            written = render(results, plugins, folder, told.said)
        done = folder
    finally:
        observers.tell("vestige_board_finished", board=board.name, folder=done)
    return BoardResults(board.name, folder, results, written, len(missing))


Limits = tuple[float | None, int | None]
"""Seconds and MiB of one method or attack."""


def _limits(board: Board, timeout: float | None, max_memory: int | None) -> Limits:
    """Those of the command, else the board's."""
    limits = board.config.limits
    return (
        limits.seconds if timeout is None else timeout,
        limits.memory_mib if max_memory is None else max_memory,
    )


def _place(board: Board, plugins: Plugins, store: Store, workers: int, executor: str, limits: Limits) -> Executor:
    """Where jobs run."""
    with blamed(f"the executor {executor!r}"):
        made: Executor = plugins.get(ExecutorSpec, executor).load()(
            ExecutorSettings(str(store.root), workers, board.config.threads, *limits)
        )
    return made


@dataclass(frozen=True)
class TuningResults:
    """What `tune` returns.

    Attributes:
        study: Every trial, and the settings that were chosen.
        file: Where it was written.
        made: How many jobs were run; 0 where everything was stored.
    """

    study: Study
    file: Path
    made: int


def tune(
    board: str,
    method: str,
    *,
    trials: int = 8,
    seeds: Sequence[int] | None = None,
    out: str | Path | None = None,
    workers: int = 1,
    executor: str = "local",
    timeout: float | None = None,
    max_memory: int | None = None,
    strict_plugins: bool = False,
    report: RunReport | None = None,
) -> TuningResults:
    """Tries settings of a method on seeds that are not the board's, and writes the study.

    Every trial unlearns and is scored by fidelity and by utility on validation items; test items are never asked about.
    In place of a list another one alike is forgotten.
    All stand on what the board's row of the method sets, if it has one; the first has the row's, or the method's own,
    settings.

    Args:
        board: Whose data, request and recommender; as in `run`.
        method: `NAME` or `NAME:preset`; its spec says between which values is searched.
        trials: How many settings are tried.
        seeds: Of the study, none of them the board's; the smallest that is not, unless given.
        out: The study is written to `tuning/<method>.json` in it; `vestige-out/<board>` unless given.
        workers, executor, timeout, max_memory, strict_plugins, report: As in `run`; a limit is that of one job.

    Returns:
        The study; trials that failed are in it, with their status.

    Raises:
        InputError: The board, its data, the method or a seed cannot be used, or no trial could be judged.
        MissingExtra: Optuna is not installed.
        StoreError: The store or the study cannot be written.
        VestigeError: A reference model failed.
    """
    sampler.require()
    if trials < 1:
        raise InputError(f"--trials {trials}: one trial is needed at least.")
    told = report or Silent()
    source_digest.cache_clear()  # as in `make_plan`
    plugins = plugins_module.load(strict_plugins)
    name, _, preset = method.partition(":")
    spec = plugins.get(MethodSpec, name, "--method")
    configs.preset_values(spec.presets, preset or None, {}, f"--method {method}")
    loaded = board_module.load(board, plugins, tuned=False)
    own = tuning_board(loaded, plugins, free_seeds(loaded, seeds))
    given = row_settings(loaded, name, preset or None)
    folder = Path(out) if out is not None else Path("vestige-out") / loaded.name
    file = folder / "tuning" / file_name(spec.name, preset or None)
    store = open_store(told)
    limits = _limits(own, timeout, max_memory)
    inputs = prepare(own, store)
    check_writable(file)
    instead = stood_in(own, inputs)
    if instead:
        told.said(instead)
    tuned = Tuned(own, plugins, inputs, store, spec, preset or None, given, limits)
    place = _place(own, plugins, store, workers, executor, limits)
    store.sweep()
    made = 0

    def execute(jobs: Sequence[Job]) -> Mapping[tuple[str, str], Outcome]:
        nonlocal made
        made += len(jobs)
        told.planned(jobs)
        return place.execute(jobs, told)

    study = tune_method(tuned, trials, execute)
    if not made:
        told.planned(())
    write_atomically(file, dump(study))
    return TuningResults(study, file, made)


def check(
    board: str,
    *,
    out: str | Path | None = None,
    accepted: str | Path | None = None,
    workers: int = 1,
    executor: str = "local",
    strict_plugins: bool = False,
    report: RunReport | None = None,
) -> Check:
    """Runs what is missing of a board and compares it with its accepted results, which are only read.

    Args:
        accepted: Where they lie; `accepted/` beside the `board.toml` unless given.
        board, out, workers, executor, strict_plugins, report: As in `run`.

    Returns:
        A finding for every row and gated measurement; see `vestige.results.checking.Check`.

    Raises:
        InputError: The accepted results cannot be used, which is said before anything is run; or as in `run`.
    """
    planned = make_plan(board, strict_plugins=strict_plugins, report=report)
    loaded = planned.board
    folder = Path(accepted) if accepted is not None else loaded.folder / "accepted"
    side = read_accepted(folder, loaded.name, loaded.config.seeds)
    same_inputs(side, {seed: (i.content_hash, i.split_key) for seed, i in planned.inputs.items()})
    if not gated(side.results, loaded.config.tolerance):
        raise InputError(f"{folder}: nothing is judged: no accepted row has a value of what is gated; see [tolerance].")
    done = run(board, out=out, workers=workers, executor=executor, strict_plugins=strict_plugins, report=report)
    return check_sides(read_side(done.folder), side, loaded.config.tolerance)


def verify(
    results: str | Path,
    *,
    board: str | None = None,
    seed: int | None = None,
    rerun: bool = True,
    workers: int = 1,
    strict_plugins: bool = False,
    report: RunReport | None = None,
) -> Verification:
    """Checks a results folder that somebody submits, against its board and against a run of one seed made here.

    Args:
        results: The folder; it is only read.
        board: The board it should be of; the one that it names, among those that ship, unless given.
        seed: Which one is run again; the board's first unless given.
        rerun: Whether one is. The methods of the folder's rows must be installed for it, and their code is run.
        workers, strict_plugins, report: As in `run`.

    Raises:
        InputError: There are no results, no such board or seed, or a method to run is not installed.
    """
    told, folder = report or Silent(), Path(results)
    side, read = verifying.read(folder)
    if side is None:
        return Verification(board or "unknown", folder, (read,))
    named = side.results.finished[0].record.identity.board
    if board is None and named not in board_module.shipped():
        raise InputError(f"{folder}: its board {named!r} does not come with Vestige; name its folder with --board.")
    plugins = plugins_module.load(strict_plugins)
    loaded = board_module.load(board or named, plugins)
    wanted = loaded.config.seeds[0] if seed is None else seed
    if wanted not in loaded.config.seeds:
        raise InputError(f"--seed {wanted}: the board {loaded.name!r} has the seeds {list(loaded.config.seeds)}.")
    methods, missing, strange = verifying.added_rows(side, loaded, plugins)
    if missing and rerun:
        raise InputError(f"{next(iter(missing.values()))}, or leave the run out with --no-rerun.")
    planned = make_plan(board or named, methods=methods, strict_plugins=strict_plugins, report=told)
    submitted = Submission(side, planned.board, planned.plugins, planned.inputs, missing, strange)
    steps = [read, *verifying.steps(submitted)]
    if rerun:
        kept = tuple(cell for cell in planned.plan.cells if cell.seed == wanted)
        with tempfile.TemporaryDirectory() as scratch:
            done = _run(replace(planned, plan=Plan(kept, planned.plan.jobs)), Path(scratch), told, workers, "local")
            steps.append(compare_rerun(read_side(done.folder), side, wanted, planned.board.config.tolerance))
    else:
        steps.append(Step("re-run", Status.LEFT_OUT, "no seed was run again"))
    return Verification(planned.board.name, folder, tuple(steps))


class _Told:
    """Passes everything on to the report, and the start of a cell to the observers."""

    def __init__(self, planned: Planned, report: Report, observers: Observers) -> None:
        self._board, self._report, self._observers = planned.board.name, report, observers
        self._cells: dict[tuple[str, str], Cell] = {cell.job.id: cell for cell in planned.plan.cells}

    def started(self, job: Job) -> None:
        cell = self._cells.get(job.id)
        if cell:
            self._observers.tell("vestige_cell_started", board=self._board, cell=cell.id)
        self._report.started(job)

    def progressed(self, job: Job, share: float, text: str) -> None:
        self._report.progressed(job, share, text)

    def finished(self, job: Job, outcome: Outcome) -> None:
        self._report.finished(job, outcome)

    def said(self, text: str) -> None:
        self._report.said(text)


__all__ = [
    "BoardResults",
    "Check",
    "Planned",
    "TuningResults",
    "Verification",
    "check",
    "make_plan",
    "open_store",
    "run",
    "tune",
    "verify",
]
