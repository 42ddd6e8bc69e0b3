"""The executor that comes with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import ExecutorSpec


@hookimpl
def vestige_executors() -> list[ExecutorSpec]:
    """`local`."""
    return [
        ExecutorSpec(
            name="local",
            version="1",
            summary="Worker processes on this machine.",
            factory="vestige.pipeline.local:LocalExecutor",
        )
    ]
