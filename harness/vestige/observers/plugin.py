"""The observers that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import ObserverSpec


@hookimpl
def vestige_observers() -> list[ObserverSpec]:
    """`mlflow`."""
    return [
        ObserverSpec(
            name="mlflow",
            version="1",
            summary="Logs every cell to MLflow (extra: vestige[mlflow]).",
            factory="vestige.observers.mlflow:MlflowObserver",
        )
    ]
