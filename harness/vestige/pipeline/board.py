"""A board: what is run, read from `board.toml` and checked against the plugins that are installed."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import pydantic

from vestige import configs
from vestige.configs import Config
from vestige.data.request import HoldoutConfig, RequestConfig
from vestige.data.views import VIEWS
from vestige.errors import InputError, unknown
from vestige.pipeline import study as studies
from vestige.pipeline.own import OWN_ROWS, row_label
from vestige.pipeline.study import Study
from vestige.places import home
from vestige.plugins import Plugins
from vestige.recommenders.t5_config import WORDS
from vestige.specs import AttackSpec, DatasetSpec, MethodSpec, MetricSpec, RecommenderSpec, Spec

FILE = "board.toml"
SpecT = TypeVar("SpecT", bound=Spec)

ALWAYS = ("do_nothing", "retrain")
"""Methods that every board runs: they are base and gold in the table."""


class PluginTable(pydantic.BaseModel):
    """A plugin and its settings: `name`, maybe `preset`, and whatever keys the plugin's own config has."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    name: str
    preset: str | None = None

    def settings(self) -> dict[str, Any]:
        """The keys that belong to the plugin."""
        return dict(self.__pydantic_extra__ or {})


class MethodTable(PluginTable):
    """A method; the label tells presets of one method apart, `tuned` names the study that its settings are from."""

    label: str | None = None
    tuned: str | None = None


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is measured twice would stand twice in every table of results."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands twice; name it once")
    return values


class MetricsTable(pydantic.BaseModel):
    """Which metrics run, with `k` for all that take it; `[metrics.NAME]` holds what only that one takes."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    names: tuple[str, ...] = (
        "validity",
        "ranking",
        "collateral",
        "membership",
        "router",
        "fidelity",
        "overforgetting",
        "collapse",
        "recovery",
        "score",
        "cost",
    )
    k: tuple[pydantic.PositiveInt, ...] = (5, 10, 20)

    _distinct = pydantic.field_validator("names", "k")(_once)


class AttacksTable(pydantic.BaseModel):
    """Which attacks run, on which of the board's seeds (the first unless named); `[attacks.NAME]` holds settings."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    names: tuple[str, ...] = ("bypass", "evasion", "relearn", "quantise", "probe", "latency")
    seeds: tuple[int, ...] | None = None

    _distinct = pydantic.field_validator("names")(_once)


class ShadowsTable(pydantic.BaseModel):
    """Shadow models for the shadow attack: `count` of them (an even number; 0 for none), on the first of the board's
    seeds unless `seeds` are named; other keys are laid over the recommender's settings, so that shadows may be smaller.
    """

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    count: int = pydantic.Field(0, ge=0, multiple_of=2)
    seeds: tuple[int, ...] | None = None

    def settings(self) -> dict[str, Any]:
        """The keys that belong to the recommender."""
        return dict(self.__pydantic_extra__ or {})


class LimitsConfig(Config):
    """What one method may use: seconds of wall time and MiB of resident memory; None for no limit."""

    seconds: float | None = pydantic.Field(None, gt=0)
    memory_mib: int | None = pydantic.Field(None, gt=0)


class PublishedRow(Config):
    """A row of numbers that were published elsewhere, shown under the table and compared with nothing.

    Attributes:
        label: What the numbers are of.
        values: By the name they have there, or the nearest name here.
        reason: Why they cannot be compared with this board's.
    """

    label: str = pydantic.Field(min_length=1)
    values: Mapping[str, float] = pydantic.Field(min_length=1)
    reason: str = pydantic.Field(min_length=1)


