"""What a worker does with a job: train, unlearn, score, measure."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from vestige import configs
from vestige.data import stream
from vestige.data import views as views_module
from vestige.data.interactions import Interactions
from vestige.data.request import Part, Split, shadow_coins, shadow_training, training
from vestige.data.sequences import Sequences
from vestige.data.units import frame
from vestige.data.views import Views
from vestige.errors import VestigeError
from vestige.measuring.attacks import Attempts, Target, Track
from vestige.measuring.contract import BETTER, Context, CostOf, Measurement, Shadow, Subject
from vestige.measuring.statistics import REPLICATES, Bootstrap
from vestige.methods import Budget, Loads, Maker, Method, TrainsBase, Unlearned
from vestige.pipeline.artifacts import load_attempts, save_attempts, save_measurements
from vestige.pipeline.inputs import load_data, load_split
from vestige.pipeline.own import combined
from vestige.pipeline.provenance import MADE_BY, made_by
from vestige.pipeline.resources import Meter, check_gpu, out_of_memory
from vestige.pipeline.sources import read_digest, source_digest
from vestige.pipeline.store import Artifact, Meta, Store
from vestige.pipeline.tasks import make_task
from vestige.plugins import HOOK_OF, Plugins
from vestige.progress import Progress
from vestige.recommenders.contract import (
    Catalogue,
    Composite,
    FloatArray,
    Modular,
    Recommender,
    Scorer,
    Unfinished,
    fit,
)
from vestige.recommenders.scoring import Scores, ask_first, load_scores, save_scores, score_queries
from vestige.specs import AttackSpec, MethodSpec, Spec


class Workbench:
    """Everything a worker keeps between jobs: the store, the plugins, and the inputs it read last."""

    def __init__(self, store: Store, plugins: Plugins) -> None:
        self.store = store
        self.plugins = plugins
        self._inputs: tuple[tuple[str, str, int | None], _Inputs] | None = None
        self._read_ahead: set[Spec] = set()

    def read_ahead(self, payload: Mapping[str, Any]) -> None:
        """Parses the sources of a job's plugins, which a process that is forked for it then need not.

        No digest is kept: whoever runs the job reads the files again, so one that was edited meanwhile is noticed.
        """
        with suppress(Exception):  # whatever is wrong with a plugin is for the job to tell
            for spec in set(self._described(payload)) - self._read_ahead:
                self._read_ahead.add(spec)
                read_digest(spec)

    def run(self, payload: Mapping[str, Any], folder: Path, progress: Progress, unfinished: Path | None = None) -> Meta:
        """Makes one artifact in `folder` and returns its meta, which says by whom it was made.

        A training keeps what it needs to go on in `unfinished` (`Store.unfinished`) for when this process is ended;
        where none is given, it begins anew.
        """
        stages: Mapping[str, Callable[[Mapping[str, Any], Path, Progress], Meta]] = {
            "train": partial(self._train, unfinished=unfinished),
            "unlearn": self._unlearn,
            "score": self._score,
            "attack": self._attack,
            "measure": self._measure,
        }
        check_gpu(payload["device"])
        return {**stages[payload["stage"]](payload, folder, progress), MADE_BY: made_by(payload["device"])}

    # -- stages -----------------------------------------------------------------------------------------------

    def _train(self, payload: Mapping[str, Any], folder: Path, progress: Progress, unfinished: Path | None) -> Meta:
        inputs = self._inputs_of(payload)
        model = self._untrained(payload, inputs, payload["device"])
        shadow = payload.get("shadow")
        if shadow:
            coins = shadow_coins(inputs.split, shadow["index"], shadow["seed"])
            sequences = shadow_training(inputs.data, inputs.split, coins)
        else:
            sequences = training(inputs.data, inputs.split, [Part(part) for part in payload["parts"]])
        meter = Meter(payload["device"])
        # The base of a method that trains its own counts against the method's time, which begins anew with each try.
        left = None if unfinished is None or payload.get("method") else Unfinished(unfinished, "of this key")
        report = fit(model, sequences, payload["seed"], progress, left)
        taken = meter.read()
        model.save(folder)
        cost = {
            **taken,
            "seconds": report.earlier_seconds + taken["seconds"],
            "flops": report.flops,
            "uncounted": list(report.uncounted),
            "trainable_parameters": _parameters(model),
        }
        return {"cost": cost, "report": asdict(report)}

    def _unlearn(self, payload: Mapping[str, Any], folder: Path, progress: Progress) -> Meta:
        inputs = self._inputs_of(payload)
        fresh = partial(self._untrained, payload, inputs, payload["device"])
        base = self.store.require("train", payload["base"])
        method = self._method(payload["method"])
        world: stream.World = Part.FORGET if payload["forget"] == Part.FORGET else Part.UNSEEN
        step, source, first = payload.get("step"), base, 1
        # What a method loads itself is no recommender that could be handed to it again.
        if "before" in payload and not isinstance(method, Loads):
            source, first = self.store.require("unlearn", payload["before"]), int(payload["step"])
        recommender = self._trained(payload, source, inputs, payload["device"])
        task = make_task(
            inputs.data,
            inputs.whole if step is None else stream.request(inputs.data, inputs.whole, step, world, first),
            world,
            recommender=recommender,
            seed=payload["seed"],
            device=payload["device"],
            budget=Budget(base.meta["report"]["passes"], base.meta["cost"]["seconds"]),
            progress=progress,
            fresh=fresh,
        )
        meter = Meter(payload["device"])
        result: Unlearned = method.unlearn(task)
        taken = meter.read()
        _check_cost(result, taken["seconds"])
        result.model.save(folder)
        cost = {
            **taken,
            "setup_seconds": result.setup_seconds,
            "flops": result.flops,
            "uncounted": list(result.uncounted),
            "trainable_parameters": result.trainable_parameters,
        }
        meta: dict[str, Any] = {"cost": _plain(cost), "notes": _plain(result.notes)}
        if step is not None:
            meta["stream"] = f"its own state after step {step - 1}" if first > 1 else stream.FROM_BASE
        return meta

    def _score(self, payload: Mapping[str, Any], folder: Path, progress: Progress) -> Meta:
        inputs = self._inputs_of(payload)
        model = self._model(payload["model"], inputs, payload["device"])
        views = self._views(payload, inputs)
        n_items = inputs.data.n_items
        scores: dict[str, Scores] = {}
        asked = sum(map(len, views.queries.values()))
        seconds = 0.0

        def answer(histories: Sequences) -> FloatArray:
            """The model's answer alone is timed: what is asked of its router besides, nobody pays who uses it."""
            nonlocal seconds
            start = time.perf_counter()
            found = model.score(histories)
            seconds += time.perf_counter() - start
            return found

        for queries in views.queries.values():
            ask_first(model, queries)
        for view, queries in views.queries.items():
            scores[view] = score_queries(model, queries, n_items, progress, answer)
        save_scores(scores, folder / "scores.safetensors")
        router = model.parts().router if isinstance(model, Composite) else None
        return {"latency": seconds / max(asked, 1), "threshold": float(router.threshold) if router else None}

    def _attack(self, payload: Mapping[str, Any], folder: Path, progress: Progress) -> Meta:
        inputs = self._inputs_of(payload)
        attack = self._plugin(payload["attack"])
        target = Target(
            model=self._model(payload["model"], inputs, payload["device"]),
            data=inputs.data,
            split=inputs.split,
            views=self._views(payload, inputs),
            seed=payload["seed"],
            device=payload["device"],
        )
        progress(0.0, payload["attack"]["name"])
        try:
            found = list(attack.attack(target))
        except Exception as error:
            if out_of_memory(error) or self.store.no_room(error):  # of this machine, which says nothing of the attack
                raise
            return _failed(error)
        try:
            return save_attempts(found, target, folder)
        except (OSError, SafetensorError):  # what was found cannot be written
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            return _failed(error)

    def _measure(self, payload: Mapping[str, Any], folder: Path, progress: Progress) -> Meta:
        inputs = self._inputs_of(payload)
        device = payload["device"]
        subject = self._subject(payload["subject"], inputs, device)
        swapped = payload["swapped"] and self._subject(payload["swapped"], inputs, device)
        measured = frame(inputs.data, inputs.split, self._views(payload, inputs))
        context = Context(
            data=measured.data,
            split=measured.split,
            views=measured.views,
            row=payload["row"],
            subject=subject,
            swapped=swapped or None,
            roles={role: self._role(model, inputs, device) for role, model in payload["roles"].items()},
            bootstrap=Bootstrap(measured.data.n_users),
            seed=payload["seed"],
            shadows=tuple(
                Shadow(
                    self._subject(model, inputs, device),
                    shadow_coins(inputs.split, model["index"], payload["views"]["seed"]),
                )
                for model in payload["shadows"]
            ),
            own_base=any("board" in model for model in payload["roles"].values()),
        )
        measurements: list[tuple[str, Measurement]] = []
        for number, described in enumerate(payload["metrics"]):
            progress(number / len(payload["metrics"]), described["name"])
            name, metric = described["name"], self._plugin(described)
            try:
                measurements += [(name, _recordable(name, measurement)) for measurement in metric.measure(context)]
            except VestigeError:
                raise
            except Exception as error:  # whose fault it is; a row that only some metrics saw would not be comparable
                text = " ".join(str(error).split())
                raise VestigeError(f"the metric {name!r} raised {type(error).__name__}: {text}") from error
        _check_once(measurements)
        save_measurements(measurements, folder)
        unlearned = payload["subject"]["stage"] == "unlearn"
        meta = self.store.require("unlearn", payload["subject"]["key"]).meta if unlearned else {"notes": {}}
        carried = {"stream": meta["stream"]} if "stream" in meta else {}
        return {"notes": meta["notes"], "cost": asdict(subject.cost), **carried}

    # -- what stages are made of ------------------------------------------------------------------------------

    def _inputs_of(self, payload: Mapping[str, Any]) -> "_Inputs":
        key = (payload["data"], payload["split"], payload.get("step"))
        if self._inputs is None or self._inputs[0] != key:
            self._inputs = (key, _Inputs(load_data(self.store, key[0]), load_split(self.store, key[1]), key[2]))
        return self._inputs[1]

    def _described(self, part: object) -> Iterator[Spec]:
        """The plugins that are described anywhere in a payload."""
        if isinstance(part, Mapping):
            if "digest" in part:
                yield self._spec(part)
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from self._described(inner)

    def _spec(self, described: Mapping[str, Any]) -> Spec:
        kind = next(kind for kind in HOOK_OF if kind.kind == described["kind"])
        return self.plugins.get(kind, described["name"])

    def _plugin(self, described: Mapping[str, Any]) -> Any:
        """A plugin's object, made from its resolved configuration."""
        factory, config = self._factory(described)
        return factory(config)

    def _factory(self, described: Mapping[str, Any]) -> tuple[Any, configs.Config]:
        """A plugin's factory and resolved configuration.

        Raises:
            VestigeError: Its sources are not those the board was planned with; a result under their key would be false.
        """
        spec = self._spec(described)
        factory = spec.load()
        if (spec.version, source_digest(spec)) != (described["version"], described["digest"]):
            raise VestigeError(f"the sources of {spec.name!r} were changed while the board ran; run it again.")
        return factory, configs.validate(spec.config, described["config"], described["name"])

    def _method(self, described: Mapping[str, Any]) -> Method:
        method: Method = self._plugin(described)
        return method

    def _own(self, described: Mapping[str, Any] | None) -> TrainsBase | None:
        """The method, where it trains its own base."""
        if described is None or not self.plugins.get(MethodSpec, described["name"]).own_base:
            return None
        method = self._method(described)
        if not isinstance(method, TrainsBase):
            raise VestigeError(
                f"the method {described['name']!r} says own_base and has no `recommender` and `load_recommender`."
            )
        return method

    def _maker(self, described: Mapping[str, Any], inputs: "_Inputs", device: str) -> Maker:
        return Maker(
            inputs.catalogue,
            device,
            fresh=partial(self._fresh, described, inputs, device),
            load=partial(self._read, described, inputs=inputs, device=device),
        )

    def _untrained(self, model: Mapping[str, Any], inputs: "_Inputs", device: str) -> Recommender:
        """The board's recommender, or the one that the method of a payload brings."""
        own = self._own(model.get("method"))
        maker = self._maker(model["recommender"], inputs, device)
        return own.recommender(maker) if own else maker.fresh()

    def _trained(self, model: Mapping[str, Any], artifact: Artifact, inputs: "_Inputs", device: str) -> Recommender:
        """Such a recommender, as it lies in the store."""
        own = self._own(model.get("method"))
        maker = self._maker(model["recommender"], inputs, device)
        return own.load_recommender(artifact.folder, maker) if own else maker.load(artifact.folder)

    def _fresh(self, described: Mapping[str, Any], inputs: "_Inputs", device: str) -> Recommender:
        factory, config = self._factory(described)
        model: Recommender = factory(config, inputs.catalogue, device)
        return model

    def _read(self, described: Mapping[str, Any], folder: Path, inputs: "_Inputs", device: str) -> Recommender:
        factory, config = self._factory(described)
        model: Recommender = factory.load(folder, config, inputs.catalogue, device)
        return model

    def _model(self, model: Mapping[str, Any], inputs: "_Inputs", device: str) -> Scorer:
        """Loads a role's or a method's model."""
        artifact = self.store.require(model["stage"], model["key"])
        if model["stage"] == "unlearn":
            method = self._method(model["method"])
            if isinstance(method, Loads):
                base = self._trained(model, self.store.require("train", model["base"]), inputs, device)
                return method.load(artifact.folder, base)
        return self._trained(model, artifact, inputs, device)

    def _views(self, payload: Mapping[str, Any], inputs: "_Inputs") -> Views:
        asked = payload["views"]
        reach = self._fresh(asked["recommender"], inputs, payload["device"]).reach
        world: stream.World = Part.UNSEEN if asked.get("world") == int(Part.UNSEEN) else Part.FORGET
        return inputs.views(asked["seed"], reach, Part[asked.get("held_out", Part.TEST.name)], world)

    def _role(self, model: Mapping[str, Any], inputs: "_Inputs", device: str) -> Subject:
        """A role of the board, or one of the method's own beside it."""
        found = self._subject(model, inputs, device)
        return combined(found, self._subject(model["board"], inputs, device)) if "board" in model else found

    def _subject(self, model: Mapping[str, Any], inputs: "_Inputs", device: str) -> Subject:
        artifact = self.store.require(model["stage"], model["key"])
        scored = self.store.require("score", model["scores"])
        stored = artifact.bytes
        if model["stage"] == "unlearn" and isinstance(self._method(model["method"]), Loads):
            stored += self.store.require("train", model["base"]).bytes  # it answers with the base's weights too
        return Subject(
            name=model["role"],
            scores=load_scores(scored.folder / "scores.safetensors"),
            cost=CostOf(**artifact.meta["cost"], stored_bytes=stored, latency=scored.meta["latency"]),
            threshold=scored.meta["threshold"],
            load=partial(self._model, model, inputs, device),
            attempts=self._attempts(model.get("attacks", {})),
        )

    def _attempts(self, keys: Mapping[str, str]) -> Attempts:
        loaded = {name: load_attempts(self.store.require("attack", key)) for name, key in keys.items()}
        recovered = {r.name: r for found in loaded.values() for r in found.recovered}
        told = {t.name: t for found in loaded.values() for t in found.told}
        specs = {name: self.plugins.get(AttackSpec, name) for name in loaded}
        # What failed made no attempt, so it is the spec that knows which these would have been.
        made = {n: (*spec.recovers, *spec.tells) if loaded[n].failed else loaded[n].names for n, spec in specs.items()}
        of: dict[str, str] = {}
        for name, attempts in made.items():
            for attempt in attempts:
                if of.get(attempt, name) != name:
                    raise VestigeError(f"the attacks {of[attempt]!r} and {name!r} both made the attempt {attempt!r}.")
                of[attempt] = name
        track: dict[str, Track] = {attempt: specs[name].track for attempt, name in of.items()}
        track |= {name: specs[name].track for name, found in loaded.items() if found.failed}
        return Attempts(recovered, told, track, {n: found.failed for n, found in loaded.items() if found.failed}, of)


