"""`vestige unlearn`: a base and a list of what must be forgotten become an unlearned model."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vestige import seeds
from vestige.data.given import given_split, read_given, retained_in
from vestige.data.interchange import FORGET_FILE, RETAIN_FILE
from vestige.data.request import Part, Split
from vestige.data.samples import SamplesConfig, draw_samples
from vestige.data.sequences import IntArray
from vestige.errors import InputError, blamed
from vestige.methods import Budget, Method, Unlearned
from vestige.pipeline.board import PluginTable, choose
from vestige.pipeline.keys import content_digest
from vestige.pipeline.samples import write_samples
from vestige.pipeline.tasks import make_task
from vestige.places import home
from vestige.plugins import Plugins
from vestige.progress import Progress, silent
from vestige.recommenders.contract import Catalogue, Recommender
from vestige.specs import MethodSpec, RecommenderSpec
from vestige.steps.manifest import (
    MANIFEST,
    MODEL,
    BaseUse,
    Left,
    Manifest,
    PluginUse,
    Source,
    left_of,
    new_folder,
    open_recommender,
    read_data,
    read_manifest,
    relative,
    use_of,
    version,
    write_manifest,
)
from vestige.steps.running import Machine, timed


@dataclass(frozen=True)
class Asked:
    """What must be forgotten.

    Attributes:
        file: A list of it; None to draw one.
        drop: Leave out of the list what does not exist or is held out, and count it.
        draw: How a list is drawn.
        retain: A file in the published form whose users alone show the method what to keep; all who are retained unless
            given.
    """

    file: Path | None = None
    drop: bool = False
    draw: SamplesConfig = field(default_factory=SamplesConfig)
    retain: Path | None = None


def unlearn(
    base: Path,
    output: Path,
    *,
    plugins: Plugins,
    method: str = "dual_memory",
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    asked: Asked | None = None,
    place: Path | None = None,
    seed: int = 0,
    machine: Machine | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Manifest:
    """Runs a method on a base and writes what it made into a folder.

    Args:
        base: A folder that `train` wrote; it is not changed.
        output: The folder that is written; what was forgotten lies in it too, in the published form where it was drawn.
        plugins: What is installed.
        method: Its name.
        preset: Of the method.
        settings: Of the method; they win over the preset.
        asked: What must be forgotten; 500 users' latest 5 %, drawn by seed, unless given.
        place: Where the data lie now, if not where they lay when the base was trained.
        seed: Of the draw and of the method.
        machine: Where it runs.
        overwrite: Whether a folder that a step wrote may be replaced.
        progress: Told how far it is.

    Returns:
        The manifest that was written.

    Raises:
        InputError: Something cannot be used; nothing is written then.
    """
    own, its = (home(folder).resolve() for folder in (output, base))
    if own.is_relative_to(its) or its.is_relative_to(own):
        raise InputError(f"{output}: the base lies there; it is needed as it is, so name a folder beside it.")
    machine, asked = machine or Machine(), asked or Asked()
    manifest = read_manifest(base)
    if manifest.made_by != "train":
        raise InputError(f"{base}: a base is needed, as `vestige train` writes it; this is an unlearned model.")
    chosen = choose(plugins, MethodSpec, PluginTable(name=method, preset=preset, **(settings or {})), "--method")
    with new_folder(output, overwrite) as folder:
        device = machine.start()
        source = read_data(manifest.data, plugins, place, str(base / MANIFEST))
        left = _what_to_forget(source, asked, seed, folder, excluded_events(source, manifest, base))
        split = split_of(source, manifest, base, left, folder)
        recommender = open_recommender(base, source, plugins, device)
        task = make_task(
            source.data,
            split,
            Part.FORGET,
            recommender=recommender,
            seed=seeds.derive(seed, "method", chosen.spec.name),
            device=device,
            budget=Budget(manifest.passes, manifest.cost["seconds"] or 0.0),
            progress=progress,
            fresh=partial(_fresh, manifest, plugins, source.catalogue, device),
        )
        shown: dict[str, int] = {}
        if asked.retain is not None:
            named = retained_in(source.data, split, asked.retain, asked.drop)
            shown = {"users to retain": len(named.users), "users to retain left out": named.asked - len(named.users)}
            shutil.copyfile(asked.retain, folder / RETAIN_FILE)
            rows = np.flatnonzero(np.isin(task.retained.users, named.users))
            task = replace(task, retained=task.retained.take(rows), retained_lengths=task.retained.lengths)
        if not len(task.retained):
            raise InputError(
                f"{asked.retain or left.file}: nobody is left who retains anything, so there is nothing to learn from."
            )
        with blamed(f"the method {chosen.spec.name!r}", but=(OSError,)):
            runs: Method = chosen.spec.load()(chosen.config)
            result: Unlearned
            result, cost = timed(lambda: runs.unlearn(task), device)
            result.model.save(folder / MODEL)
        _in_order(folder / MODEL)
        made = Manifest(
            made_by="unlearn",
            vestige=version(),
            data=manifest.data,
            recommender=manifest.recommender,
            forgotten=left,
            method=PluginUse(**use_of(chosen)),
            base=BaseUse(folder=relative(base, output), sha256=content_digest(base / MODEL)),
            sha256=content_digest(folder / MODEL),
            seed=seed,
            device=device,
            threads=machine.threads,
            retained=None if asked.retain is None else RETAIN_FILE,
            passes=manifest.passes,
            cost={**cost, "flops": result.flops, "trainable_parameters": result.trainable_parameters},
            notes={**split.notes, **shown, **result.notes},
        )
        write_manifest(folder, made)
    return made


def _in_order(folder: Path) -> None:
    """Sorts the names of the layers that adapters stand on: PEFT keeps a set, whose order is another in each process.

    In a board's workers all text hashes alike; a command of its own gave one model another checksum each time.
    """
    for file in sorted(folder.rglob("adapter_config.json")):
        said = json.loads(file.read_text())
        if isinstance(said.get("target_modules"), list):
            said["target_modules"].sort()
            file.write_text(json.dumps(said, indent=2, sort_keys=True))


def split_of(source: Source, base: Manifest, base_folder: Path, left: Left, folder: Path) -> Split:
    """R, F and T: what the base was trained on, what of it is forgotten, and what was kept from it.

    Raises:
        InputError: Something of F was never trained on.
    """
    forget = _named_then(source, left, folder)
    never = excluded_events(source, base, base_folder)
    both = np.intersect1d(forget, never)
    if len(both):
        raise InputError(
            f"{left.file}: {len(both)} of the {len(forget)} interactions to forget were left out when the base was "
            "trained, so it cannot have learned them."
        )
    return given_split(source.data, source.part, left.kind, forget, never)


def excluded_events(source: Source, manifest: Manifest, folder: Path) -> IntArray:
    """int64 [n], ascending: what `train --exclude` left out."""
    found = [_named_then(source, one, folder) for one in manifest.excluded]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))


def _named_then(source: Source, left: Left, folder: Path) -> IntArray:
    """What a list names that a step keeps in its folder.

    Raises:
        InputError: It is not the one that was written.
    """
    if left.sha256 is not None and content_digest(folder / left.file) != left.sha256:
        raise InputError(f"{folder / left.file}: it is another list than when the model was made; put back that one.")
    events = read_given(source.data, source.part, folder / left.file, left.drop).events
    if len(events) != left.interactions:
        raise InputError(
            f"{folder / left.file}: it comes to {len(events)} interactions, but when the model was made it came to "
            f"{left.interactions}; put back the list of then."
        )
    return events


def _what_to_forget(source: Source, asked: Asked, seed: int, folder: Path, never: IntArray) -> Left:
    """The list, of which a copy is written into the folder; nothing is drawn of what was `never` trained on."""
    if asked.file is None:
        part = source.part.copy()
        part[never] = Part.UNSEEN
        write_samples(draw_samples(source.data, part, asked.draw, seed), folder)
        given = read_given(source.data, source.part, folder / FORGET_FILE, drop=False)
        return left_of(folder, FORGET_FILE, False, given)
    given = read_given(source.data, source.part, asked.file, asked.drop)
    name = FORGET_FILE if asked.file.suffix.lower() == ".json" else f"forget{asked.file.suffix}"
    shutil.copyfile(asked.file, folder / name)
    return left_of(folder, name, asked.drop, given)


def _fresh(manifest: Manifest, plugins: Plugins, catalogue: Catalogue, device: str) -> Recommender:
    table = PluginTable(name=manifest.recommender.name, **manifest.recommender.config)
    chosen = choose(plugins, RecommenderSpec, table, "recommender")
    model: Recommender = chosen.spec.load()(chosen.config, catalogue, device)
    return model
