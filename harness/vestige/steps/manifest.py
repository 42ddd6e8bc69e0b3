"""`vestige.json`, which stands in every folder that a step writes, and how such folders are written and opened."""

import contextlib
import glob
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import filelock
import numpy as np
import numpy.typing as npt
import pydantic

from vestige import configs
from vestige.configs import Config
from vestige.data.given import Given
from vestige.data.interactions import Interactions
from vestige.data.request import HoldoutConfig, hold_out
from vestige.datasets import Dataset
from vestige.errors import InputError, StoreError, VestigeError, blamed
from vestige.methods import Loads, Method
from vestige.pipeline.board import Chosen, PluginTable, choose
from vestige.pipeline.keys import content_digest
from vestige.pipeline.store import cache_root
from vestige.places import home
from vestige.plugins import Plugins
from vestige.recommenders.contract import Catalogue, Recommender, Scorer
from vestige.specs import DatasetSpec, MethodSpec, RecommenderSpec

MANIFEST = "vestige.json"
MODEL = "model"
"""The folder inside, where the model itself lies."""
LOCK = ".lock"
"""Held while a folder is being written."""


class PluginUse(Config):
    """A plugin and the settings it was used with.

    Attributes:
        checksums: Of what settings name on this machine, a checkpoint or an index, by setting.
    """

    name: str
    version: str
    config: Mapping[str, Any]
    checksums: Mapping[str, str] = {}

    def same(self, other: "PluginUse") -> bool:
        """Whether it is the same plugin, set the same, with the same files, wherever these lie."""

        def what(use: PluginUse) -> tuple[Any, ...]:
            config = {key: value for key, value in use.config.items() if key not in use.checksums}
            return use.name, use.version, config, dict(use.checksums)

        return what(self) == what(other)


class DataUse(PluginUse):
    """The data, and how they were held out.

    Attributes:
        content_hash: Of the interactions; other data under the same name are refused.
        holdout: What no model was trained on.
    """

    content_hash: str
    holdout: HoldoutConfig


class Left(Config):
    """A file of what was left out of training, or forgotten; a copy of it lies in the folder.

    Attributes:
        file: Name of the copy.
        drop: What does not exist was left out of it.
        kind: `users` or `interactions`.
        interactions: How many training interactions it comes to.
        notes: What it named, where something of that was left out.
        sha256: Of the copy; None in folders that were written before it was kept.
    """

    file: str
    drop: bool
    kind: Literal["users", "interactions"]
    interactions: int
    notes: Mapping[str, str | int | float] = {}
    sha256: str | None = None


def left_of(folder: Path, name: str, drop: bool, found: Given) -> Left:
    """What the copy of a list in `folder` comes to."""
    count, digest = len(found.events), content_digest(folder / name)
    return Left(file=name, drop=drop, kind=found.kind, interactions=count, notes=found.notes, sha256=digest)


class BaseUse(Config):
    """The base that a method started from.

    Attributes:
        folder: Where it lay, relative to the folder of the manifest where that is possible.
        sha256: Of its files.
    """

    folder: str
    sha256: str


class Manifest(Config):
    """How the model of a folder was made.

    Attributes:
        format: Of the manifest.
        made_by: `train` or `unlearn`.
        vestige: The version.
        data: Of what.
        recommender: The model, or the one that the base is.
        excluded: What `train` left out.
        forgotten: What `unlearn` was asked to forget.
        retained: The file in the folder whose users alone showed the method what to keep; None where all did.
        method: By which `unlearn` did.
        sha256: Of the model's files; None of a folder that an earlier version wrote.
        base: From which it started.
        seed, device, threads: Of the step.
        passes: Over the training data.
        cost: Seconds, FLOPs (None where they were not counted), trainable parameters, peak bytes.
        notes: What the step measured of itself.
    """

    format: Literal[1] = 1
    made_by: Literal["train", "unlearn"]
    vestige: str
    data: DataUse
    recommender: PluginUse
    excluded: tuple[Left, ...] = ()
    forgotten: Left | None = None
    retained: str | None = None
    method: PluginUse | None = None
    base: BaseUse | None = None
    sha256: str | None = None
    seed: int
    device: str
    threads: int
    passes: float
    cost: Mapping[str, float | None]
    notes: Mapping[str, str | int | float] = {}

    @pydantic.model_validator(mode="after")
    def _says_from_what(self) -> "Manifest":
        missing = [name for name in ("forgotten", "method", "base") if getattr(self, name) is None]
        if self.made_by == "unlearn" and missing:
            raise ValueError(f"what was unlearned has a {missing[0]}, and none is named")
        return self


