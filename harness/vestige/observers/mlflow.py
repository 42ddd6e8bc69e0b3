"""Logs a board to MLflow: a run for the board, and in it one for each cell.

Where to is MLflow's own setting (`MLFLOW_TRACKING_URI`), as is the experiment (`MLFLOW_EXPERIMENT_NAME`, else
`vestige`). Cells get their runs when their records are written, at the end of the board.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vestige.configs import Config
from vestige.errors import InputError
from vestige.hookspecs import hookimpl

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "vestige"

BATCH = 100
"""MLflow takes at most so many parameters, and more metrics, at once."""

LONGEST = 500
"""A parameter's text, in characters; older servers refuse longer ones."""


UNLESS_SET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""MLflow reports its use to its makers unless told not to, and tries a lost server for minutes at every call."""


class MlflowObserver:
    """See the module; after the first failure it is silent: a server that is gone costs one wait, and one for each run
    that was begun there.
    """

    def __init__(self, config: Config) -> None:
        for name, value in UNLESS_SET.items():  # before the import, which reads them
            os.environ.setdefault(name, value)
        try:
            import mlflow.tracking  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"--observer mlflow: MLflow is missing ({error}); run, where Vestige lies: pip install -e '.[mlflow]'"
            ) from None
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._parent = self._cell = ""

    @hookimpl
    def vestige_board_started(self, board: str, config: Mapping[str, Any]) -> None:
        """Starts the board's run."""
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        with self._ended_on_error(client):
            self._start(client, board, config)
        self._client = client

    def _start(self, client: "MlflowClient", board: str, config: Mapping[str, Any]) -> None:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else client.create_experiment(name)
        self._parent = client.create_run(self._experiment, run_name=board).info.run_id
        _log_params(client, self._parent, {"board": board, **dict(flat(config))})

    @hookimpl
    def vestige_cell_finished(self, board: str, cell: str, record: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Logs a cell: what it is and is made from, everything measured, its record."""
        client, self._client = self._client, None
        if client is None:
            return
        with self._ended_on_error(client):
            self._log_cell(client, board, cell, record, run)
        self._client = client

    def _log_cell(
        self, client: "MlflowClient", board: str, cell: str, record: Mapping[str, Any], run: Mapping[str, Any]
    ) -> None:
        from mlflow.entities import Metric

        tags = {"mlflow.parentRunId": self._parent}
        own = self._cell = client.create_run(self._experiment, run_name=cell, tags=tags).info.run_id
        _log_params(client, own, {"board": board, **params(record)})
        now = int(time.time() * 1000)
        found = [Metric(name, value, now, 0) for name, value in metrics(record, run).items()]
        for start in range(0, len(found), BATCH):
            client.log_batch(own, metrics=found[start : start + BATCH])
        client.log_dict(own, dict(record), f"{cell}.json")
        client.set_terminated(own, "FINISHED" if record["outcome"]["status"] == "ok" else "FAILED")
        self._cell = ""

    @hookimpl
    def vestige_board_finished(self, folder: Path | None) -> None:
        """Ends the board's run, with its leaderboard."""
        client, self._client = self._client, None
        if client is None:
            return
        with self._ended_on_error(client):
            if folder is not None and (folder / "leaderboard.md").is_file():
                client.log_artifact(self._parent, str(folder / "leaderboard.md"))
            client.set_terminated(self._parent, "FINISHED" if folder is not None else "FAILED")

    @contextlib.contextmanager
    def _ended_on_error(self, client: "MlflowClient") -> Iterator[None]:
        """Where logging fails, what was begun is said to have failed, if the server still hears it: a run that nobody
        ends is shown as running for ever.
        """
        try:
            yield
        except BaseException:
            for run in (self._cell, self._parent):
                with contextlib.suppress(Exception):
                    if run:
                        client.set_terminated(run, "FAILED")
            raise


def params(record: Mapping[str, Any]) -> dict[str, Any]:
    """Of a cell: row, method, seed, status, the method's settings as `config.…`, what it is made from as `keys.…`."""
    identity = record["identity"]
    method = identity["method"] or {"name": identity["row"], "version": "", "config": {}}
    return {
        "label": identity["label"],
        "method": method["name"],
        "method_version": method["version"],
        "seed": identity["seed"],
        **({"step": identity["step"]} if "step" in identity else {}),
        "dataset": identity["dataset"]["name"],
        "recommender": identity["recommender"]["name"],
        "status": record["outcome"]["status"],
        **dict(flat(method["config"], "config")),
        **dict(flat(record["keys"], "keys")),
    }


def metrics(record: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, float]:
    """Every measurement of a cell that has a value, cost included, by a name that MLflow takes."""
    found = [*record["outcome"]["measurements"], *run["cost"]]
    return {safe(m["metric"], m["view"]): float(m["value"]) for m in found if m["value"] is not None}


def safe(metric: str, view: str) -> str:
    """`hit@10:vs_gold` on `forget` as `hit_at_10.vs_gold/forget`; MLflow takes letters, digits and `_-. /` only."""
    name = metric.replace("@", "_at_").replace("%", "pct").replace(":", ".")
    return "/".join(re.sub(r"[^A-Za-z0-9_\-. ]", "_", part) for part in (name, view) if part)


def flat(values: Mapping[str, Any] | Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as `a.b.c`; lists of plain values are one setting."""
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    for key, value in pairs:
        name = f"{prefix}.{key}" if prefix else str(key)
        nested = isinstance(value, list | tuple) and any(isinstance(inner, Mapping) for inner in value)
        if isinstance(value, Mapping) or nested:
            yield from flat(value, name)
        elif value is not None:
            yield name, value


def _log_params(client: "MlflowClient", run: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    found = [Param(re.sub(r"[^A-Za-z0-9_\-. /]", "_", name), str(value)[:LONGEST]) for name, value in values.items()]
    for start in range(0, len(found), BATCH):
        client.log_batch(run, params=found[start : start + BATCH])
