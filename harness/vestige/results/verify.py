"""Checks a results folder that somebody submits: that it is of the board it names, whole, and consistent in itself.

Each check is one function of the folder and the board that returns one `Step`. What only another run can tell is in
`vestige.results.rerun`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from vestige.errors import InputError
from vestige.measuring.statistics import Bootstrap
from vestige.pipeline.board import Board, slug
from vestige.pipeline.inputs import Inputs
from vestige.pipeline.keys import LIBRARIES, canonical
from vestige.pipeline.own import OWN_ROWS
from vestige.pipeline.plan import Cell, plan
from vestige.plugins import Plugins
from vestige.results.accepted import (
    aggregates,
    edited,
    gives,
    is_user_mean,
    of_other_replicates,
    other_interval,
    unkept,
)
from vestige.results.collect import about_of, identity_of, keys_of
from vestige.results.records import SCHEMA, Finished
from vestige.results.restoring import SAME, restored
from vestige.results.sides import Side, read_side
from vestige.specs import MethodSpec

JSON_SCHEMA = 1


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAIL = "FAIL"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Step:
    """One check.

    Attributes:
        message: What was looked at; where it failed, what is wrong and what would be right.
    """

    name: str
    status: Status
    message: str


@dataclass(frozen=True)
class Verification:
    """What `vestige verify` says of a folder."""

    board: str
    folder: Path
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(step.status is not Status.FAIL for step in self.steps)

    def lines(self) -> list[str]:
        """One line a check, and the verdict."""
        width = max(len(step.name) for step in self.steps)
        lines = [f"{step.status:8}  {step.name:{width}}  {step.message}" for step in self.steps]
        failed = sum(step.status is Status.FAIL for step in self.steps)
        verdict = f"{failed} of {len(self.steps)} checks failed" if failed else "verified"
        return [*lines, f"{self.folder}, board {self.board}: {verdict}"]

    def to_json(self) -> str:
        """For machines."""
        content = {
            "schema_version": JSON_SCHEMA,
            "board": self.board,
            "ok": self.ok,
            "checks": [{"name": s.name, "status": s.status, "message": s.message} for s in self.steps],
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Submission:
    """A folder, and the board it should be of.

    Attributes:
        side: Its results.
        board, plugins, inputs: The board as it is here, with the rows that `--method` adds for the folder's own.
        missing: Rows whose method is not installed here, by label, with what to install.
        strange: Rows that the board cannot have, by label, with the reason.
    """

    side: Side
    board: Board
    plugins: Plugins
    inputs: Mapping[int, Inputs]
    missing: Mapping[str, str]
    strange: Mapping[str, str]

    def planned(self, versions: Mapping[str, str]) -> dict[str, Cell]:
        """The cells of the board by name, as they would be with these versions of the libraries."""
        return {cell.id: cell for cell in plan(self.board, self.plugins, self.inputs, versions).cells}


def read(folder: Path) -> tuple[Side | None, Step]:
    """The results of a folder, and whether everything in it can be read.

    Raises:
        InputError: It holds no records at all, so there is nothing to verify.
    """
    if not any((folder / "records").glob("*.json")):
        raise InputError(f"{folder}: there are no records here; name the folder that a run wrote, or accepted/.")
    try:
        side = read_side(folder)
        fault = next(_malformed(side), "")
    except InputError as error:
        return None, Step("schema", Status.FAIL, str(error))
    if fault:
        return None, Step("schema", Status.FAIL, fault)
    cells = len(side.results.every)
    return side, Step("schema", Status.OK, f"{cells} records of schema version {SCHEMA}, and the values of their users")


def _malformed(side: Side) -> Iterator[str]:
    for key, kind in (("labels", list), ("seeds", list), ("k", list), ("columns", list), ("name", str), ("title", str)):
        if not isinstance(side.results.about.get(key), kind):
            yield f"{side.folder / 'board.json'}: {key!r} is missing; run the board again."
    boards = sorted({item.record.identity.board for item in side.results.finished})
    if len(boards) > 1:
        yield f"{side.folder}: the records are of several boards: {', '.join(boards)}; one folder holds one board."
    for file in sorted((side.folder / "records").glob("*.json")):
        stem = file.name.removesuffix(".json").removesuffix(".run")
        if not file.with_name(f"{stem}.json").is_file():
            yield f"{file}: there is no record {stem}.json that it would be of."
            continue
        content = json.loads(file.read_bytes())
        cell = content["cell"] if file.name.endswith(".run.json") else content["identity"]["cell"]
        if stem != cell:
            yield f"{file}: it is of the cell {cell!r}; a record's name is that of its cell."
    earlier = {item.record.identity.cell for item in side.results.earlier}
    for item in side.results.every:
        identity = item.record.identity
        step = f"-step{identity.step}" if identity.cell in earlier else ""
        if identity.cell != f"{slug(identity.label)}-s{identity.seed}{step}":
            yield (
                f"the record {identity.cell!r} is of {identity.label!r}, seed {identity.seed}; its name must be "
                f"{slug(identity.label)}-s{identity.seed}{step}."
            )
        for m in item.measurements:
            if not np.isfinite([v for v in (m.value, *(m.interval or ())) if v is not None]).all():
                yield f"{identity.cell}: {m.name} is not a finite number; a value that is missing is null, with a note."
            if m.interval is not None and m.interval[0] > m.interval[1]:
                yield f"{identity.cell}: the interval of {m.name} ends before it begins."


def added_rows(side: Side, board: Board, plugins: Plugins) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """The folder's rows that the board itself does not have: what `--method` must name so that it has them, those whose
    method is not installed, and those that it cannot have; see `Submission`.
    """
    own = {method.label for method in board.methods}
    specs = plugins.all(MethodSpec)
    extra: dict[str, str] = {}
    missing: dict[str, str] = {}
    strange: dict[str, str] = {}
    for item in side.results.finished:
        identity = item.record.identity
        label, method = identity.label, identity.method
        if identity.row != "method" or label in own or method is None:
            continue
        if method.name not in specs:
            missing[label] = (
                f"the method {method.name!r} of the row {label!r} is not installed here; install "
                f"{method.distribution} {method.distribution_version}"
            )
            continue
        words = {method.name: method.name}
        words |= {f"{method.name} ({preset})": f"{method.name}:{preset}" for preset in specs[method.name].presets}
        if label in words:
            extra[label] = words[label]
        else:
            strange[label] = (
                f"the row {label!r} is neither the board's nor one that --method adds to it; that would be called "
                f"{' or '.join(words)}"
            )
    for item in side.results.finished:  # rows of a method's own base and gold go with the method's
        label, row = item.record.identity.label, item.record.identity.row
        owner = label.removesuffix(f": {row}")
        for reasons in (missing, strange):
            if row in OWN_ROWS.values() and owner in reasons:
                reasons[label] = reasons[owner]
    return list(extra.values()), missing, strange


OF_USERS = ("values", "intervals")
"""Checks that look users up by their row numbers."""


def steps(submitted: Submission) -> list[Step]:
    """Every check that needs no run."""
    checks: tuple[tuple[str, Callable[[Submission], Iterator[str]], str], ...] = (
        ("cells", _cells, "every row and seed of the board is there and was measured, and no other"),
        ("settings", _settings, "dataset, request, recommender, methods and metrics are set as the board has them"),
        ("keys", _keys, "data, split and every model are those that the board gives here"),
        ("users", _users, "users are row numbers, each once a measurement"),
        ("values", _values, "every value fits the values of its users"),
        ("intervals", _intervals, "every interval that can be computed again is as stated"),
    )
    out: list[Step] = []
    for name, check, fine in checks:
        if name in OF_USERS and any(step.name == "users" and step.status is Status.FAIL for step in out):
            out.append(Step(name, Status.LEFT_OUT, "users must be row numbers for it; mend that first"))
        else:
            out.append(_step(name, list(check(submitted)), fine))
    if submitted.missing:
        why = "; ".join(dict.fromkeys(submitted.missing.values()))
        out.append(
            Step("plugins", Status.LEFT_OUT, f"{why}; what these rows' own settings and keys must be is not known")
        )
    return out


def _step(name: str, faults: Sequence[str], fine: str) -> Step:
    if not faults:
        return Step(name, Status.OK, fine)
    more = f" ({len(faults) - 1} more of the kind)" if len(faults) > 1 else ""
    return Step(name, Status.FAIL, f"{faults[0]}{more}.")


def _cells(submitted: Submission) -> Iterator[str]:
    found = {item.record.identity.cell: item for item in submitted.side.results.every}
    yield from submitted.strange.values()
    expected = submitted.planned(_versions(submitted.side.results.finished[0]) or {})
    for cell in expected.values():
        if cell.id not in found:
            yield f"the cell {cell.id} is missing; the board has the row {cell.label!r} with seed {cell.seed}"
    for item in found.values():
        identity, outcome = item.record.identity, item.record.outcome
        known = identity.cell in expected or identity.label in submitted.strange
        # A row whose method is not here is still one of the board's seeds.
        if not known and (identity.label not in submitted.missing or identity.seed not in submitted.inputs):
            yield f"the board has no cell {identity.cell}; its seeds are {list(submitted.board.config.seeds)}"
        if not item.record.ok:
            yield f"{identity.cell} was not measured ({outcome.status}: {outcome.message}); every cell must be"


def _settings(submitted: Submission) -> Iterator[str]:
    about, right = submitted.side.results.about, about_of(submitted.board, ())
    # The last two stand where there are any.
    for key in ("title", "columns", "k", "seeds", "attacked_by", "steps", "tuned"):
        if about.get(key) != right.get(key):
            yield f"board.json: {key} is {about.get(key)!r}, but here it is {right.get(key)!r}"
    labels = sorted({item.record.identity.label for item in submitted.side.results.every})
    if sorted(about.get("labels", [])) != labels:
        yield f"board.json: labels are {about.get('labels')!r}, but the records are of {labels!r}"
    for key in ("published", "remarks"):  # what stands under the tables is the board's to say
        if about.get(key, []) != right.get(key, []):
            yield f"board.json: {key} are not what the board says under its tables; leave them as the run wrote them"
    for item, cell in _pairs(submitted):
        mine = item.record.identity.model_dump(mode="json")
        ours = identity_of(submitted.board, submitted.plugins, cell).model_dump(mode="json")
        for key, (stated, right) in _differences(mine, ours).items():
            yield f"{item.record.identity.cell}: {key} is {stated!r}, but here it is {right!r}"
    yield from _notes(submitted)


def _notes(submitted: Submission) -> Iterator[str]:
    """What is said of data and request, and which way is better: tables and verdicts rest on it."""
    ways: dict[str, tuple[str, str, str]] = {}
    for item in submitted.side.results.every:
        identity, notes = item.record.identity, item.record.outcome.notes
        known = submitted.inputs.get(identity.seed)
        for part in ("dataset", "request"):
            right = dict(known.notes[part]) if known and part in known.notes else notes.get(part)
            if notes.get(part) != right and identity.step is None:
                yield f"{identity.cell}: the notes of the {part} are {notes.get(part)}, but here they are {right}"
        for m in item.measurements:
            first, better, unit = ways.setdefault(m.name, (identity.cell, m.better, m.unit))
            if (better, unit) != (m.better, m.unit):
                yield (
                    f"{identity.cell}: of {m.name} {m.better!r} is better, in {m.unit or 'no unit'}, but of {first} "
                    f"{better!r}, in {unit or 'no unit'}"
                )


def _keys(submitted: Submission) -> Iterator[str]:
    plans: dict[str, dict[str, Cell]] = {}
    for item in submitted.side.results.every:
        identity, versions = item.record.identity, _versions(item)
        if versions is None:
            yield f"{identity.cell}.run.json: the versions of {', '.join(LIBRARIES)} must all be stated"
            continue
        if canonical(versions) not in plans:
            plans[canonical(versions)] = submitted.planned(versions)
        cells = plans[canonical(versions)]
        cell = cells.get(identity.cell)
        beside = (other for other in cells.values() if (other.seed, other.step) == (identity.seed, identity.step))
        same_seed = cell or next(beside, None)
        if same_seed is None:
            continue  # told of already: the board has no such seed
        stated, wanted = item.record.keys, keys_of(same_seed)
        if cell is None:  # a row whose method is not here still stands on the board's data, split and roles
            stated, wanted = (_of_board(keys) for keys in (stated, wanted))
        for key, (mine, right) in _differences(stated, wanted).items():
            if key != "measure":  # other sources of a metric make another key; what came of them, a re-run tells
                yield (
                    f"{identity.cell}: the key of {KEYS.get(key, key)} is {_short(mine)}, but with {_named(versions)} "
                    f"the board gives {_short(right)} here; {REASONS.get(key, REASON)}"
                )


def _of_board(keys: Mapping[str, Any]) -> dict[str, Any]:
    """What every row of a board and seed stands on, whatever roles its method brings."""
    roles = {**keys.get("roles", {}), **keys.get("board_roles", {})}
    return {"data": keys.get("data"), "split": keys.get("split"), "roles": roles}


KEYS = {"data": "the data", "split": "the split", "subject": "the model"}
REASONS = {
    "data": "the dataset has other content",
    "split": "it is of another seed, request or holdout",
}
REASON = "other settings, code of a plugin, or version of Vestige"


def _users(submitted: Submission) -> Iterator[str]:
    side = submitted.side
    schema = pq.read_schema(side.folder / "per_user.parquet")
    columns = {"cell", "metric", "view", "user", "value"}
    if set(schema.names) != columns:
        strange = ", ".join(sorted(set(schema.names) ^ columns))
        yield f"per_user.parquet must have the columns {', '.join(sorted(columns))} and no others: {strange}"
        return
    data = [inputs.notes["dataset"] for inputs in submitted.inputs.values()]
    # Withdrawn items are units of their own, which stand after the users.
    of_items = submitted.board.config.request.names == "items"
    most = max(int(one["users"]) + (int(one["items"]) if of_items else 0) for one in data)
    for (cell, name), of in side.per_user.items():
        if not np.issubdtype(of.users.dtype, np.integer) or (of.users < 0).any() or (of.users >= most).any():
            yield f"{cell}: the users of {name} must be row numbers from 0 to {most - 1}, not ids"
        elif len(np.unique(of.users)) != len(of.users):
            yield f"{cell}: a user has several values of {name}; each has one"


def _values(submitted: Submission) -> Iterator[str]:
    side = submitted.side
    measured = {
        (item.record.identity.cell, m.name): m
        for item in side.results.finished
        for m in item.measurements
        if m.value is not None
    }
    for key in side.per_user:
        if key not in measured:
            yield f"per_user.parquet has values of {key[1]} of {key[0]}, which has no such measurement"
    known = {(item.record.identity.cell, m.name) for item in side.results.every for m in item.measurements}
    for key in side.results.replicates:
        if key not in known:
            yield f"bootstrap.parquet has replicates of {key[1]} of {key[0]}, which has no such measurement"
    for item, m in unkept(side):
        yield f"per_user.parquet has no values of {m.name} of {item.record.identity.cell}, whose mean that is"
    kept = {name for _, name in side.per_user}
    for cell, name in measured:
        if name in kept and (cell, name) not in side.per_user:
            yield f"per_user.parquet has no values of {name} of {cell}, though it has those of other cells"
    for item, m, of in edited(side):
        yield (
            f"{item.record.identity.cell}: {m.name} is {m.value:.6g}, but the values of its {len(of.users)} users have "
            f"the mean {of.values.mean():.6g}"
        )


def _intervals(submitted: Submission) -> Iterator[str]:
    side = submitted.side
    yield from (other_interval(item, m, r, "bootstrap.parquet") for item, m, r in of_other_replicates(side))
    # Of others a like interval does not say that it is a plain mean: some allow for what they are compared with.
    plain = {(i.record.identity.cell, m.name) for i in side.results.finished for m in i.measurements if is_user_mean(m)}
    for key, right in restored(side.results, side.per_user).items():
        stated_ones = side.results.replicates.get(key) if key in plain else None
        if stated_ones is not None and not np.allclose(stated_ones, right[: len(stated_ones)], rtol=SAME, atol=SAME):
            yield f"{key[0]}: the replicates of {key[1]} in bootstrap.parquet are not those that its users' values give"
    users = max((int(of.users.max(initial=0)) for of in side.per_user.values()), default=0)
    bootstrap = Bootstrap(users + 1)
    for means, rows in aggregates(side):
        stated = [row for row in rows if row[1].interval is not None] if means else []
        found = [
            (item, m, replicates)
            for item, m, of in stated
            if not gives(m, replicates := bootstrap.mean(of.users, of.values).replicates)
        ]
        # Some statistics are means whose interval also allows for what they are compared with; there most rows differ.
        if len(found) < len(stated) / 2:
            yield from (other_interval(*one, "its users' values") for one in found)


def _pairs(submitted: Submission) -> Iterator[tuple[Finished, Cell]]:
    """The records whose cell the board has."""
    cells = submitted.planned(_versions(submitted.side.results.finished[0]) or {})
    for item in submitted.side.results.every:
        if item.record.identity.cell in cells:
            yield item, cells[item.record.identity.cell]


def _versions(item: Finished) -> dict[str, str] | None:
    """Of the libraries that results depend on, as a record states them; None where it does not."""
    stated = item.run.provenance.get("libraries")
    if not isinstance(stated, dict) or not all(isinstance(stated.get(name), str) for name in LIBRARIES):
        return None
    return {name: stated[name] for name in LIBRARIES}


def _differences(one: Mapping[Any, Any], other: Mapping[Any, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """What is not the same in two nested tables, by the path to it: (one, other)."""
    out: dict[str, tuple[Any, Any]] = {}
    for key in [*other, *(key for key in one if key not in other)]:
        mine, its = (
            dict(enumerate(value)) if isinstance(value, list) and any(isinstance(v, dict) for v in value) else value
            for value in (one.get(key), other.get(key))
        )
        if isinstance(mine, dict) and isinstance(its, dict):
            out |= _differences(mine, its, f"{prefix}{key}.")
        elif mine != its:
            out[f"{prefix}{key}"] = (mine, its)
    return out


def _short(key: object) -> str:
    return f"{key[:12]}…" if isinstance(key, str) else "none"


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
