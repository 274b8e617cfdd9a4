"""The section `pruning` of a sweep file."""

from typing import Annotated, Any

from pydantic import ValidationInfo, field_validator

from orchestrator.spec.section import Section, with_reference
from trainers.parameters import check_parameter
from trainers.pruning import PruningConfig
from trainers.pruning.config import CRITERIA, PREFIX


class PruningSection(Section):
    """Which weights become zero, and when; see `trainers.pruning.PruningConfig`."""

    sparsity: float | None = None
    granularity: str | None = None
    context: str | None = None
    criterion: Annotated[str | None, with_reference("criteria", ours=CRITERIA)] = None
    schedule: str | None = None
    layers: str | None = None
    restart: bool | None = None
    threshold: float | None = None

    @field_validator("*")
    @classmethod
    def _is_accepted(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            check_parameter(f"{PREFIX}{info.field_name}", value)
        return value

    def of_trials(self) -> PruningConfig:
        """Build the pruning that all trials share."""
        return PruningConfig(**self.model_dump(exclude_none=True))
