"""The sections of a sweep file that say how it is searched and run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from orchestrator.contracts.needs import Needs
from orchestrator.objectives import Objective
from orchestrator.quantities import parse_quantity, quantity
from orchestrator.spec.section import Quantity, Section, as_problem, with_kind, with_reference
from search_spaces import unknown
from trainers.doors import is_reference, resolved_reference

_SCHEDULER_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "moasha": {"min_epochs": 1, "reduction": 3},
    "asha": {"min_epochs": 1, "reduction": 3},
    "median": {"min_epochs": 1},
}
AUTO: Literal["auto"] = "auto"
"""The word for resources that a run measures."""
SCHEDULER_KINDS = ("fifo", *_SCHEDULER_DEFAULTS)


class SchedulerSection(Section):
    """The scheduler, which stops trials early; see docs/guides/stop-trials-early.md.

    Attributes:
        kind: ``fifo`` stops none. ``moasha`` compares all objectives at milestones, ``asha`` one
            of them; ``median`` stops what is worse than half of the others. Or ``module:name``, a
            scheduler of one's own.
        min_epochs: Epochs up to the first milestone (rung); for ``median``, between comparisons.
            1 unless it is given.
        reduction: Eta: each further milestone is after that many times as many epochs, and one
            trial in as many is promoted. Not for ``median``; 3 unless it is given.
        metric: The one objective of ``asha`` and ``median``; the first that training changes
            unless it is given.
        options: Arguments of a scheduler of one's own, by their names.
    """

    kind: Annotated[str, with_reference("schedulers", ours=SCHEDULER_KINDS)] = "fifo"
    min_epochs: int | None = Field(default=None, ge=1)
    reduction: int | None = Field(default=None, ge=2)
    metric: str | None = None
    options: dict[str, Any] | None = None

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if is_reference(kind):
            resolved_reference(kind, Path())
        elif kind not in SCHEDULER_KINDS:
            raise ValueError(unknown("scheduler", kind, SCHEDULER_KINDS))
        return kind

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the kind, so that a spec that spells them out is equal."""
        if not isinstance(given, dict):
            return given
        defaults = _SCHEDULER_DEFAULTS.get(str(given.get("kind")), {})
        return {**defaults, **{key: value for key, value in given.items() if value is not None}}

    @model_validator(mode="after")
    def _has_what_its_kind_takes(self) -> Self:
        taken = {"kind", *_SCHEDULER_DEFAULTS.get(self.kind, {})}
        if self.kind in ("asha", "median"):
            taken.add("metric")
        if is_reference(self.kind):
            taken.add("options")
        for key in self.model_dump(exclude_none=True):
            if key not in taken:
                why = _WITHOUT.get((self.kind, key), _OPTIONS if key == "options" else _OWN)
                raise ValueError(f"{why}: leave {key} out.")
        return self

    def judged_by(self, objectives: Iterable[Objective]) -> str | None:
        """Return the objective that a single-objective scheduler uses; None if there is none."""
        measured = [each.name for each in objectives if is_measured_at_milestones(each.name)]
        return self.metric or next(iter(measured), None)

    def problem(self, objectives: Sequence[Objective], epochs: int) -> str:
        """Explain why these objectives or epochs cannot be scheduled; empty if they can.

        Args:
            objectives: The objectives of the sweep.
            epochs: Maximum number of epochs of a trial.
        """
        if is_reference(self.kind):
            return ""
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


_OPTIONS = "options are for a scheduler of one's own"
_OWN = "a scheduler of one's own takes options"
_STOPS_NONE = "fifo stops no trial"
_WITHOUT: Mapping[tuple[str, str], str] = {
    ("fifo", "min_epochs"): _STOPS_NONE,
    ("fifo", "reduction"): _STOPS_NONE,
    ("fifo", "metric"): _STOPS_NONE,
    ("moasha", "metric"): "moasha looks at all objectives",
    ("median", "reduction"): "median lets the better half go on",
}


def is_measured_at_milestones(name: str) -> bool:
    """Return whether training changes a value, so that milestones have a proxy for it.

    >>> is_measured_at_milestones("accuracy"), is_measured_at_milestones("params")
    (True, False)
    """
    return quantity(name).changed_by_training


_OFF, _ON = ("off", "no", "none"), ("auto", "yes", "on")
CACHE_WORDS = (*_OFF, *_ON)
"""Values of `execution.cache` that are not paths."""