class _Inputs:
    """Data and split (of a stream, `whole` and as it is after a step), with what is derived from them made once."""

    def __init__(self, data: Interactions, whole: Split, step: int | None) -> None:
        self.data, self.whole = data, whole
        self.step = step
        self.split = whole if step is None else stream.after(data, whole, step)
        self._views: dict[tuple[int, int | None, Part, stream.World], Views] = {}

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(tuple(self.data.item_ids.tolist()))

    def views(self, seed: int, reach: int | None, held_out: Part, world: stream.World = Part.FORGET) -> Views:
        key = (seed, reach, held_out, world)
        if key not in self._views:
            if self.step is not None and world == Part.UNSEEN:
                there = stream.after(self.data, self.whole, self.step, world)
            else:
                there = None
            self._views[key] = views_module.build(self.data, self.split, seed, reach, held_out, self.whole, there)
        return self._views[key]


def _check_once(measurements: Sequence[tuple[str, Measurement]]) -> None:
    """Refuses two measurements of one name, of which nobody could say which is meant.

    Raises:
        VestigeError: There are two; names who measured them.
    """
    by: dict[tuple[str, str], str] = {}
    for metric, found in measurements:
        if found.varies:
            continue
        name = (found.metric, found.view)
        if name in by:
            raise VestigeError(
                f"the metrics {by[name]!r} and {metric!r} both measured {'/'.join(filter(None, name))}; a name "
                "must stand once."
            )
        by[name] = metric


