"""Turns a board into jobs: which models are trained, which methods run on them, what is measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vestige import seeds
from vestige.data.request import Part
from vestige.pipeline.board import Board, Chosen, ChosenMethod, slug
from vestige.pipeline.inputs import Inputs
from vestige.pipeline.jobs import Job
from vestige.pipeline.keys import content_digest, key_of, library_versions
from vestige.pipeline.own import OWN_ROWS, paired, row_label
from vestige.pipeline.sources import source_digest
from vestige.pipeline.store import Store
from vestige.plugins import Plugins

VERSIONS = {"train": 2, "unlearn": 2, "score": 4, "attack": 1, "measure": 4}
"""Of what the stages do; a change to the core that changes results raises the one it belongs to."""

ROLE_PARTS = {
    "base": (Part.RETAINED, Part.FORGET),
    "gold": (Part.RETAINED,),
    "control": (Part.RETAINED,),
    "recheck": (Part.RETAINED,),
    "swap": (Part.RETAINED, Part.UNSEEN),
    "popularity": (Part.RETAINED,),
}


WITHOUT = ("gold", "control", "recheck", "popularity")
"""The roles that are trained without what was asked for so far."""


@dataclass(frozen=True)
class Cell:
    """One row and seed of a board.

    Attributes:
        id: Of its record.
        label: Of its row.
        row: `method`, or the name of a reference row.
        job: The measurement that is its result.
        step: Of a stream, after how many of its requests it is measured; else None.
        last: Whether it is the row's result; what was measured after an earlier step of a stream is not.
    """

    id: str
    label: str
    row: str
    method: ChosenMethod | None
    seed: int
    job: Job
    step: int | None = None
    last: bool = True


@dataclass(frozen=True)
class Plan:
    """All cells of a board and all jobs they stand on, each after what it needs."""

    cells: tuple[Cell, ...]
    jobs: tuple[Job, ...]

    def missing(self, store: Store, besides: Iterable[tuple[str, str]] = ()) -> list[Job]:
        """The jobs that must run so that every cell has its result, judged by the store alone.

        Args:
            besides: Jobs of the plan, as (stage, key), whose artifacts must be there as well.
        """
        by_id = {job.id: job for job in self.jobs}
        wanted: set[tuple[str, str]] = set()
        stack = [*(cell.job.id for cell in self.cells), *besides]
        while stack:
            identity = stack.pop()
            if identity in wanted or store.get(*identity):
                continue
            wanted.add(identity)
            stack += by_id[identity].needs
        return [job for job in self.jobs if job.id in wanted]


def plan(
    board: Board,
    plugins: Plugins,
    inputs: Mapping[int, Inputs],
    versions: Mapping[str, str] | None = None,
    held_out: Part = Part.TEST,
) -> Plan:
    """The plan of a board.

    Args:
        inputs: Data and split of every seed, as `vestige.pipeline.inputs.prepare` made them.
        versions: Of the libraries that results depend on; those installed here unless given. With others the plan can
            be compared with, and not run.
        held_out: Which held-out items the views ask for; see `vestige.data.views.build`.
    """
    cells: list[Cell] = []
    jobs: dict[tuple[str, str], Job] = {}
    for seed in board.config.seeds:
        request, planner = board.config.request, None
        for step in range(1, request.requests + 1) if request.kind == "stream" else (None,):
            planner = _Planner(
                board, plugins, inputs[seed], seed, versions or library_versions(), step, planner, held_out
            )
            cells += planner.cells()
            jobs.update((job.id, job) for job in planner.jobs)
    return Plan(tuple(cells), tuple(jobs.values()))


class _Planner:
    """One seed of a board; of a stream, one step of it, after the one that `before` planned."""

    def __init__(
        self,
        board: Board,
        plugins: Plugins,
        inputs: Inputs,
        seed: int,
        versions: Mapping[str, str],
        step: int | None = None,
        before: "_Planner | None" = None,
        held_out: Part = Part.TEST,
    ) -> None:
        self.step, self.before = step, before
        self.last = step is None or step == board.config.request.requests
        self.unlearned: dict[tuple[str, str], str] = {}
        self.board, self.plugins, self.inputs, self.seed = board, plugins, inputs, seed
        self.jobs: list[Job] = []
        config = board.config
        self.roles = ["base", "gold", "control"]
        self.roles += ["recheck"] if config.recheck else []
        self.roles += ["swap"] if config.swap else []
        self.environment = {"device": _device(config.device), "threads": config.threads, "versions": dict(versions)}
        self.stream_payload = {"data": inputs.content_hash, "split": inputs.split_key}
        self.inputs_payload = {**self.stream_payload, **({} if step is None else {"step": step})}
        # How far back training reaches decides what may be asked, and every model is asked the same.
        self.views = {"seed": seed, "recommender": describe(board.recommender)}
        if held_out is not Part.TEST:
            self.views["held_out"] = held_out.name
        # What a list names is asked for after what stood before it in training; it was what is retained of that once.
        listed = config.request.kind == "interactions" and config.request.file is not None
        self.asked = {"asked": "as trained"} if listed else {}
        self.views |= self.asked
        # Once what was asked about an earlier request hung on how much a later one added.
        self.views |= {} if step is None else {"drawn": "by step"}
        # Until the last step of a stream of items each world has items in its histories that the other has not.
        apart = step is not None and not self.last and config.request.of == "items"
        self.there = {"world": int(Part.UNSEEN)} if apart else {}
        self.models = {role: self._train(role) for role in (*self.roles, "popularity")}
        self.scored = {role: self._score(model, second=role == "swap") for role, model in self.models.items()}
        # Attacks and shadow models are of what is the row's result.
        attacked = seed in config.attacked and self.last
        self.attacks = board.attacks if attacked else ()
        self.roles_attacked = {role: self._attacked(scored) for role, scored in self.scored.items() if role != "swap"}
        # Whether a list was in a training tells nothing of what is like it, so shadows of it would be of no use.
        given = config.request.kind != "stream" and config.request.file is not None
        count = config.shadows.count if seed in config.shadowed and self.last and not given else 0
        self.shadows = [self._shadow(index) for index in range(count)]

    def cells(self) -> Iterable[Cell]:
        """Methods first, in the order of the board, then the reference rows."""
        for method in self.board.methods:
            yield from self._own_cells(method) if method.spec.own_base else (self._method_cell(method),)
        # The swap measure of a retraining is built from two independent ones, one a world.
        other = {
            "control": "recheck" if "recheck" in self.roles else "gold",
            "recheck": "gold",
            "popularity": "popularity",
        }
        for role in ("control", "recheck", "popularity"):
            if role in self.models:
                yield self._cell(role, role, None, self.roles_attacked[role], self.scored[other[role]])

    def _method_cell(self, method: ChosenMethod) -> Cell:
        if method.spec.same_as == "gold":
            return self._cell(method.label, "method", method, self.roles_attacked["gold"], self.scored["control"])
        here = self._attacked(self._score(self._unlearn(method, "base")))
        there = self._score(self._unlearn(method, "swap"), second=True) if "swap" in self.roles else None
        return self._cell(method.label, method.spec.name if method.spec.control else "method", method, here, there)

    def _own_cells(self, method: ChosenMethod) -> Iterable[Cell]:
        """The cell of a method that trains its own base, and rows that show its own base and its own gold."""
        own = {role: self._score(self._train(role, method=method), second=role == "swap") for role in self.roles}
        attacked = {role: scored if role == "swap" else self._attacked(scored) for role, scored in own.items()}
        roles = paired(attacked, {role: self.roles_attacked.get(role, self.scored[role]) for role in self.roles})
        here = self._attacked(self._score(self._unlearn(method, "base", own)))
        there = self._score(self._unlearn(method, "swap", own), second=True) if "swap" in self.roles else None
        row = method.spec.name if method.spec.control else "method"
        yield self._cell(method.label, row, method, here, there, roles)
        for role, other in (("base", "swap"), ("gold", "control")):
            label = row_label(method.label, role)
            yield self._cell(label, OWN_ROWS[role], None, attacked[role], own.get(other), roles)

    def _shadow(self, index: int) -> dict[str, Any]:
        return {**self._score(self._train(f"shadow {index}", index)), "index": index}

    def _train(self, role: str, shadow: int | None = None, method: ChosenMethod | None = None) -> dict[str, Any]:
        """A role of the board, a shadow, or a role of a method that trains its own base."""
        chosen = self.board.popularity if role == "popularity" else self.board.recommender
        payload = {
            "stage": "train",
            "version": VERSIONS["train"],
            # What is trained on F, T or some of both is trained before the first step of a stream.
            **(self.inputs_payload if role in WITHOUT else self.stream_payload),
            "parts": [int(part) for part in ROLE_PARTS.get(role, ())],
            "seed": seeds.derive(self.seed, "role", role),
            "recommender": describe(chosen if shadow is None else self.board.shadow),
            **self.environment,
        }
        if shadow is not None:
            payload["shadow"] = {"index": shadow, "seed": self.seed}
        if method is not None:
            payload["method"] = describe(method)
        job = self._job("train", f"train {role}" + (f" of {method.label}" if method else ""), payload, [])
        return {
            "stage": "train",
            "key": job.key,
            "recommender": payload["recommender"],
            "method": payload.get("method"),
            "base": None,
            "role": role,
        }

    def _unlearn(
        self, method: ChosenMethod, world: str, models: Mapping[str, dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        base = (models or self.models)[world]
        payload = {
            "stage": "unlearn",
            "version": VERSIONS["unlearn"],
            **self.inputs_payload,
            "forget": int(Part.FORGET if world == "base" else Part.UNSEEN),
            **self.asked,
            "seed": seeds.derive(self.seed, "method", method.spec.name),
            "method": describe(method),
            "recommender": base["recommender"],
            "base": base["key"],
            **self.environment,
        }
        needs = [("train", base["key"])]
        if self.step is not None:
            payload["seed"] = seeds.derive(self.seed, "method", method.spec.name, f"step {self.step}")
        # A control is what it is of all requests so far: an over-fitted base went on to forget the earlier ones.
        if self.before is not None and not method.spec.control:
            payload["before"] = self.before.unlearned[method.label, world]
            needs.append(("unlearn", payload["before"]))
        where = "" if world == "base" else ", second world"
        job = self._job("unlearn", f"{method.label}{where}", payload, needs)
        self.unlearned[method.label, world] = job.key
        return {
            "stage": "unlearn",
            "key": job.key,
            "recommender": base["recommender"],
            "method": payload["method"],
            "base": base["key"],
            "role": "unlearned",
        }

    def _score(self, model: dict[str, Any], second: bool = False) -> dict[str, Any]:
        """The model with its scores; `second` where it is of the second world."""
        payload = {
            "stage": "score",
            "version": VERSIONS["score"],
            **self.inputs_payload,
            "views": {**self.views, **(self.there if second else {})},
            "model": model,
            **self.environment,
        }
        job = self._job("score", f"score {model['role']}", payload, _model_needs(model))
        return {**model, "scores": job.key}

    def _attacked(self, scored: dict[str, Any]) -> dict[str, Any]:
        """The scored model with what every attack brings back of it."""
        model = {name: value for name, value in scored.items() if name != "scores"}
        keys = {}
        for attack in self.attacks:
            payload = {
                "stage": "attack",
                "version": VERSIONS["attack"],
                **self.inputs_payload,
                "views": self.views,
                "model": model,
                "attack": {**describe(attack), "track": attack.spec.track},
                "seed": seeds.derive(self.seed, "attack", attack.spec.name),
                **self.environment,
            }
            job = self._job("attack", f"{attack.spec.name} on {model['role']}", payload, _model_needs(model))
            keys[attack.spec.name] = job.key
        return {**scored, "attacks": keys}

    def _cell(
        self,
        label: str,
        row: str,
        method: ChosenMethod | None,
        subject: dict[str, Any],
        swapped: dict[str, Any] | None,
        own_roles: dict[str, dict[str, Any]] | None = None,
    ) -> Cell:
        swapped = swapped if self.board.config.swap else None
        roles = own_roles or {role: self.roles_attacked.get(role, self.scored[role]) for role in self.roles}
        roles = {**roles, "popularity": self.scored["popularity"]}
        payload = {
            "stage": "measure",
            "version": VERSIONS["measure"],
            **self.inputs_payload,
            "views": self.views,
            "row": row,
            "subject": subject,
            "swapped": swapped,
            "roles": roles,
            "shadows": self.shadows,
            "metrics": [describe(metric) for metric in self.board.metrics],
            "seed": seeds.derive(self.seed, "measure"),
            **self.environment,
        }
        models = [subject, *([swapped] if swapped else []), *roles.values(), *self.shadows]
        models += [model["board"] for model in roles.values() if "board" in model]
        needs = [("score", m["scores"]) for m in models] + [need for m in models for need in _model_needs(m)]
        needs += [("attack", key) for m in models for key in m.get("attacks", {}).values()]
        job = self._job("measure", f"measure {label}", payload, needs)
        name = f"{slug(label)}-s{self.seed}" + ("" if self.last else f"-step{self.step}")
        return Cell(name, label, row, method, self.seed, job, self.step, self.last)

    def _job(self, stage: str, label: str, payload: dict[str, Any], needs: list[tuple[str, str]]) -> Job:
        step = f", step {payload['step']}" if "step" in payload else ""
        label = f"{label}, seed {self.seed}{step}"
        # Which of equal GPUs computed does not matter.
        key = key_of({**without_places(payload), "device": payload["device"].partition(":")[0]})
        job = Job(stage, key, label, payload, tuple(dict.fromkeys(needs)))
        self.jobs.append(job)
        return job


def _device(name: str) -> str:
    """What `auto` stands for on this machine: it is the device that a result depends on, not the word."""
    if name != "auto":
        return name
    from vestige.recommenders.torch_tools import resolve_device  # imports torch, which nothing else here needs

    return resolve_device(name)


def describe(chosen: Chosen[Any]) -> dict[str, Any]:
    """A plugin as a key sees it: kind, name, version, digest of its sources, resolved configuration, files it reads."""
    files = {name: content_digest(place) for name, place in chosen.config.places().items()}
    described = {
        "kind": chosen.spec.kind,
        "name": chosen.spec.name,
        "version": chosen.spec.version,
        "digest": source_digest(chosen.spec),
        "config": chosen.config.model_dump(mode="json"),
    }
    return {**described, "files": files} if files else described


def without_places(value: Any) -> Any:
    """A payload without where its files lie, which does not matter; what is in them stands in it as a digest."""
    if isinstance(value, list):
        return [without_places(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    inside = {key: without_places(one) for key, one in value.items()}
    if isinstance(value.get("files"), Mapping):
        inside["config"] = {key: one for key, one in inside["config"].items() if key not in value["files"]}
    return inside


def _model_needs(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    needs = [(model["stage"], model["key"])]
    return [*needs, ("train", model["base"])] if model["base"] else needs
