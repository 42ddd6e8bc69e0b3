"""The hooks of Vestige: this file is the manual of a plugin author.

A plugin is a module (or an object) with functions of these names, each marked with `vestige.hookimpl` and named
under the entry-point group `vestige`. Providers return a list of frozen specs; observers return nothing.

A plugin module that has observer hooks is told of every run as soon as it is installed. What sends results somewhere
should be a named observer (`vestige_observers`), which is told of the runs that ask for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pluggy

from vestige.specs import (
    AttackSpec,
    DatasetSpec,
    ExecutorSpec,
    MethodSpec,
    MetricSpec,
    ObserverSpec,
    RecommenderSpec,
    RendererSpec,
)

hookspec = pluggy.HookspecMarker("vestige")
hookimpl = pluggy.HookimplMarker("vestige")


@hookspec
def vestige_methods() -> Iterable[MethodSpec]:
    """Unlearning methods.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_methods():
            return [MethodSpec(name="shrink", version="1", summary="Shrinks all weights.",
                               factory="my_package.shrink:Shrink", config=ShrinkConfig)]
        ```
    """


@hookspec
def vestige_datasets() -> Iterable[DatasetSpec]:
    """Datasets.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_datasets():
            return [DatasetSpec(name="my-shop", version="1", summary="Orders of my shop.", licence="internal",
                                factory="my_package.shop:Shop")]
        ```
    """


@hookspec
def vestige_recommenders() -> Iterable[RecommenderSpec]:
    """Recommenders that can be put under test.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_recommenders():
            return [RecommenderSpec(name="markov", version="1", summary="First-order transitions.",
                                    factory="my_package.markov:Markov")]
        ```
    """


@hookspec
def vestige_metrics() -> Iterable[MetricSpec]:
    """Metrics; all that are installed can be named in a board's `[metrics] names`.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_metrics():
            return [MetricSpec(name="coverage", version="1", summary="Share of the catalogue in some top 10.",
                               factory="my_package.coverage:Coverage", measures=("coverage",))]
        ```
    """


@hookspec
def vestige_attacks() -> Iterable[AttackSpec]:
    """Attacks on a model; those that a board names in `[attacks] names` are run.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_attacks():
            return [AttackSpec(name="reverse", version="1", summary="Asks with reversed histories.", track="api",
                               factory="my_package.reverse:Reverse", recovers=("reversed",))]
        ```
    """


@hookspec
def vestige_renderers() -> Iterable[RendererSpec]:
    """Writers of leaderboards.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_renderers():
            return [RendererSpec(name="text", version="1", summary="Plain text.", factory="my_package.text:render")]
        ```
    """


@hookspec
def vestige_executors() -> Iterable[ExecutorSpec]:
    """Where jobs run: this machine's worker processes (built in), or somewhere else.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_executors():
            return [ExecutorSpec(name="cluster", version="1", summary="My cluster.",
                                 factory="my_package.cluster:Cluster")]
        ```
    """


@hookspec
def vestige_observers() -> Iterable[ObserverSpec]:
    """Named observers: the methods of what the factory makes are observer hooks, called where a run asks for them.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_observers():
            return [ObserverSpec(name="diary", version="1", summary="Writes down what is done.",
                                 factory="my_package.diary:Diary")]
        ```
    """


@hookspec
def vestige_board_started(board: str, config: Mapping[str, Any], cells: Sequence[str]) -> None:
    """Observer: a board is about to be run.

    Args:
        board: Its name.
        config: Its `board.toml`, as resolved.
        cells: The names of the records that it will have.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_board_started(board, cells):
            print("to be measured:", board, len(cells))
        ```
    """


@hookspec
def vestige_board_finished(board: str, folder: Path | None) -> None:
    """Observer: a board has its records and tables, or was broken off.

    Args:
        board: Its name.
        folder: Where they lie; None where the run was broken off.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_board_finished(board, folder):
            print("broken off:" if folder is None else "ended:", board)
        ```
    """


@hookspec
def vestige_cell_started(board: str, cell: str) -> None:
    """Observer: a cell of a board is about to be measured.

    Args:
        board: Its name.
        cell: The name of its record, such as `shrink-s0`.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_cell_started(board, cell):
            print("started", board, cell)
        ```
    """


@hookspec
def vestige_cell_finished(board: str, cell: str, record: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Observer: a cell has its record, whatever its status.

    Args:
        board: Its name.
        cell: The name of its record.
        record: What `records/<cell>.json` holds.
        run: What `records/<cell>.run.json` holds: cost, provenance, traceback.

    Example:
        ```python
        @vestige.hookimpl
        def vestige_cell_finished(board, cell, record):
            print("finished", cell, record["outcome"]["status"])
        ```
    """
