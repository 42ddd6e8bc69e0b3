"""What was not the same when fresh and accepted results were made: machine, versions, settings, cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vestige.results.pooling import Results
from vestige.results.records import Finished, PluginId

MACHINE = {"system": "system", "processor": "processor", "python": "Python", "vestige": "vestige"}

COSTS = {
    "seconds": "seconds",
    "cost_seconds": "time against retraining",
    "cost_flops": "FLOPs against retraining",
    "cost_parameters": "trainable parameters against retraining",
    "cost_peak_memory": "peak memory against retraining",
    "cost_stored_bytes": "stored bytes against retraining",
    "cost_latency": "latency against retraining",
}

BAND = 2.0
"""A cost is mentioned where it is so many times the accepted one: timings on shared machines vary by half."""


def warnings(fresh: Results, accepted: Results) -> list[str]:
    """What differs and may explain a difference: machine, library and plugin versions, settings; and values that should
    be the same, since everything they are made from is."""
    found: list[str] = []
    for now, then in _pairs(fresh, accepted):
        found += machine_differences(now.run.provenance, then.run.provenance)
        found += _of_plugins(now, then)
        found += _same_key(now, then)
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Apart:
    """In what the attacks on the models differ.

    Attributes:
        attacks: Which ones are made, and how they are set.
        models: What they need beside a model: shadows, recheck, the second world.
        seeds: On which seeds they are made.
    """

    attacks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Everything."""
        return (*self.attacks, *self.models, *self.seeds)


def attacks_apart(fresh: Results, accepted: Results) -> Apart:
    """In what the attacks on the models of both sides differ."""
    now, then = (results.about.get("attacked_by") for results in (fresh, accepted))
    if not now or not then:
        return Apart()  # results from before boards said it
    out = []
    before, after = ({a["name"]: a["config"] for a in of["attacks"]} for of in (then, now))
    for name in sorted({*before, *after}):
        if name not in after:
            out.append(f"the attack {name} is not made any more")
        elif name not in before:
            out.append(f"the attack {name} is new")
        elif before[name] != after[name]:
            out.append(f"the attack {name} is set differently")

    def others(titles: Mapping[str, str]) -> tuple[str, ...]:
        apart = (key for key in titles if then.get(key) != now.get(key))
        return tuple(f"{titles[key]}: {then.get(key)} → {now.get(key)}" for key in apart)

    models = others({"shadows": "shadow models", "recheck": "recheck", "swap": "swap"})
    seeds = others({"seeds": "seeds that are attacked"})
    return Apart(tuple(out), models, seeds)


def advice(fresh: Results, accepted: Results) -> list[str]:
    """Costs of competing rows that are more than `BAND` times the accepted ones, means over seeds."""
    out = []
    for label in accepted.competing:
        for name, title in COSTS.items():
            now, then = (results.pooled(label, name) for results in (fresh, accepted))
            if now is None or then is None or not now.value or not then.value:
                continue
            factor = now.value / then.value
            if factor > BAND:
                out.append(f"{label}: {title} {then.value:.3g} → {now.value:.3g}, {factor:.1f} times the accepted.")
    return out


def _pairs(fresh: Results, accepted: Results) -> Iterator[tuple[Finished, Finished]]:
    have = {(f.record.identity.label, f.record.identity.seed): f for f in fresh.finished}
    for then in accepted.finished:
        now = have.get((then.record.identity.label, then.record.identity.seed))
        if now is not None:
            yield now, then


def machine_differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[str]:
    """Where those who measured, or those who made the models, differ in machine or versions, each as
    `what: before → after`. Where nothing differs and both say it of their models, results are the same to the last bit.
    """
    yield from dict.fromkeys(
        text
        for one, other in ((now, then), (now.get("model", {}), then.get("model", {})))
        for text in _apart(one, other)
    )


def _apart(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[str]:
    if not now or not then:
        return  # results from before models said it
    old, new = then.get("libraries", {}), now.get("libraries", {})
    pairs = [(title, then.get(key), now.get(key)) for key, title in MACHINE.items()]
    pairs += [(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    for title, before, after in pairs:
        if before != after:
            yield f"{title}: {before or 'none'} → {after or 'none'}"


def _of_plugins(now: Finished, then: Finished) -> Iterator[str]:
    before, after = _plugins(then), _plugins(now)
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            yield f"{key} is {'new' if old is None else 'not used any more'}"
            continue
        for what, a, b in (
            ("", old.version, new.version),
            (" distribution", f"{old.distribution} {old.distribution_version}",
             f"{new.distribution} {new.distribution_version}"),
        ):  # fmt: skip
            if a != b:
                yield f"{key}{what}: {a} → {b}"
        changed = sorted(k for k in {*old.config, *new.config} if old.config.get(k) != new.config.get(k))
        if changed:
            yield f"{key} is set differently: {', '.join(changed)}"


def _plugins(item: Finished) -> dict[str, PluginId]:
    identity = item.record.identity
    found = [("dataset", identity.dataset), ("recommender", identity.recommender)]
    found += [("metric", metric) for metric in identity.metrics]
    out = {f"{kind} {plugin.name}": plugin for kind, plugin in found}
    if identity.method is not None:
        out[f"method of {identity.label}"] = identity.method
    return out


def _same_key(now: Finished, then: Finished) -> Iterator[str]:
    key = now.record.keys.get("measure")
    if key is None or key != then.record.keys.get("measure"):
        return
    differ = [
        m.name
        for m in then.record.outcome.measurements
        if (other := now.find(m.name)) is None or not _equal(m.value, other.value)
    ]
    if differ:
        more = f" and {len(differ) - 1} more" if len(differ) > 1 else ""
        yield (
            f"{now.record.identity.cell}: {differ[0]}{more} should be the same, since nothing it is made from changed: "
            "another processor, or accepted values that were edited"
        )


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12))