def with_cache(value: object) -> object:
    """Convert a boolean word for the cache to ``auto`` or ``off``; a folder ``no`` is ``./no``.

    >>> with_cache(False), with_cache("yes"), with_cache("./no")
    ('off', 'auto', './no')
    """
    if value is False or value in _OFF:
        return "off"
    return "auto" if value is True or value in _ON else value


def with_tracking(value: object) -> object:
    """Convert a single word to the kind, a single address to the URI, and no to ``none``.

    >>> with_tracking("http://mlflow:5000"), with_tracking("off")
    ({'uri': 'http://mlflow:5000'}, {'kind': 'none'})
    """
    if value is False or value in _OFF:
        return {"kind": "none"}
    if isinstance(value, str) and "://" in value:
        return {"uri": value}
    return with_kind(value)


class PlateauSection(Section):
    """The plateau at which a search ends; a single number is the number of trials.

    Attributes:
        trials: Complete trials in a row that do not change the front.
        growth: With it, the front may change, as long as its hypervolume grows by less than this
            share over that many trials; `orchestrator.search.plateau.VolumePlateau` documents
            the bounds.
    """

    trials: int = Field(ge=1)
    growth: float | None = Field(default=None, gt=0, le=1)


def with_trials(value: object) -> object:
    """Convert a single number to a section with this number of trials.

    >>> with_trials(48)
    {'trials': 48}
    """
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"trials": value} if is_number else value


