"""What attacks and measurements leave in the store."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from vestige.errors import VestigeError
from vestige.measuring.attacks import Recovered, Target, Told
from vestige.measuring.contract import Measurement
from vestige.pipeline.store import Artifact, Meta


@dataclass(frozen=True)
class Brought:
    """What one attack brought back of one model, as it is stored."""

    recovered: tuple[Recovered, ...]
    told: tuple[Told, ...]
    failed: str

    @property
    def names(self) -> list[str]:
        """Of all attempts."""
        return [*(r.name for r in self.recovered), *(t.name for t in self.told)]


def save_attempts(found: Iterable[Recovered | Told], target: Target, folder: Path) -> Meta:
    """Writes `attempts.safetensors`; returns the meta that `load_attempts` needs.

    Raises:
        VestigeError: An attempt does not fit the queries it is of.
    """
    arrays: dict[str, Any] = {}
    meta: dict[str, Any] = {"recovered": {}, "told": {}, "failed": ""}
    asked = len(target.forget)
    for item in found:
        if item.name in meta["recovered" if isinstance(item, Recovered) else "told"]:
            raise VestigeError(f"the attempt {item.name!r} was made twice; every one needs a name of its own.")
        if isinstance(item, Recovered):
            if item.hits.shape != (asked,):
                raise VestigeError(f"the attempt {item.name!r} has hits of shape {item.hits.shape}, not ({asked},).")
            _hits(item.name, item.hits)
            arrays[f"recovered/{item.name}"] = np.ascontiguousarray(item.hits, dtype=np.float64)
            if item.unseen is not None:
                others = len(target.queries("unseen_train"))
                if item.unseen.shape != (others,):
                    raise VestigeError(
                        f"the attempt {item.name!r} has hits on T of shape {item.unseen.shape}, not ({others},)."
                    )
                _hits(item.name, item.unseen)
                arrays[f"unseen/{item.name}"] = np.ascontiguousarray(item.unseen, dtype=np.float64)
            meta["recovered"][item.name] = item.asked
            continue
        for view, values in (("forget", item.forget), ("unseen", item.unseen)):
            queries = asked if view == "forget" else len(target.queries("unseen_train"))
            if len(values) != queries or not np.isfinite(values).all():
                raise VestigeError(f"the attempt {item.name!r} needs one finite value for each of {queries} queries.")
            arrays[f"told/{item.name}/{view}"] = np.ascontiguousarray(values, dtype=np.float64)
        meta["told"][item.name] = item.varies
    save_file(arrays, folder / "attempts.safetensors")
    return meta


def _hits(name: str, hits: Any) -> None:
    """Refuses what is no share; NaN is a query that was not asked."""
    strange = hits[~(np.isnan(hits) | ((hits >= 0) & (hits <= 1)))]
    if len(strange):
        raise VestigeError(
            f"the attempt {name!r} has the hit {strange[0]:g}; a hit lies in [0, 1], or is NaN where nothing was asked."
        )


def load_attempts(artifact: Artifact) -> Brought:
    """What `save_attempts` wrote."""
    meta = artifact.meta
    if meta["failed"]:
        return Brought((), (), meta["failed"])
    arrays = load_file(artifact.folder / "attempts.safetensors")
    return Brought(
        tuple(
            Recovered(name, arrays[f"recovered/{name}"], asked, arrays.get(f"unseen/{name}"))
            for name, asked in meta["recovered"].items()
        ),
        tuple(
            Told(name, arrays[f"told/{name}/forget"], arrays[f"told/{name}/unseen"], varies)
            for name, varies in meta["told"].items()
        ),
        "",
    )


def save_measurements(measurements: list[tuple[str, Measurement]], folder: Path) -> None:
    """`measurements.json`, `cost.json`, `per_user.parquet`, `bootstrap.parquet`."""
    rows: dict[str, list[dict[str, Any]]] = {"measurements": [], "cost": []}
    for group, m in measurements:
        skipped = ("replicates", "per_user", "varies")
        row = {f.name: getattr(m, f.name) for f in fields(m) if f.name not in skipped}
        row["value"] = None if m.value is None else float(m.value)
        rows["cost" if m.varies else "measurements"].append({"group": group, **row})
    for name, content in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1, allow_nan=False))
    kept = [m for _, m in measurements if m.per_user is not None]
    pq.write_table(
        pa.table(
            {
                "metric": _dictionary([m.metric for m in kept for _ in _users(m)]),
                "view": _dictionary([m.view for m in kept for _ in _users(m)]),
                "user": pa.array(np.concatenate([_users(m) for m in kept] or [np.zeros(0)]).astype(np.int32)),
                "value": pa.array(np.concatenate([_values(m) for m in kept] or [np.zeros(0)]).astype(np.float32)),
            }
        ),
        folder / "per_user.parquet",
    )
    pooled = [m for _, m in measurements if m.replicates is not None]
    pq.write_table(
        pa.table(
            {
                "metric": pa.array([m.metric for m in pooled], pa.string()),
                "view": pa.array([m.view for m in pooled], pa.string()),
                "replicates": pa.array(
                    [np.asarray(m.replicates, dtype=np.float32) for m in pooled], pa.list_(pa.float32())
                ),
            }
        ),
        folder / "bootstrap.parquet",
    )


def _users(m: Measurement) -> Any:
    return m.per_user.users if m.per_user is not None else np.zeros(0)


def _values(m: Measurement) -> Any:
    return m.per_user.values if m.per_user is not None else np.zeros(0)


def _dictionary(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode()