def _recordable(metric: str, found: Measurement) -> Measurement:
    """A measurement that a record can hold.

    Raises:
        VestigeError: It is none.
    """
    if not re.match(BETTER, str(found.better)):
        raise VestigeError(
            f"the metric {metric!r} says of {found.metric} that {found.better!r} is better; it must be 'higher', "
            "'lower', 'gold', 'none' or a number as text."
        )
    if found.replicates is not None and len(found.replicates) != REPLICATES:
        raise VestigeError(
            f"the metric {metric!r} gives {found.metric} {len(found.replicates)} replicates; {REPLICATES} are needed, "
            "those of `context.bootstrap`."
        )
    parts = {
        "value": () if found.value is None else (found.value,),
        "interval": found.interval or (),
        "values of users": () if found.per_user is None else found.per_user.values,
        "replicates": () if found.replicates is None else found.replicates,
    }
    for what, numbers in parts.items():
        if not np.isfinite(np.asarray(numbers, dtype=np.float64)).all():
            raise VestigeError(
                f"the metric {metric!r} gives {found.metric} {what} that are not finite; what is not known is left "
                "out, or None with a note."
            )
    return found


def _check_cost(result: Unlearned, seconds: float) -> None:
    """Raises a VestigeError where a method says of its cost what cannot be."""
    if not 0 <= result.setup_seconds <= seconds:
        raise VestigeError(f"setup_seconds is {result.setup_seconds:g} of the {seconds:g} seconds it took in all.")
    if result.flops is not None and not (math.isfinite(result.flops) and result.flops >= 0):
        raise VestigeError(f"flops is {result.flops:g}, not a number of operations.")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of NumPy's as Python's, which JSON can hold: a method may state either."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _failed(error: Exception) -> Meta:
    """What is kept of an attack that failed: it says nothing, and the model is measured by the others."""
    text = " ".join(str(error).split())
    return {"recovered": {}, "told": {}, "failed": f"{type(error).__name__}: {text}"}


def _parameters(model: Recommender) -> int:
    module = getattr(model, "module", None)
    modules = model.modules() if isinstance(model, Modular) else () if module is None else (module,)
    return sum(p.numel() for module in modules for p in module.parameters())
