"""`vestige train`: a recommender from a file of interactions; with `--exclude`, the gold of what the file names."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vestige import seeds
from vestige.data.given import read_given
from vestige.data.request import HoldoutConfig, Part, select
from vestige.data.sequences import IntArray
from vestige.errors import InputError, blamed
from vestige.pipeline.board import Chosen, PluginTable, choose
from vestige.pipeline.keys import content_digest, key_of
from vestige.pipeline.plan import describe
from vestige.places import home
from vestige.plugins import Plugins
from vestige.progress import Progress, silent
from vestige.recommenders.contract import Catalogue, Recommender, Unfinished, fit
from vestige.specs import DatasetSpec, RecommenderSpec
from vestige.steps.manifest import (
    MODEL,
    DataUse,
    Left,
    Manifest,
    PluginUse,
    Source,
    left_of,
    load_data,
    new_folder,
    place_key,
    readable,
    use_of,
    version,
    write_manifest,
)
from vestige.steps.running import Machine, timed


def train(
    output: Path,
    *,
    plugins: Plugins,
    dataset: str | None = None,
    place: Path | None = None,
    dataset_settings: Mapping[str, Any] | None = None,
    recommender: str = "t5",
    start: str | None = None,
    settings: Mapping[str, Any] | None = None,
    holdout: HoldoutConfig | None = None,
    exclude: Sequence[Path] = (),
    drop: bool = False,
    seed: int = 0,
    machine: Machine | None = None,
    overwrite: bool = False,
    save_every: float | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Trains a recommender and writes it into a folder; one that was stopped is gone on with by the same call.

    Args:
        output: The folder, which holds a manifest and, under `model`, a normal checkpoint afterwards.
        plugins: What is installed.
        dataset: Its name; `ml-1m` unless given where `place` is a folder, `interactions` where it is a file.
        place: Where it lies.
        dataset_settings: Its other settings.
        recommender: Its name.
        start: A preset of the recommender, or what its setting `init` takes: a folder or a name on the hub.
        settings: Its other settings.
        holdout: What no model may see; temporal, 80/20, unless given.
        exclude: Files of what is left out of training, as if it had never been.
        drop: Leave out of those what does not exist.
        seed: Of the weights and the order of the data.
        machine: Where it runs.
        overwrite: Whether a folder that a step wrote may be replaced.
        save_every: Seconds between two writes of how far it is, into a hidden folder beside that; 120 unless given.
        progress: Told how far it is.

    Returns:
        The manifest that was written.

    Raises:
        InputError: Something cannot be used; nothing is written then.
    """
    machine = machine or Machine()
    holdout = holdout or HoldoutConfig(rule="temporal")
    chosen_data = choose_dataset(plugins, dataset, place, dataset_settings or {})
    chosen = _choose_recommender(plugins, recommender, start, settings or {})
    target = home(output).resolve()
    unfinished = Unfinished(
        target.with_name(f".{target.name}.unfinished"),
        key_of({"recommender": describe(chosen), "vestige": version()}),
        **({} if save_every is None else {"every": save_every}),
    )
    with new_folder(output, overwrite) as folder:
        device = machine.start()
        source = load_data(chosen_data, holdout)
        left, out = [], np.zeros(len(source.data), dtype=np.bool_)
        for number, file in enumerate(exclude, start=1):
            one, events = _excluded(source, file, drop, f"excluded-{number}{file.suffix}", folder)
            left.append(one)
            out[events] = True
        sequences = select(source.data, (source.part == Part.RETAINED) & ~out)
        with blamed(f"the recommender {chosen.spec.name!r}", but=(OSError,)):
            model = _begun(chosen, source.catalogue, device)
            report, cost = timed(
                lambda: fit(model, sequences, seeds.derive(seed, "train"), progress, unfinished), device
            )
            model.save(folder / MODEL)
        module = getattr(model, "module", None)
        manifest = Manifest(
            made_by="train",
            vestige=version(),
            data=DataUse(**use_of(_absolute(chosen_data)), content_hash=source.data.content_hash, holdout=holdout),
            recommender=PluginUse(**use_of(chosen)),
            sha256=content_digest(folder / MODEL),
            excluded=tuple(left),
            seed=seed,
            device=device,
            threads=machine.threads,
            passes=report.passes,
            cost={
                **cost,
                "seconds": (cost["seconds"] or 0.0) + report.earlier_seconds,
                "flops": report.flops,
                "trainable_parameters": 0 if module is None else sum(p.numel() for p in module.parameters()),
            },
            notes={
                "users": len(sequences),
                "interactions": len(sequences.items),
                "steps": report.steps,
                "loss of the last pass": report.loss,
            },
        )
        write_manifest(folder, manifest)
    unfinished.close()
    return manifest


def _begun(chosen: Chosen[RecommenderSpec], catalogue: Catalogue, device: str) -> Recommender:
    def make() -> Recommender:
        model: Recommender = chosen.spec.load()(chosen.config, catalogue, device)
        return model

    if not chosen.config.places():
        return make()
    return readable(make, f"--model_name_or_path: {getattr(chosen.config, 'init', '')}")


def choose_dataset(
    plugins: Plugins, name: str | None, place: Path | None, settings: Mapping[str, Any]
) -> Chosen[DatasetSpec]:
    """A dataset by its name and place; see `train`."""
    if name is None:
        if place is None:
            raise InputError("--dataset_path: say where the data lie, or name a dataset with --dataset.")
        if not home(place).exists():
            raise InputError(f"--dataset_path: {place} does not exist.")
        name = "ml-1m" if home(place).is_dir() else "interactions"
    values = dict(settings)
    if place is not None:
        values[place_key(plugins.get(DatasetSpec, name, "--dataset"))] = str(home(place))
    return choose(plugins, DatasetSpec, PluginTable(name=name, **values), "--dataset")


def _choose_recommender(
    plugins: Plugins, name: str, start: str | None, settings: Mapping[str, Any]
) -> Chosen[RecommenderSpec]:
    spec = plugins.get(RecommenderSpec, name, "--recommender")
    values = dict(settings)
    preset = None
    if start is not None:
        if start in spec.presets:
            preset = start
        elif "init" in spec.config.model_fields:
            values["init"] = start
        else:
            raise InputError(
                f"--model_name_or_path: recommender {name!r} starts from no checkpoint; "
                + (f"its presets are {', '.join(sorted(spec.presets))}." if spec.presets else "leave the option out.")
            )
    chosen = choose(plugins, RecommenderSpec, PluginTable(name=name, preset=preset, **values), "--recommender")
    files = {key: str(place.resolve()) for key, place in chosen.config.places().items()}
    return Chosen(chosen.spec, chosen.config.model_copy(update=files))


def _excluded(source: Source, file: Path, drop: bool, copy: str, folder: Path) -> tuple[Left, IntArray]:
    found = read_given(source.data, source.part, file, drop)
    shutil.copyfile(file, folder / copy)
    return left_of(folder, copy, drop, found), found.events


def _absolute(chosen: Chosen[DatasetSpec]) -> Chosen[DatasetSpec]:
    """With the place as it must be read from any folder."""
    places = {
        key: str(Path(value).expanduser().resolve())
        for key in ("folder", "path")
        if (value := getattr(chosen.config, key, None)) is not None
    }
    return Chosen(chosen.spec, chosen.config.model_copy(update=places))
