"""What can go wrong with the tracker; none of it ever reaches a trial."""

from orchestrator.errors import OrchestratorError


class TrackingError(OrchestratorError):
    """MLflow cannot be reached or cannot answer now; trying again later may help."""


class RefusedError(TrackingError):
    """MLflow answered that it will not store this; trying the same again is of no use."""
