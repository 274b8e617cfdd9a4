"""MLflow as a mirror of the store: docs/decisions/0002-mlflow-is-a-mirror.md.

Importing this imports no MLflow: that takes seconds, and happens at a mirror's first use.
"""

from collections.abc import Mapping
from typing import Any, cast

from orchestrator.addresses import is_server
from orchestrator.contracts import Mirror, Store
from orchestrator.errors import UnknownNameError
from orchestrator.state_folder import StateFolder
from orchestrator.tracking.background import BackgroundMirror
from orchestrator.tracking.errors import TrackingError
from orchestrator.tracking.mlflow_mirror import MlflowMirror
from orchestrator.tracking.no_mirror import NoMirror
from orchestrator.tracking.sync import Count, SyncReport, sync
from orchestrator.trials import SweepRecord

__all__ = [
    "BackgroundMirror",
    "Count",
    "Mirror",
    "MlflowMirror",
    "NoMirror",
    "SyncReport",
    "TrackingError",
    "build_mirror",
    "stored_mirror",
    "sync",
]


def build_mirror(
    kind: str, store: Store, *, experiment: str, state: StateFolder, uri: str | None = None
) -> Mirror:
    """Build the mirror that a sweep file's ``tracking`` names; it connects at first use.

    Args:
        kind: ``mlflow`` or ``none``.
        store: The store that is mirrored.
        experiment: Name of the MLflow experiment: the sweep's.
        state: Holds the default database and the artifacts of databases.
        uri: MLflow server or database, if it is not the one that ``MLFLOW_TRACKING_URI`` names or
            the default one.

    Raises:
        UnknownNameError: There is no such kind.

    >>> build_mirror("wandb", None, experiment="digits", state=None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UnknownNameError: Unknown kind of tracking 'wandb'. Known: mlflow, none.
    """
    if kind == "none":
        return NoMirror()
    if kind != "mlflow":
        raise UnknownNameError("kind of tracking", kind, ("mlflow", "none"))
    address, _ = state.tracking_address(uri)
    # With a database, MLflow would put artifacts into the working directory by default.
    root = None if is_server(address) else state.tracking_artifacts
    return MlflowMirror(store, address, artifact_root=root, experiment=experiment)


def stored_mirror(sweep: SweepRecord, store: Store, state: StateFolder) -> Mirror:
    """Build the mirror of a stored sweep, as `build_mirror` does."""
    tracking = cast(Mapping[str, Any], sweep.spec.get("tracking") or {})
    return build_mirror(
        tracking.get("kind", "mlflow"),
        store,
        experiment=sweep.name,
        state=state,
        uri=tracking.get("uri"),
    )