class BoardConfig(Config):
    """`board.toml`. `remarks` say what people read in its results; a board that extends it inherits none."""

    title: str
    extends: str = ""
    seeds: tuple[int, ...] = pydantic.Field((0,), min_length=1)
    threads: int = pydantic.Field(2, ge=1)
    device: str = pydantic.Field("cpu", pattern="^(cpu|auto|cuda(:[0-9]+)?)$")
    recheck: bool = True
    swap: bool = False
    controls: bool = True
    dataset: PluginTable
    request: RequestConfig
    holdout: HoldoutConfig = HoldoutConfig()
    recommender: PluginTable
    method: tuple[MethodTable, ...] = ()
    metrics: MetricsTable = MetricsTable()
    attacks: AttacksTable = AttacksTable()
    shadows: ShadowsTable = ShadowsTable()
    limits: LimitsConfig = LimitsConfig()
    tolerance: Mapping[str, Annotated[float, pydantic.Field(ge=0, allow_inf_nan=True)]] = {}
    columns: tuple[str, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    remarks: tuple[Annotated[str, pydantic.Field(min_length=1)], ...] = ()

    @pydantic.field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("every seed must stand once")
        return seeds

    @property
    def attacked(self) -> frozenset[int]:
        """The seeds on which attacks run."""
        return frozenset(self.seeds[:1] if self.attacks.seeds is None else self.attacks.seeds)

    @property
    def shadowed(self) -> frozenset[int]:
        """The seeds on which shadow models are trained."""
        if not self.shadows.count:
            return frozenset()
        return frozenset(self.seeds[:1] if self.shadows.seeds is None else self.shadows.seeds)


@dataclass(frozen=True)
class Chosen(Generic[SpecT]):
    """A plugin with its resolved configuration."""

    spec: SpecT
    config: Config


@dataclass(frozen=True)
class ChosenMethod(Chosen[MethodSpec]):
    """A method of the board.

    Attributes:
        label: Of its row.
        study: That its settings were chosen in; None where the board alone says what they are.
    """

    label: str
    study: Study | None = None


@dataclass(frozen=True)
class Board:
    """A checked board.

    Attributes:
        name: Of its folder.
        folder: Where `board.toml` lies and `accepted/` may.
        shadow: The recommender with the settings of shadow models.
        stand_in_for: Of a study on a list: the board's own seeds, see `vestige.data.request.draw`.
    """

    name: str
    folder: Path
    config: BoardConfig
    dataset: Chosen[DatasetSpec]
    recommender: Chosen[RecommenderSpec]
    popularity: Chosen[RecommenderSpec]
    methods: tuple[ChosenMethod, ...]
    metrics: tuple[Chosen[MetricSpec], ...]
    attacks: tuple[Chosen[AttackSpec], ...]
    shadow: Chosen[RecommenderSpec]
    stand_in_for: tuple[int, ...] = ()


def shipped() -> dict[str, Path]:
    """The boards that come with Vestige, by name: in a wheel beside the code, in a checkout under `leaderboards/`."""
    here = Path(__file__).resolve().parents[1]
    for root in (here / "boards", here.parents[1] / "leaderboards"):
        boards = {file.parent.name: file.parent for file in sorted(root.glob(f"*/{FILE}"))}
        if boards:
            return boards
    return {}


def find(name: str, where: str = "") -> Path:
    """The folder of a board: a path with a `board.toml`, or the name of a board that ships.

    Args:
        name: Of it.
        where: It was named, where that is no command line.

    Raises:
        InputError: There is neither.
    """
    path = Path(name)
    if path.name == FILE and _there(path):
        return path.parent
    if _there(path / FILE):
        return path
    boards = shipped()
    if name in boards:
        return boards[name]
    if _there(path) and path.is_dir():
        raise InputError(
            f"{where}: {path}: this folder has no {FILE}." if where else f"{path}: this folder has no {FILE}."
        )
    raise unknown("board", name, boards, where)


def _there(path: Path) -> bool:
    """Whether something lies there; nothing does whose name a system refuses."""
    try:
        return path.exists()
    except OSError:
        return False


def load(
    name: str,
    plugins: Plugins,
    extra_methods: tuple[str, ...] = (),
    seeds: tuple[int, ...] | None = None,
    tuned: bool = True,
    only: tuple[str, ...] = (),
) -> Board:
    """Reads and checks a board.

    Args:
        name: See `find`.
        plugins: What the board may name.
        extra_methods: `NAME` or `NAME:preset`, added to the board's own.
        seeds: Instead of the board's own.
        tuned: False leaves the studies out that its rows name, which may not be made yet.
        only: Labels, `NAME` or `NAME:preset` of the board's own rows that are kept, unless empty; base, gold and the
            controls always are.

    Raises:
        InputError: Something in it cannot be used; names file, key, and the nearest valid one.
    """
    folder = find(name)
    file = folder / FILE
    values = _read(file, ())
    if seeds:
        values["seeds"] = list(seeds)
    config = configs.validate(BoardConfig, values, str(file))
    _check_idle(config, file)
    left_out = _left_out(config.method, only, extra_methods)
    if left_out:
        config = config.model_copy(update={"remarks": ()})  # said of a table with all rows
    dataset = choose(plugins, DatasetSpec, config.dataset, f"{file}: [dataset]")
    recommender = choose(plugins, RecommenderSpec, config.recommender, f"{file}: [recommender]")
    board = Board(
        name=folder.resolve().name,
        folder=folder,
        config=config,
        dataset=dataset,
        recommender=recommender,
        popularity=choose(plugins, RecommenderSpec, PluginTable(name="popularity"), str(file)),
        methods=tuple(
            method
            for method in _methods(plugins, config, (dataset, recommender) if tuned else None, extra_methods, file)
            if method.label not in left_out or method.spec.control
        ),
        metrics=tuple(_measures(plugins, MetricSpec, _metrics(config), {"k": config.metrics.k}, f"{file}: [metrics]")),
        attacks=tuple(_measures(plugins, AttackSpec, config.attacks, {}, f"{file}: [attacks]")),
        shadow=_shadow(plugins, config, file),
    )
    for table, named in (("attacks", config.attacks.seeds), ("shadows", config.shadows.seeds)):
        strange = sorted(set(named or ()) - set(config.seeds))
        if strange and not seeds:
            raise InputError(
                f"{file}: [{table}] seeds: {strange[0]} is none of the board's seeds {list(config.seeds)}."
            )
    _check_attempts(board, file)
    _check_names(board, [*config.tolerance, *config.columns], file)
    return board


PLACES = (("dataset", "path"), ("dataset", "folder"), ("request", "file"))
"""The keys that name a file or folder: relative to the board, and `${NAME}` stands for an environment variable."""

VARIABLE = re.compile(r"\$\{(\w+)\}")


def _placed(place: str, folder: Path) -> str:
    """The path that is meant; one whose variable is not set stays as it is, until `check_places` refuses it."""
    known = VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], place)
    return known if VARIABLE.search(known) else str(folder / home(known))


