"""An analysis as an MLflow run of its own: what it was given, what it found, with which versions.

Analyses are not mirrored from a store, so that nothing is repaired later: the run is written once,
when the analysis is over, and an analysis that is made again is another run.
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from orchestrator.addresses import is_server, tracking_problem
from orchestrator.errors import UsageError
from orchestrator.redaction import redacted
from orchestrator.state_folder import StateFolder
from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.tracking.run_content import milliseconds
from orchestrator.tracking.runs import RunContent, points, safe_params, safe_tags

EXPERIMENT = "paretune-analyses"
"""The experiment of all analyses; the tag `ANALYSIS` tells them apart."""
ANALYSIS = "paretune.analysis"
REPORT, PAGE = "report.json", "report.html"
_PACKAGES = ("paretune", "torch", "torchvision", "numpy", "scipy")


class TrackedAnalysis(Protocol):
    """A report of an analysis that can be written as a run."""

    @property
    def kind(self) -> str:
        """The word of the command: ``depth``, ``reuse``."""
        ...

    def inputs(self) -> dict[str, Any]:
        """Return what it was given: the run's params."""
        ...

    def results(self) -> dict[str, float]:
        """Return the numbers that sum it up: the run's metrics."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        ...


@dataclass(frozen=True, slots=True)
class AnalysisTracker:
    """An MLflow that analyses are written to.

    Attributes:
        uri: Of the MLflow server, or of its database.
        artifact_root: Folder of a new experiment's artifacts; None leaves it to the server.
    """

    uri: str
    artifact_root: Path | None = None

    @classmethod
    def at(cls, uri: str, state: StateFolder | None = None) -> "AnalysisTracker":
        """Name a tracker; ``default`` is the one to which sweeps of this project are mirrored.

        Raises:
            UsageError: MLflow has no such scheme.

        >>> AnalysisTracker.at("http://mlflow:5000")
        AnalysisTracker(uri='http://mlflow:5000', artifact_root=None)
        """
        folder = state or StateFolder.find()
        address, _ = folder.tracking_address(None if uri == "default" else uri)
        if problem := tracking_problem(address):
            raise UsageError(problem)
        return cls(address, None if is_server(address) else folder.tracking_artifacts)

    @property
    def name(self) -> str:
        """Its URI without a password."""
        return redacted(self.uri)

    def write(self, report: TrackedAnalysis, *, began: datetime, page: str = "") -> str:
        """Write an analysis as a finished run, and return the run's id.

        Args:
            report: The analysis; whole, it is the artifact `REPORT`.
            began: When it began.
            page: HTML, the artifact `PAGE`; empty for none.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        server, ended = MlflowServer(self.uri), milliseconds(datetime.now(UTC))
        inputs = report.inputs()
        content = RunContent(
            name=" ".join([report.kind, *(str(v) for k, v in inputs.items() if k in _IN_NAME)]),
            status="FINISHED",
            started_ms=milliseconds(began),
            ended_ms=ended,
            tags=safe_tags({ANALYSIS: report.kind, **_versions()}),
            params=safe_params(inputs),
            latest=tuple(points(report.results(), ended, step=0)),
        )
        experiment = server.experiment_id(EXPERIMENT, artifact_root=self.artifact_root)
        run = server.create_run(experiment, content, {ANALYSIS: report.kind})
        server.put_text(run.run_id, json.dumps(report.as_json(), indent=2), REPORT)
        if page:
            server.put_text(run.run_id, page, PAGE)
        # Last, so that a run that is finished has its files.
        server.bring(run, content)
        return run.run_id


_IN_NAME = ("backbone", "data")


def _versions() -> Mapping[str, str]:
    found = {"version.python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[f"version.{name}"] = version(name)
        except PackageNotFoundError:
            continue
    return found
