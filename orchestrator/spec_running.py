"""The sections of a sweep file that say how it is searched and run."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

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


_SOURCES = ("sweep", "csv", "mlflow", "optuna")


class WarmStartSection(Section):
    """What the sampler learns from before the first trial: one of four sources.

    A sweep (`store`: where it is stored, if not where this one is), a table, an `experiment` of
    an MLflow server or database, or a `study` of an Optuna storage, which need not be named where
    there is one. `rename` says what this sweep calls a parameter or a value of the source.
    """

    sweep: str | None = None
    store: str | None = None
    csv: str | None = None
    mlflow: str | None = None
    experiment: str | None = None
    optuna: str | None = None
    study: str | None = None
    rename: dict[str, str] | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = self.model_dump(exclude_none=True, exclude={"rename"})
        if len([key for key in _SOURCES if key in given]) != 1:
            raise ValueError(
                f"warm_start needs one of {', '.join(_SOURCES)}, and has "
                f"{', '.join(given) or 'none'}: write for example 'warm_start: digits-fc' or "
                f"'warm_start: {{optuna: sqlite:///study.db, study: digits}}'."
            )
        belongs = {"store": "sweep", "experiment": "mlflow", "study": "optuna"}
        for key, source in belongs.items():
            if key in given and source not in given:
                raise ValueError(f"warm_start: {key} says nothing without {source}: leave it out.")
        if "mlflow" in given and "experiment" not in given:
            raise ValueError(
                "warm_start: mlflow needs an experiment, which has the name of its sweep."
            )
        return self


def with_source(value: object) -> object:
    """A lone word is a table if it ends in ``.csv``, else the name of a sweep."""
    if not isinstance(value, str):
        return value
    return {"csv" if value.endswith(".csv") else "sweep": value}


class TrackingSection(Section):
    """Where people browse the trials."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None
