"""Tunes a method: tries settings on seeds that are not the board's, and never looks at a test item.

Trials are cells of the board as it would be with the study's seeds, without attacks and a second world, whose views ask
for validation items (`vestige.data.views.build`). So base, gold and control are trained once through the store, a trial
that is stored is not run again, and a study that was broken off goes on where it was.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

from vestige import configs, seeds
from vestige.data.request import Part
from vestige.errors import InputError, VestigeError
from vestige.pipeline.board import Board, Chosen, ChosenMethod
from vestige.pipeline.inputs import Inputs, list_digest
from vestige.pipeline.jobs import Job, Outcome
from vestige.pipeline.keys import key_of
from vestige.pipeline.plan import Cell, Plan, plan
from vestige.pipeline.sampler import STARTUP, Sampler
from vestige.pipeline.store import Store
from vestige.pipeline.study import OBJECTIVE, Described, Study, Trial, best_of, describe_portably, file_name
from vestige.plugins import Plugins
from vestige.search import Scalar, Search, to_json
from vestige.specs import MethodSpec, MetricSpec

METRIC = "tuning"
"""The metric whose `tuning_score` is maximised."""

FAILURES = ("method_error", "oom", "timeout")
"""What the settings of a trial may be to blame for; anything else ends the study."""

TRIAL_VERSION = 1

Run = Callable[[Sequence[Job]], Mapping[tuple[str, str], Outcome]]
"""Runs jobs, and says how each ended."""


@dataclass(frozen=True)
class Tuned:
    """What is tuned.

    Attributes:
        board: With the study's seeds, as `tuning_board` makes it.
        preset: Of the method, on which the trials stand.
        given: Settings that the board's row of the method has; they stand over the preset's in every trial.
        limits: Seconds and MiB that each job of a trial may take; a failure is remembered for these.
    """

    board: Board
    plugins: Plugins
    inputs: Mapping[int, Inputs]
    store: Store
    method: MethodSpec
    preset: str | None
    given: Mapping[str, Any]
    limits: tuple[float | None, int | None]

    @property
    def search(self) -> Search:
        """What is searched: the method's space, without what the board's row sets, which would win over a study."""
        return {name: space for name, space in self.method.search.items() if name not in self.given}

    def values(self, settings: Mapping[str, Scalar]) -> dict[str, Any]:
        """What the method's config is made of in a trial of these settings."""
        return configs.preset_values(self.method.presets, self.preset, {**self.given, **settings}, "--method")