def _perhaps_placed(place: str, folder: Path) -> str:
    """The path that is meant; a word, or a name on a hub, stays as it is.

    A path is what lies there, or can be nothing else.
    """
    if place in WORDS:
        return place
    beside = folder / home(place)
    is_path = _there(beside) or place.startswith(("./", "../", "~")) or place.count("/") > 1
    return str(beside) if is_path else place


def check_places(board: Board) -> None:
    """Checks that the paths which a run reads are complete.

    A board whose variables are not set can be rendered, accepted and extended, but not run.

    Raises:
        InputError: A path names an environment variable that is not set.
    """
    tables = {"dataset": board.dataset.config, "request": board.config.request}
    for table, key in PLACES:
        place = getattr(tables[table], key, None)
        missing = VARIABLE.search(place) if isinstance(place, str) else None
        if missing:
            raise InputError(
                f"{board.folder / FILE}: [{table}] {key} = {place!r}: the environment variable {missing[1]} is not "
                f"set; set it to the folder that stands there, as in {missing[1]}=/data vestige plan {board.name}."
            )


def _read(file: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """The file's tables, laid over those of the board it extends."""
    values = _own(file)
    parent = values.get("extends")
    if not parent:
        return values
    if not isinstance(parent, str):
        raise InputError(f"{file}: extends: the name or folder of a board is needed, not {parent!r}.")
    above = _extended(file, parent)
    if above.resolve() in (*chain, file.resolve()):
        raise InputError(f"{file}: extends: {parent!r} leads back to this board.")
    below = _read(above, (*chain, file.resolve()))
    below.pop("remarks", None)  # said of the other board's results
    return _laid_over(below, values)


def _own(file: Path) -> dict[str, Any]:
    """What the file itself says, its paths relative to no folder any more."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: the file is not UTF-8 (byte {error.start}).") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: this is not TOML: {error}.") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from None
    for table, key in PLACES:
        # A path is relative to the board that names it, wherever the command is started.
        place = values[table].get(key) if isinstance(values.get(table), dict) else None
        if isinstance(place, str):
            values[table][key] = _placed(place, file.parent)
    for table, key in (("recommender", "init"), ("recommender", "items"), ("shadows", "init"), ("shadows", "items")):
        place = values[table].get(key) if isinstance(values.get(table), dict) else None
        if isinstance(place, str):
            values[table][key] = _perhaps_placed(place, file.parent)
    for table in values["method"] if isinstance(values.get("method"), list) else ():
        if isinstance(table, dict) and isinstance(table.get("tuned"), str):
            table["tuned"] = str(file.parent / home(table["tuned"]))
    return values


def written_list(name: str) -> str | None:
    """The `[request] file` of a board, its own or that of the one it extends, as it was written, with its variables."""
    file = find(name) / FILE
    while True:
        values = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
        if place := values.get("request", {}).get("file"):
            return str(place)
        if not values.get("extends"):
            return None
        file = _extended(file, values["extends"])


def _extended(file: Path, parent: str) -> Path:
    """The file of the board that another one names."""
    beside = file.parent / parent
    return (beside if (beside / FILE).is_file() else find(parent, f"{file}: extends")) / FILE


def _check_idle(config: BoardConfig, file: Path) -> None:
    """Whoever writes down a setting believes that it does something; what a board inherits it did not write."""
    own = _own(file)
    for table, of in (("request", config.request), ("holdout", config.holdout)):
        for setting in of.idle(own.get(table, {})):
            raise InputError(f"{file}: [{table}] {setting}; here it would change nothing.")


SIZES = {"count", "fraction", "file"}
OF_STREAMS = {"of", "steps"}


def _laid_over(below: dict[str, Any], above: dict[str, Any], table: str = "") -> dict[str, Any]:
    out = dict(below)
    if table == "request" and SIZES & above.keys():  # a request has one size, so another one replaces it
        replaced = SIZES if "file" in above else {*SIZES, "missing"}
        out = {key: value for key, value in out.items() if key not in replaced}
    if table == "request" and out.get("kind") == "stream" and above.get("kind", "stream") != "stream":
        out = {key: value for key, value in out.items() if key not in OF_STREAMS}
    for key, value in above.items():
        old = out.get(key)
        if not (isinstance(old, dict) and isinstance(value, dict)):
            out[key] = value
            continue
        # Another plugin, or another preset, does not inherit the settings of the one it replaces.
        same = all(value.get(of, old.get(of)) == old.get(of) for of in ("name", "preset"))
        inherited = old if same else {of: old[of] for of in ("name",) if of in old}
        out[key] = _laid_over(inherited, value, f"{table}.{key}" if table else key)
    return out


def choose(
    plugins: Plugins, kind: type[SpecT], table: PluginTable, where: str, tuned: Mapping[str, Any] | None = None
) -> Chosen[SpecT]:
    """A plugin with its settings checked: the preset's, a study's over them, the table's own over both.

    Raises:
        InputError: It, a preset or a setting does not exist; begins with `where`.
    """
    spec = plugins.get(kind, table.name, where)
    values = configs.preset_values(spec.presets, table.preset, {**(tuned or {}), **table.settings()}, where)
    return Chosen(spec, configs.validate(spec.config, values, where))


def _shadow(plugins: Plugins, config: BoardConfig, file: Path) -> Chosen[RecommenderSpec]:
    own = config.shadows.settings()
    # A preset gives a shape, so it takes the place of the recommender's, and the shadows' own keys are laid over it.
    values = {**config.recommender.model_dump(), **own}
    return choose(plugins, RecommenderSpec, PluginTable(**values), f"{file}: [shadows]")


Tuned = tuple[Chosen[DatasetSpec], Chosen[RecommenderSpec]]
"""What a study must have been made with, or its settings say nothing here."""


def _methods(
    plugins: Plugins, config: BoardConfig, of: Tuned | None, extra: tuple[str, ...], file: Path
) -> tuple[ChosenMethod, ...]:
    tables = [(table, f"{file}: [[method]] {number}") for number, table in enumerate(config.method, start=1)]
    for text in extra:
        plugin, _, preset = text.partition(":")
        tables.append((MethodTable(name=plugin, preset=preset or None), f"--method {text}"))
    named = {table.name for table, _ in tables}
    tables = [(MethodTable(name=name), str(file)) for name in ALWAYS if name not in named] + tables
    if config.controls:
        controls = [name for name, spec in plugins.all(MethodSpec).items() if spec.control and name not in named]
        tables += [(MethodTable(name=name), str(file)) for name in controls]
    out: dict[str, ChosenMethod] = {}
    for table, where in tables:
        study = _study(table, config, of, where) if table.tuned and of else None
        chosen = choose(plugins, MethodSpec, table, where, study.settings if study else None)
        label = _label(table)
        name = slug(label)
        if not name:
            raise InputError(f"{where}: the label {label!r} has no letter or digit to name its records by.")
        if name in out:
            raise InputError(f"{where}: the label {label!r} is taken; give this method another label.")
        if name in REFERENCES:
            raise InputError(f"{where}: the label {label!r} is the name of a reference row; give another label.")
        out[name] = ChosenMethod(chosen.spec, chosen.config, label, study)
    own = {slug(row_label(method.label, role)) for method in out.values() if method.spec.own_base for role in OWN_ROWS}
    for name in own & out.keys():
        raise InputError(f"{file}: the label {out[name].label!r} is taken by a method's own row; give another label.")
    return tuple(out.values())


def _left_out(tables: tuple[MethodTable, ...], only: tuple[str, ...], extra: tuple[str, ...]) -> frozenset[str]:
    """Labels of the board's rows that are not named by their label, their method, or their method and preset; an added
    method may be named too, and stays in any case.
    """
    if not only:
        return frozenset()
    names = {_label(t): {_label(t), t.name, *([f"{t.name}:{t.preset}"] if t.preset else [])} for t in tables}
    for text in only:
        if text not in extra and not any(text in of for of in names.values()):
            raise unknown("row", text, [*names, *extra], "--only")
    return frozenset(label for label, of in names.items() if not of & {*only, *ALWAYS})


def _label(table: MethodTable) -> str:
    """Of the row."""
    return table.label or (f"{table.name} ({table.preset})" if table.preset else table.name)


def _study(table: MethodTable, config: BoardConfig, of: Tuned, where: str) -> Study:
    """The study that a row names, which must be of this method and of the board's data, request and recommender."""
    study = studies.read(Path(str(table.tuned)))
    own = f"{table.name}:{table.preset}" if table.preset else table.name
    dataset, recommender = of
    named = f"{where}: tuned: {Path(str(table.tuned)).name} is a study"
    if study.name != own:
        raise InputError(f"{named} of {study.name!r}, but this row is {own!r}.")
    for what, same in (
        ("dataset", studies.same_settings(study.dataset, dataset.spec, dataset.config)),
        ("request", studies.same_table(study.request, config.request)),
        ("holdout", studies.same_table(study.holdout, config.holdout)),
        ("recommender", studies.same_settings(study.recommender, recommender.spec, recommender.config)),
    ):
        if not same:
            raise InputError(
                f"{named} with another [{what}] than the board's; run `vestige tune` on this board, or give it "
                "rows of its own."
            )
    shared = sorted({*study.seeds} & {*config.seeds})
    if shared:
        raise InputError(
            f"{named} on the seed {shared[0]}, which is one of the board's: settings would be judged by what they were "
            "chosen on; tune on another seed."
        )
    if study.chosen is None:
        raise InputError(f"{named} whose trials all failed, so there is nothing to take from it.")
    return study


def slug(label: str) -> str:
    """A label as part of a file name."""
    kept = "".join(c if c.isalnum() else "-" for c in label.lower())
    return "-".join(part for part in kept.split("-") if part)


REFERENCES = ("control", "recheck", "popularity")
"""Rows that are no methods: other retrainings, and the popularity list."""


def _metrics(config: BoardConfig) -> MetricsTable:
    """Those of the board; and of a stream, what is left of its oldest request; of items, who still finds them."""
    of_kind = {FIRST_REQUEST: config.request.kind == "stream", WITHDRAWN: config.request.names == "items"}
    more = [name for name, holds in of_kind.items() if holds and name not in config.metrics.names]
    return config.metrics.model_copy(update={"names": (*config.metrics.names, *more)}) if more else config.metrics


FIRST_REQUEST, WITHDRAWN = "first_request", "withdrawn"


def _measures(
    plugins: Plugins,
    kind: type[SpecT],
    table: MetricsTable | AttacksTable,
    shared: Mapping[str, Any],
    where: str,
) -> list[Chosen[SpecT]]:
    own = dict(table.__pydantic_extra__ or {})
    for name, value in own.items():
        if name not in plugins.all(kind):
            raise unknown("key", name, [*plugins.all(kind), *type(table).model_fields], where)
        if not isinstance(value, dict):
            raise InputError(f"{where}: {name}: a table of settings is needed, not {value!r}.")
    out = []
    for name in table.names:
        spec = plugins.get(kind, name, where)
        values = {key: value for key, value in shared.items() if key in spec.config.model_fields}
        settings = configs.validate(spec.config, {**values, **own.get(name, {})}, f"{where[:-1]}.{name}]")
        out.append(Chosen(spec, settings))
    return out


def _check_names(board: Board, names: list[str], file: Path) -> None:
    """Checks `metric/view` names, such as tolerances are given for."""
    metrics = measure_names(board)
    for name in names:
        metric, slash, view = name.partition("/")
        if metric not in metrics:
            raise unknown("metric", metric, metrics, f"{file}: {name!r}")
        if slash and view not in VIEWS:
            raise unknown("view", view, VIEWS, f"{file}: {name!r}")


def measure_names(board: Board) -> list[str]:
    """Every name that the board's metrics may yield."""
    names = set(_of_metrics(board))
    for attack in board.attacks:
        names |= set(_of_attempts(attack.spec))
    return sorted(names)


def _of_metrics(board: Board) -> dict[str, str]:
    """What its metrics may yield, and which one does."""
    return {
        name.replace("{k}", str(k)): chosen.spec.name
        for chosen in board.metrics
        for name in chosen.spec.measures
        for k in (board.config.metrics.k if "{k}" in name else (0,))
    }


def _of_attempts(spec: AttackSpec) -> list[str]:
    """What becomes of an attack's attempts."""
    return [*(f"recovery:{name}" for name in spec.recovers), *(f"auc_{name}" for name in spec.tells)]


def _check_attempts(board: Board, file: Path) -> None:
    """Two attempts of one name would be one measurement, and one of them silently the other's."""
    taken = {name: f"the metric {metric!r}" for name, metric in _of_metrics(board).items()}
    for attack in board.attacks:
        for name in _of_attempts(attack.spec):
            if name in taken:
                raise InputError(
                    f"{file}: [attacks]: {attack.spec.name!r} and {taken[name]} would both give {name}; leave one out, "
                    "or have its author name the attempt otherwise."
                )
            taken[name] = f"the attack {attack.spec.name!r}"
