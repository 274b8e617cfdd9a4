"""The sections of a sweep file that say how it is searched and run."""

from typing import Literal

from pydantic import Field, field_validator

from orchestrator.spec_sections import Quantity, Section


class SamplerSection(Section):
    """Who proposes configurations."""

    kind: Literal["tpe", "nsga2", "gp", "random", "grid"] = "tpe"


class SchedulerSection(Section):
    """Who stops trials early; ``fifo`` stops none."""

    kind: Literal["fifo"] = "fifo"


class BudgetSection(Section):
    """When the sweep ends; the first limit that is reached counts.

    `disk` is what the sweep's folder may hold before no further trial starts, in bytes. The last
    two are limits of each trial: how often it may start again because its worker or its
    node died, and how long an attempt may train, beyond which it has failed.
    """

    trials: int = Field(default=32, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    plateau: int | None = Field(default=None, ge=1)
    disk: Quantity | None = Field(default=None, gt=0)
    retries: int = Field(default=3, ge=0, le=1000)
    trial_seconds: float | None = Field(default=None, gt=0)


class ResourcesSection(Section):
    """What one trial is given."""

    cpus: int = Field(default=1, ge=1)
    gpus: float = Field(default=0, ge=0)

    @field_validator("gpus")
    @classmethod
    def _can_be_shared_out(cls, gpus: float) -> float:
        if gpus > 1 and not gpus.is_integer():
            raise ValueError(f"gpus is {gpus:g}: Ray gives out whole GPUs, or a part of one.")
        return gpus


class ExecutionSection(Section):
    """How trials share what they compute; changes nothing of what they measure.

    `cache` is where results of stages are kept for other trials and sweeps: ``auto`` is the
    folder ``cache`` of the state folder, ``off`` keeps nothing, else a path or an fsspec URL. It
    holds at most `cache_bytes`, and what was not used for longest goes first. With `siblings` the
    other configurations that share a finished training are tried next; there are none without a
    cache.
    """

    cache: str = Field(default="auto", min_length=1)
    cache_bytes: Quantity = Field(default=10e9, gt=0)
    siblings: bool = True

    @property
    def proposes_siblings(self) -> bool:
        """Whether a finished training brings its siblings."""
        return self.siblings and self.cache != "off"


class TrackingSection(Section):
    """Where people browse the trials."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None