def free_seeds(board: Board, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The study's seeds: those asked for, or the smallest that is none of the board's.

    Raises:
        InputError: One is the board's, or stands twice.
    """
    taken = board.config.seeds
    free = next(seed for seed in count() if seed not in taken)
    if not asked:
        return (free,)
    for seed in asked:
        if seed in taken:
            raise InputError(
                f"--seed {seed}: it is one of the board's ({', '.join(map(str, taken))}), on which settings will be "
                f"judged, so they must not be chosen on it; take another, such as {free}."
            )
        if asked.count(seed) > 1:
            raise InputError(f"--seed {seed}: every seed must stand once.")
    return tuple(asked)


def row_settings(board: Board, method: str, preset: str | None) -> dict[str, Any]:
    """What the board's row of a method and preset sets itself; nothing where there is no such row.

    Of several rows it is the one that names the study, else the first.
    """
    rows = [table for table in board.config.method if (table.name, table.preset) == (method, preset)]
    named = [row for row in rows if row.tuned and Path(row.tuned).name == file_name(method, preset)]
    return next((row.settings() for row in (*named, *rows)), {})


def tuning_board(board: Board, plugins: Plugins, study_seeds: Sequence[int]) -> Board:
    """The board with the study's seeds, without its methods, and with nothing but the tuning score measured.

    A list names the same on every seed, so another one stands in for it.
    """
    spec = plugins.get(MetricSpec, METRIC)
    config = board.config.model_copy(
        update={
            "seeds": tuple(study_seeds),
            "recheck": False,
            "swap": False,
            "controls": False,
            "shadows": type(board.config.shadows)(),
        }
    )
    return replace(
        board,
        config=config,
        methods=(),
        attacks=(),
        metrics=(Chosen(spec, configs.validate(spec.config, {}, METRIC)),),
        stand_in_for=board.config.seeds if board.config.request.file is not None else (),
    )


def tune(tuned: Tuned, trials: int, run: Run) -> Study:
    """The study of so many trials; the first one has the settings of the board's row, else the method's own.

    Args:
        run: Called with jobs that are missing in the store, several times.

    Raises:
        InputError: The method has nothing to tune, or its score is undefined on these seeds whatever it does.
        VestigeError: A reference model failed.
    """
    method = tuned.method
    if not method.search:
        raise InputError(f"the method {method.name!r} has no search space, so there is nothing to tune.")
    if not tuned.search:
        raise InputError(
            f"{tuned.board.name}: its row of {method.name!r} sets all that could be searched "
            f"({', '.join(method.search)}); leave out what is to be tuned."
        )
    label = f"{method.name}:{tuned.preset}" if tuned.preset else method.name
    sampler = Sampler(tuned.search, seeds.derive(tuned.board.config.seeds[0], "tune", label))
    own = _own_settings(tuned)
    references = _references(tuned, run)
    asked = [sampler.ask() for _ in range(min(trials - 1, STARTUP))]
    done = _try(tuned, [own, *(settings for _, settings in asked)], 0, run)
    sampler.add(own, done[0].score)
    for (number, _), trial in zip(asked, done[1:], strict=True):
        sampler.tell(number, trial.score)
    while len(done) < trials:
        number, settings = sampler.ask()
        done += _try(tuned, [settings], len(done), run)
        sampler.tell(number, done[-1].score)
    return _study(tuned, trials, sampler.name, tuple(done), references)


def _references(tuned: Tuned, run: Run) -> list[Cell]:
    """Trains and scores base, gold and control; the cells of control, by which every trial can be judged: of a stream
    that after its last step, though all steps are paid for.
    """
    wanted = plan(tuned.board, tuned.plugins, tuned.inputs, held_out=Part.VALIDATION)
    cells = [cell for cell in wanted.cells if cell.row == "control"]
    outcomes = _run(Plan(tuple(cells), wanted.jobs), tuned.store, run)
    for cell in cells:
        failed = outcomes.get(cell.job.id)
        if failed and failed.status != "ok":
            raise VestigeError(f"a reference model of the study failed ({failed.status}: {failed.message}).")
        if not cell.last:
            continue
        score = _measured(tuned.store, cell)["tuning_score"]
        if score["value"] is None:
            raise InputError(
                f"{tuned.board.name}, seed {cell.seed}: settings cannot be told apart, so no trial was run: the tuning "
                f"score is {score['note']}; train for longer or forget more."
            )
    return cells


def _own_settings(tuned: Tuned) -> dict[str, Scalar]:
    """What the board's row, else the preset, else the method's defaults say of the settings that are searched for."""
    config = configs.validate(tuned.method.config, tuned.values({}), f"the method {tuned.method.name!r}")
    own = config.model_dump(mode="json")
    return {name: own[name] for name in tuned.search}


def _try(tuned: Tuned, settings: Sequence[Mapping[str, Scalar]], first: int, run: Run) -> list[Trial]:
    """Trials of the given settings, numbered from `first` on; those that do not depend on each other run at once."""
    refused: dict[int, Trial] = {}
    methods: dict[int, ChosenMethod] = {}
    for number, values in enumerate(settings, start=first):
        try:
            config = configs.validate(tuned.method.config, tuned.values(values), f"trial {number}")
        except InputError as error:
            refused[number] = Trial(number=number, settings=dict(values), status="config_error", message=str(error))
        else:
            methods[number] = ChosenMethod(tuned.method, config, f"{tuned.method.name}, trial {number}")
    board = replace(tuned.board, methods=tuple(methods.values()))
    wanted = plan(board, tuned.plugins, tuned.inputs, held_out=Part.VALIDATION)
    cells = {number: [c for c in wanted.cells if c.label == method.label] for number, method in methods.items()}
    remembered = {number: _remembered(tuned, own) for number, own in cells.items()}
    to_run = [cell for number, own in cells.items() if not remembered[number] for cell in own]
    outcomes = _run(Plan(tuple(to_run), wanted.jobs), tuned.store, run)
    found = dict(refused)
    for number, own in cells.items():
        failure = remembered[number] or _failure(tuned, own, outcomes)
        values = settings[number - first]
        if failure:
            found[number] = Trial(number=number, settings=dict(values), **failure)
        else:
            found[number] = _scored(tuned.store, own, number, values)
    return [found[number] for number in sorted(found)]


def _run(wanted: Plan, store: Store, run: Run) -> Mapping[tuple[str, str], Outcome]:
    """Runs what is missing of the results, and of the models behind them: a study says what each cost, and a store
    that was cleared of models keeps the results.
    """
    payloads = [cell.job.payload for cell in wanted.cells]
    models = [model for of in payloads for model in (of["subject"], *of["roles"].values())]
    missing = wanted.missing(store, besides=[(model["stage"], model["key"]) for model in models])
    return run(missing) if missing else {}


def _measured(store: Store, cell: Cell) -> dict[str, dict[str, Any]]:
    """The measurements of a cell by name, as they are stored."""
    file = store.require("measure", cell.job.key).folder / "measurements.json"
    return {row["metric"]: row for row in json.loads(file.read_bytes())}


def _costs(store: Store, models: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each of the models cost; one that several cells share, such as the base of a stream, was made once."""
    keys = dict.fromkeys((model["stage"], model["key"]) for model in models)
    return [store.require(stage, key).meta["cost"] for stage, key in keys]


def _own_models(cell: Cell) -> list[dict[str, Any]]:
    """What was made for a trial alone: its result and, where a method trains its own base, all roles of its own."""
    roles = cell.job.payload["roles"].values()
    return [cell.job.payload["subject"], *(model for model in roles if "board" in model)]


def _scored(store: Store, cells: Sequence[Cell], number: int, settings: Mapping[str, Scalar]) -> Trial:
    """A trial whose cells all have a result; it has no score where a base of the method's own remembers nothing.

    Of a stream it is judged after the last step, and paid for at all of them.
    """
    found = [_measured(store, cell) for cell in cells if cell.last]
    costs = _costs(store, (model for cell in cells for model in _own_models(cell)))
    cost = {"seconds": sum(one["seconds"] for one in costs), "flops": _sum(one["flops"] for one in costs)}
    missing = [of["tuning_score"]["note"] for of in found if of["tuning_score"]["value"] is None]
    if missing:
        return Trial(number=number, settings=dict(settings), status="undefined", message=missing[0], **cost)
    return Trial(
        number=number,
        settings=dict(settings),
        score=fmean(of["tuning_score"]["value"] for of in found),
        fidelity=fmean(of["tuning_fidelity"]["value"] for of in found),
        utility=fmean(of["tuning_utility"]["value"] for of in found),
        **cost,
    )


def _failure(tuned: Tuned, cells: Sequence[Cell], outcomes: Mapping[tuple[str, str], Outcome]) -> dict[str, Any]:
    """How a trial failed, which is kept, so that it is not tried again under the same limits; empty where it did not.

    Of a process that was killed nothing is kept: that may have been no fault of the settings, and is tried again by the
    next study.

    Raises:
        VestigeError: Something failed that the settings are not to blame for.
    """
    failed = [outcomes[c.job.id] for c in cells if c.job.id in outcomes and outcomes[c.job.id].status != "ok"]
    if not failed:
        return {}
    status, message = failed[0].status, failed[0].message
    if status not in FAILURES:
        raise VestigeError(f"{cells[0].label} could not be judged ({status}: {message}).")
    models = [model for cell in cells for model in _own_models(cell)]
    own = {(m["stage"], m["key"]) for m in models} | {("score", m["scores"]) for m in models}
    seconds = sum(outcome.seconds for job, outcome in outcomes.items() if job in own)
    kept = {"status": status, "message": message, "seconds": seconds}
    if not failed[0].killed:
        tuned.store.make("trial", _failure_key(tuned, cells), lambda folder: kept)
    return kept


def _remembered(tuned: Tuned, cells: Sequence[Cell]) -> dict[str, Any]:
    """How a trial failed before, unless it has a result by now; empty where it did not."""
    found = tuned.store.get("trial", _failure_key(tuned, cells))
    return dict(found.meta) if found and not all(tuned.store.has("measure", cell.job.key) for cell in cells) else {}


def _failure_key(tuned: Tuned, cells: Sequence[Cell]) -> str:
    keys = [cell.job.key for cell in cells]
    return key_of({"stage": "trial", "version": TRIAL_VERSION, "cells": keys, "limits": list(tuned.limits)})


def _study(tuned: Tuned, budget: int, sampler: str, trials: tuple[Trial, ...], references: Sequence[Cell]) -> Study:
    board, spec = tuned.board, tuned.method
    origin = tuned.plugins.origin(spec)
    best = best_of(trials)
    roles = [cell.job.payload["roles"] for cell in references]
    settings = configs.validate(spec.config, tuned.values({}), f"the method {spec.name!r}")
    return Study(
        board=board.name,
        method=describe_portably(spec, settings),
        distribution=origin.distribution,
        distribution_version=origin.distribution_version,
        preset=tuned.preset,
        dataset=_described(board.dataset),
        request=configs.portable(board.config.request.model_dump(mode="json")),
        list_digest=list_digest(board.config.request.file),
        holdout=board.config.holdout.model_dump(mode="json"),
        recommender=_described(board.recommender),
        seeds=board.config.seeds,
        budget=budget,
        objective=OBJECTIVE,
        sampler=sampler,
        space=to_json(tuned.search),
        trials=trials,
        best=best.number if best else None,
        settings=best.settings if best else {},
        seconds=sum(trial.seconds for trial in trials),
        flops=_sum(trial.flops for trial in trials),
        retrain_seconds=sum(cost["seconds"] for cost in _costs(tuned.store, (of["gold"] for of in roles))),
        roles_seconds=sum(
            cost["seconds"] for cost in _costs(tuned.store, (model for of in roles for model in of.values()))
        ),
    )


def _described(chosen: Chosen[Any]) -> Described:
    return describe_portably(chosen.spec, chosen.config)


def _sum(values: Iterable[float | None]) -> float | None:
    """None where one is unknown."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None
