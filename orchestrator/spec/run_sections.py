"""The sections of a sweep file that say how it is searched and run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from orchestrator.objectives import Objective
from orchestrator.quantities import quantity
from orchestrator.spec.trial_sections import Quantity, Section


class SamplerSection(Section):
    """Who proposes configurations."""

    kind: Literal["tpe", "nsga2", "gp", "random", "grid"] = "tpe"


class SchedulerSection(Section):
    """Who stops trials early; ``fifo`` stops none. docs/guides/stop-trials-early.md.

    Trials are compared after `min_epochs` epochs and again after `reduction` times as many each
    time, where one in `reduction` goes on; ``median`` compares every `min_epochs` epochs, and the
    better half goes on. ``asha`` and ``median`` look at one objective, the `metric`.
    """

    kind: Literal["fifo", "moasha", "asha", "median"] = "fifo"
    min_epochs: int | None = Field(default=None, ge=1)
    reduction: int | None = Field(default=None, ge=2)
    metric: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Defaults depend on the kind; filled in, a spec that gives them is the same one."""
        if not isinstance(given, dict):
            return given
        defaults = _SCHEDULER_DEFAULTS.get(str(given.get("kind")), {})
        return {**defaults, **{key: value for key, value in given.items() if value is not None}}

    @model_validator(mode="after")
    def _has_what_its_kind_takes(self) -> Self:
        taken = {"kind", *_SCHEDULER_DEFAULTS.get(self.kind, {})}
        if self.kind in ("asha", "median"):
            taken.add("metric")
        for key in self.model_dump(exclude_none=True):
            if key not in taken:
                raise ValueError(f"{_WITHOUT[self.kind, key]}: leave {key} out.")
        return self

    def judged_by(self, objectives: Iterable[Objective]) -> str | None:
        """Name of the objective that one of a single objective looks at; None if there is none."""
        measured = [each.name for each in objectives if is_measured_at_milestones(each.name)]
        return self.metric or next(iter(measured), None)

    def problem(self, objectives: Sequence[Objective], epochs: int) -> str:
        """Why these objectives or so many epochs cannot be judged; empty if they can.

        Args:
            objectives: Of the sweep.
            epochs: Most epochs that a trial may have.
        """
        names = [each.name for each in objectives]
        measured = [name for name in names if is_measured_at_milestones(name)]
        if not measured:
            return (
                f"{self.kind} compares what training changes, accuracy or what an attack yields, "
                f"and the objectives are {', '.join(names)}: add accuracy, or use kind: fifo."
            )
        if self.metric is not None and self.metric not in measured:
            return (
                f"metric is {self.metric!r}, but {self.kind} compares an objective that training "
                f"changes: {' or '.join(measured)}."
            )
        if self.min_epochs is not None and self.min_epochs >= epochs:
            return (
                f"min_epochs is {self.min_epochs}, and no trial has more than {epochs} epochs, so "
                f"that none could be stopped before its end: lower min_epochs, raise "
                f"training.epochs, or use kind: fifo."
            )
        return ""


_SCHEDULER_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "moasha": {"min_epochs": 1, "reduction": 3},
    "asha": {"min_epochs": 1, "reduction": 3},
    "median": {"min_epochs": 1},
}
_NOBODY = "fifo stops nobody"
_WITHOUT: Mapping[tuple[str, str], str] = {
    ("fifo", "min_epochs"): _NOBODY,
    ("fifo", "reduction"): _NOBODY,
    ("fifo", "metric"): _NOBODY,
    ("moasha", "metric"): "moasha looks at all objectives",
    ("median", "reduction"): "median lets the better half go on",
}


def is_measured_at_milestones(name: str) -> bool:
    """Whether training changes a value, so that milestones have a stand-in for it."""
    return quantity(name).changed_by_training


def with_kind(value: object) -> object:
    """A lone word is the kind."""
    return {"kind": value} if isinstance(value, str) else value


class PlateauSection(Section):
    """When a search has stopped finding anything; a lone number is that of the trials.

    Without `growth`, after so many complete trials in a row that did not change the front. With
    it, when the hypervolume grew by less than this share over so many complete trials;
    `orchestrator.search.plateau.VolumePlateau` says in which bounds.
    """

    trials: int = Field(ge=1)
    growth: float | None = Field(default=None, gt=0, le=1)


def _with_trials(value: object) -> object:
    """A lone number is how many trials."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"trials": value} if is_number else value


class BudgetSection(Section):
    """When the sweep ends; the first limit that is reached counts.

    `cpu_hours` and `gpu_hours` are what all attempts of all runs may take together: the time from
    the start of each to its end, times the CPUs or GPUs of a trial. `disk` is what the sweep's
    folder may hold before no further trial starts, in bytes. The last two are limits of each
    trial: how often it may start again because its worker or its node died, and how long an
    attempt may train, beyond which it has failed.
    """

    trials: int = Field(default=32, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    plateau: Annotated[PlateauSection, BeforeValidator(_with_trials)] | None = None
    cpu_hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
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
    other configurations that share a finished training are tried next; ``auto`` does so where
    the budget covers a good part of the space (`SweepSpec.proposes_siblings`). There are none
    without a cache. `fuse` is how many trials a worker takes at once, to train their heads
    together where only heads are trained: at most this number, ``off`` for one, and ``auto``
    decides by `orchestrator.execution.batches`.
    """

    cache: str = Field(default="auto", min_length=1)
    cache_bytes: Quantity = Field(default=10e9, gt=0)
    siblings: bool | Literal["auto"] = "auto"
    fuse: Annotated[int, Field(ge=1, le=256)] | Literal["auto", "off"] = "auto"


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
                raise ValueError(f"{key} says nothing without {source}: leave it out.")
        if "mlflow" in given and "experiment" not in given:
            raise ValueError("mlflow needs an experiment, which has the name of its sweep.")
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