@dataclass(frozen=True)
class Source:
    """The data that a model was made from, read again.

    Attributes:
        data: All interactions.
        part: int8 [events], as `vestige.data.request.hold_out` returns it.
    """

    data: Interactions
    part: npt.NDArray[np.int8]

    @property
    def catalogue(self) -> Catalogue:
        """All items."""
        return Catalogue(tuple(self.data.item_ids.tolist()))


def version() -> str:
    """Vestige's own."""
    return importlib.metadata.version("vestige")


def use_of(chosen: Chosen[Any]) -> dict[str, Any]:
    """The fields of `PluginUse`."""
    config = chosen.config.model_dump(mode="json")
    checksums = {key: content_digest(place) for key, place in chosen.config.places().items()}
    return {"name": chosen.spec.name, "version": chosen.spec.version, "config": config, "checksums": checksums}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        InputError: There is none, or it is damaged.
    """
    file = folder / MANIFEST
    if folder.is_file():
        raise InputError(
            f"{folder}: this is a file, and such files are never opened; name the folder that `vestige train` or "
            "`unlearn` wrote."
        )
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; one that `vestige train` or `unlearn` wrote is needed.")
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder}: it holds no {MANIFEST}, so it was not written by `vestige train` or `vestige unlearn`."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read ({error}).") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: an object is needed, not {type(values).__name__}.")
    return configs.validate(Manifest, values, str(file))


@contextlib.contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` when all is written; where something fails, nothing is left.

    Raises:
        InputError: `folder` holds something already, and `overwrite` is not set, or it was written by no step; it is
            where the command was started; a file that was to be read cannot be.
        StoreError: It cannot be written.
    """
    folder = home(folder).resolve()
    if Path.cwd().is_relative_to(folder):
        raise InputError(f"{folder}: this is where you are, and it would be replaced; name a folder inside it.")
    _may_be_written(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    try:
        with filelock.FileLock(partial / LOCK):
            (partial / MODEL).mkdir()
            yield partial
        (partial / LOCK).unlink(missing_ok=True)
        partial.chmod(0o755)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        why = error.strerror or error
        if isinstance(error.filename, str) and not Path(error.filename).is_relative_to(partial):
            raise InputError(f"{error.filename}: cannot be read ({why}).") from error
        raise StoreError(f"{folder}: cannot be written ({why}).") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    try:
        _may_be_written(folder, overwrite)  # somebody may have put something there in the meantime
        if overwrite and folder.exists():  # what was there goes only when all of the new one is in its place
            old = folder.with_name(f"{partial.name}.old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.rename(folder)  # which the system refuses where a folder is not empty
    except (OSError, InputError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else "something was put there meanwhile"
        kept = folder.with_name(partial.name.strip(".").removesuffix(".partial"))  # no leftover that is swept away
        with contextlib.suppress(OSError):
            partial = partial.rename(kept)
        raise StoreError(f"{folder}: cannot be put in its place ({why}); what was made lies in {partial}.") from error


def _may_be_written(folder: Path, overwrite: bool) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not overwrite:
            raise InputError(f"{folder}: something lies there already; name another folder, or give --overwrite.")
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{folder}: it was written by no step of Vestige (no {MANIFEST}); it is not overwritten.")


def _sweep(folder: Path) -> None:
    """Removes what steps that were killed left of `folder`: who still writes holds a lock, and what is somebody else's
    stays where it is.
    """
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.????????.partial"):  # as `tempfile` names them
        with contextlib.suppress(OSError), filelock.FileLock(left / LOCK).acquire(timeout=0):
            shutil.rmtree(left, ignore_errors=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes `vestige.json`."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def relative(place: Path, folder: Path) -> str:
    """`place` as seen from `folder`, or as it is where there is no way."""
    place, folder = (each.expanduser().resolve() for each in (place, folder))
    try:
        return os.path.relpath(place, folder)
    except ValueError:  # another drive
        return str(place)


def read_data(use: DataUse, plugins: Plugins, place: Path | None, where: str) -> Source:
    """The data that a model was made from.

    Args:
        use: What its manifest says of them.
        plugins: What is installed.
        place: Where they lie now, if not where they lay then.
        where: The manifest's file.

    Raises:
        InputError: They are not there, or are others.
    """
    settings = dict(use.config)
    if place is not None:
        settings[place_key(plugins.get(DatasetSpec, use.name, where))] = str(place)
    chosen = choose(plugins, DatasetSpec, PluginTable(name=use.name, **settings), f"{where}: data")
    source = load_data(chosen, use.holdout)
    if source.data.content_hash != use.content_hash:
        raise InputError(
            f"{where}: the model was made from other data than what lies there now (dataset {use.name!r}, another "
            "checksum); give the right data with --dataset_path."
        )
    return source


def load_data(chosen: Chosen[DatasetSpec], holdout: HoldoutConfig) -> Source:
    """Reads a dataset that is on this machine, and holds out what no model may see."""
    name = chosen.spec.name
    with blamed(f"the dataset {name!r}", but=(OSError,)):
        dataset: Dataset = chosen.spec.load()(chosen.config, cache_root() / "datasets" / name)
        if not dataset.is_local():
            dataset.fingerprint()  # says what is wrong where fetching would not help
            raise InputError(f"dataset {name!r} is not on this machine yet; run: vestige data fetch {name}")
        data = dataset.load()
    return Source(data, hold_out(data, holdout))


def place_key(spec: DatasetSpec) -> str:
    """The setting of a dataset that says where it lies.

    Raises:
        InputError: It has none.
    """
    for key in ("folder", "path"):
        if key in spec.config.model_fields:
            return key
    raise InputError(f"--dataset_path: dataset {spec.name!r} is read from nowhere else; leave --dataset_path out.")


def open_model(
    folder: Path,
    source: Source,
    plugins: Plugins,
    device: str,
    base: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Scorer:
    """The model of a folder: a recommender, or what a method made of one.

    Args:
        folder: What a step wrote.
        source: The data it was made from.
        plugins: What is installed.
        device: Where it shall run.
        base: Where its base lies, if not where the manifest says.
        settings: Of the recommender, laid over those it was trained with.

    Raises:
        InputError: Something is missing or damaged, or its base is another one.
    """
    manifest = read_manifest(folder)
    where = str(folder / MANIFEST)
    if manifest.made_by == "train":
        return open_recommender(folder, source, plugins, device, settings)
    _check_files(folder, manifest)
    assert manifest.base is not None and manifest.method is not None
    base = checked_base(folder, manifest, base)
    table = PluginTable(name=manifest.method.name, **manifest.method.config)
    chosen = choose(plugins, MethodSpec, table, f"{where}: method")
    method: Method = chosen.spec.load()(chosen.config)
    if isinstance(method, Loads):
        recommender = open_recommender(base, source, plugins, device, settings)
        return readable(lambda: method.load(folder / MODEL, recommender), str(folder / MODEL))
    return open_recommender(folder, source, plugins, device, settings)


def checked_base(folder: Path, manifest: Manifest, base: Path | None) -> Path:
    """The base that an unlearned model was made from; `base` where it is given.

    Raises:
        InputError: It is not there, or is another one than the manifest says.
    """
    assert manifest.base is not None
    found = base or folder / manifest.base.folder
    if not (found / MANIFEST).is_file():
        raise InputError(f"{folder / MANIFEST}: its base is not at {found}; say where it lies with --original_model.")
    if content_digest(found / MODEL) != manifest.base.sha256:
        raise InputError(
            f"{folder}: it was made from another base than the one at {found} (its files have another checksum)."
        )
    return found


def open_recommender(
    folder: Path, source: Source, plugins: Plugins, device: str, settings: Mapping[str, Any] | None = None
) -> Recommender:
    """The recommender that a folder holds, as `train`, or a method that changes its weights, wrote it."""
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    table = PluginTable(name=manifest.recommender.name, **{**manifest.recommender.config, **(settings or {})})
    chosen = choose(plugins, RecommenderSpec, table, f"{folder / MANIFEST}: recommender")

    def load() -> Recommender:
        model: Recommender = chosen.spec.load().load(folder / MODEL, chosen.config, source.catalogue, device)
        return model

    return readable(load, str(folder / MODEL))


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Checks that a model's files are those that were written.

    Raises:
        InputError: They are not.
    """
    if manifest.sha256 is not None and content_digest(folder / MODEL) != manifest.sha256:
        raise InputError(
            f"{folder / MODEL}: these are not the files that were written (another checksum); make the model again."
        )


ModelT = TypeVar("ModelT")


def readable(read: Callable[[], ModelT], where: str) -> ModelT:
    """What `read` returns.

    Raises:
        InputError: Files are damaged, of which libraries tell by every kind of error.
    """
    try:
        return read()
    except VestigeError:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise InputError(f"{where}: the model cannot be read ({type(error).__name__}: {said}).") from error
