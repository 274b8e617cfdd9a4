"""One trial of a front, and one that was picked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OrchestratorError
from orchestrator.fronts.notebook import member_html
from orchestrator.places import network_file
from orchestrator.trials import Artifact, Params, Trial

if TYPE_CHECKING:
    from orchestrator.analysis.comparison import Selection


@dataclass(frozen=True, slots=True)
class FrontMember:
    """One trial of a front.

    Attributes:
        sweep: Name of its sweep.
        trial: Its number in the sweep.
        params: Active parameters.
        values: Everything measured of it.
        mlflow_run_id: Its MLflow run, once it is mirrored.
        artifact: Path of its packed network, if it has one.
        packed: The size and digest of that file, by which it is recognised.
    """

    sweep: str
    trial: int
    params: Params
    values: Mapping[str, float]
    mlflow_run_id: str | None
    artifact: str | None
    packed: Artifact | None = field(default=None, kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, trial: Trial) -> "FrontMember":
        """Convert a trial to a member."""
        path = trial.artifact.path if trial.artifact else None
        run = trial.mlflow_run_id
        known = (trial.sweep, trial.number, trial.params, trial.values, run, path)
        return cls(*known, packed=trial.artifact)

    def as_json(self) -> dict[str, object]:
        """Return the record that ``paretune front --format json`` prints."""
        return {
            "sweep": self.sweep,
            "trial": self.trial,
            "params": dict(self.params),
            "values": dict(self.values),
            "mlflow_run_id": self.mlflow_run_id,
            "artifact": self.artifact,
        }

    def _repr_html_(self) -> str:
        return member_html(self, reason=str(getattr(self, "reason", "")))

    def load_model(self) -> Any:
        """Load the packed network as a torch module; imports torch.

        Raises:
            OrchestratorError: The trial has no artifact.
            LostNetworkError: Its file is gone, or is not the one that was measured.
        """
        if self.artifact is None:
            raise OrchestratorError(
                f"Trial {self.trial} of {self.sweep!r} has no packed network to load: none was "
                f"stored with it. Choose another member of the front, or run the sweep again."
            )
        from trainers.artifact import load_artifact

        # Of a member that was constructed by hand only the path is known.
        packed = self.packed or Artifact(self.artifact, 0, "")
        return load_artifact(network_file(packed, f"trial {self.trial} of {self.sweep!r}"))


@dataclass(frozen=True, slots=True)
class Pick(FrontMember):
    """A trial that was picked, and why.

    Attributes:
        reason: In a sentence or two.
        selection: The comparisons that were made.
    """

    reason: str
    selection: "Selection"