class BudgetSection(Section):
    """Limits at which the sweep ends, and limits of each trial; the first one reached counts.

    Attributes:
        trials: Trials in all, those of earlier runs included.
        seconds: Wall-clock seconds of a run.
        plateau: Trials without progress after which the search ends.
        cpu_hours: Hours from start to end of every attempt of every run, times the CPUs of a
            trial, in all.
        gpu_hours: The same with the GPUs of a trial.
        disk: Bytes of the sweep's folder from which on no further trial starts, for example
            ``20GB``.
        retries: How often a trial may start again because its worker or its node died.
        trial_seconds: Seconds that an attempt may train before it has failed.
    """

    trials: int = Field(default=32, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    plateau: (
        Annotated[
            PlateauSection,
            BeforeValidator(with_trials, json_schema_input_type=int | PlateauSection),
        ]
        | None
    ) = None
    cpu_hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
    disk: Quantity | None = Field(default=None, gt=0)
    retries: int = Field(default=3, ge=0, le=1000)
    trial_seconds: float | None = Field(default=None, gt=0)


def _quantity_or_auto(value: object) -> object:
    return as_problem(parse_quantity, value) if isinstance(value, str) and value != AUTO else value


class ResourcesSection(Section):
    """The resources that one trial is given, all on one node.

    Attributes:
        cpus: CPUs, and threads of torch.
        gpus: GPUs: whole ones, or a part of one. ``auto``: as many trials share a GPU as a short
            trial at the start of the run shows that fit; none where there is no GPU.
        memory: Bytes that Ray reserves on the node, for example ``4GB``. ``auto``: what the short
            trial takes, and a tenth more.
        custom: Amounts of resources that the cluster defines, by their names.
        labels: Labels that the node must have, with their values.
    """

    cpus: int = Field(default=1, ge=1)
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"] = 0.0
    memory: (
        Annotated[
            Annotated[float, Field(gt=0)] | Literal["auto"], BeforeValidator(_quantity_or_auto)
        ]
        | None
    ) = None
    custom: dict[str, Annotated[float, Field(gt=0)]] | None = None
    labels: dict[str, str] | None = None

    def as_needs(self) -> Needs:
        """Build what the executor asks of a node; a whole GPU where it is still to be measured."""
        gpus = 1 if self.gpus == AUTO else self.gpus
        memory = 0 if self.memory in (AUTO, None) else self.memory
        return Needs(self.cpus, gpus, memory, self.custom or {}, self.labels or {})

    @field_validator("gpus")
    @classmethod
    def _can_be_shared_out(cls, gpus: float | Literal["auto"]) -> float | Literal["auto"]:
        if gpus != AUTO and gpus > 1 and not gpus.is_integer():
            raise ValueError(f"gpus is {gpus:g}: Ray gives out whole GPUs, or a part of one.")
        return gpus


class ExecutionSection(Section):
    """How trials share computations and machines; this does not change what they measure.

    Attributes:
        kind: ``ray`` runs trials on workers of their own, on this machine or on a cluster.
            ``inline`` runs them one after another in the process of the command, without Ray:
            sooner started, and not isolated from a trial that crashes the interpreter.
        reproducible: Whether the same seed gives the same trials again, whatever the timing; see
            docs/reproducibility.md.
        cache: Where results of stages are kept for other trials and sweeps: ``auto`` is the
            folder ``cache`` of the sweep's storage, or of the state folder where it has none;
            ``off`` keeps nothing, else a path or an fsspec URL.
        cache_bytes: Most bytes of the cache; the least recently used entries are removed first.
        siblings: Whether the other configurations that share a finished training are tried next;
            ``auto`` does so if the budget covers a good part of the space
            (`SweepSpec.proposes_siblings`). Without a cache there are none.
        fuse: Most trials that a worker takes at once, to train their heads together where only
            heads are trained; ``off`` is one, and ``auto`` lets `orchestrator.execution.batches`
            decide.
        max_slots: Most workers that train at once, which leaves room on a cluster for others; by
            default as many as fit. A reproducible sweep on Ray needs it.
        autoscaling: Whether the cluster adds nodes when they are asked for: `max_slots` trials
            are asked for at once, and what no node has room for is waited for.
    """

    kind: Literal["ray", "inline"] = "ray"
    reproducible: bool = False
    cache: Annotated[str, BeforeValidator(with_cache, json_schema_input_type=bool | str)] = Field(
        default="auto", min_length=1
    )
    cache_bytes: Quantity = Field(default=10e9, gt=0)
    siblings: bool | Literal["auto"] = "auto"
    fuse: Annotated[int, Field(ge=1, le=256)] | Literal["auto", "off"] = "auto"
    max_slots: int | None = Field(default=None, ge=1)
    autoscaling: bool = False

    @model_validator(mode="after")
    def _asks_for_a_number(self) -> Self:
        if self.autoscaling and (self.max_slots is None or self.kind == "inline"):
            raise ValueError(
                "autoscaling asks the Ray cluster for room for max_slots trials: write "
                "execution: {autoscaling: true, max_slots: 8}, or leave it out."
            )
        return self


_SOURCES = ("sweep", "csv", "mlflow", "optuna")


class WarmStartSection(Section):
    """Earlier results from which the sampler learns before the first trial: one of four sources.

    Attributes:
        sweep: Name of a sweep.
        store: Its store, if it is another one.
        csv: A table of parameters and values.
        mlflow: Address of an MLflow server or database.
        experiment: The experiment there, which has the name of its sweep.
        parent_run: Id of the sweep's own run, where several have its name.
        optuna: Address of an Optuna storage.
        study: The study there; needed only where there are several.
        rename: This sweep's names of parameters and values, by the names in the source.
    """

    sweep: str | None = None
    store: str | None = None
    csv: str | None = None
    mlflow: str | None = None
    experiment: str | None = None
    parent_run: str | None = None
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
        belongs = {
            "store": "sweep",
            "experiment": "mlflow",
            "parent_run": "mlflow",
            "study": "optuna",
        }
        for key, source in belongs.items():
            if key in given and source not in given:
                raise ValueError(f"{key} says nothing without {source}: leave it out.")
        if "mlflow" in given and "experiment" not in given:
            raise ValueError("mlflow needs an experiment, which has the name of its sweep.")
        return self


def with_source(value: object) -> object:
    """Convert a single word to a table if it ends in ``.csv``, else to the name of a sweep.

    >>> with_source("earlier.csv"), with_source("digits-fc")
    ({'csv': 'earlier.csv'}, {'sweep': 'digits-fc'})
    """
    if not isinstance(value, str):
        return value
    return {"csv" if value.endswith(".csv") else "sweep": value}


class TrackingSection(Section):
    """The tracker in which people browse the trials.

    Attributes:
        kind: ``mlflow``, or ``none`` for no tracker.
        uri: Its address; otherwise `MLFLOW_TRACKING_URI`, or else a database in the state folder.
    """

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None


Scheduler = Annotated[
    SchedulerSection, BeforeValidator(with_kind, json_schema_input_type=str | SchedulerSection)
]
Execution = Annotated[
    ExecutionSection, BeforeValidator(with_kind, json_schema_input_type=str | ExecutionSection)
]
WarmStart = Annotated[
    WarmStartSection, BeforeValidator(with_source, json_schema_input_type=str | WarmStartSection)
]
Budget = Annotated[
    BudgetSection, BeforeValidator(with_trials, json_schema_input_type=int | BudgetSection)
]
Tracking = Annotated[
    TrackingSection,
    BeforeValidator(with_tracking, json_schema_input_type=bool | str | TrackingSection),
]
