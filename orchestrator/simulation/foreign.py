"""Tables that somebody else recorded, as sweeps: their names mean nothing of ours.

A parameter that is called ``bits`` is whatever the table's authors meant by it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from orchestrator.constraints import Constraint
from orchestrator.errors import UsageError
from orchestrator.simulation.table import Table
from orchestrator.simulation.table_space import (
    directions_of,
    sizes_of,
    space_of,
)
from orchestrator.spec.measure_sections import ObjectiveSection, with_direction
from orchestrator.spec.messages import sentences
from orchestrator.spec.section import as_problem
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.spec.trainer import Trainer
from orchestrator.trials import Params
from search_spaces.yaml_files import dotted
from trainers.config import TrialConfig

# Nothing is trained, and a spec has to have them.
_UNUSED: Mapping[str, Any] = {
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits"},
    # Which parameters share a training is not known of a foreign table.
    "execution": {"kind": "inline", "cache": "off"},
    "tracking": {"kind": "none"},
}
_TRIALS = 100


class Replaying:
    """Trains nothing, and therefore accepts every name and value.

    Args:
        fixed: Says how many epochs a training has.
    """

    def __init__(self, fixed: TrialConfig) -> None:
        self._fixed = fixed

    def config(self, params: Params, seed: int, *, is_reference: bool = False) -> TrialConfig:
        """Build settings that say how long the training is."""
        return replace(self._fixed, seed=seed)


class TableSweep(SweepSpec):
    """A sweep over a table whose names are free.

    Attributes:
        known: Values that are known of a configuration before it is trained.
    """

    known: list[str] = Field(default=[])
    objectives: dict[str, ObjectiveSection] = Field(min_length=1)

    @field_validator("objectives", mode="wrap")
    @classmethod
    def _functions_have_names_of_their_own(
        cls, given: Any, validated: ValidatorFunctionWrapHandler
    ) -> dict[str, ObjectiveSection]:
        sections = {name: with_direction(each) for name, each in dict(given).items()}
        found: dict[str, ObjectiveSection] = validated(sections)
        return found

    @field_validator("objectives")
    @classmethod
    def _attack_where_possible(
        cls, sections: dict[str, ObjectiveSection]
    ) -> dict[str, ObjectiveSection]:
        return sections

    @field_serializer("objectives", mode="wrap")
    def _without_attacks_where_there_are_none(
        self, sections: dict[str, ObjectiveSection], written: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        return {name: {"direction": each.direction} for name, each in sections.items()}

    @field_validator("constraints")
    @classmethod
    def _can_be_met(cls, texts: list[str], info: ValidationInfo) -> list[str]:
        for text in texts:
            as_problem(Constraint.parse, text)
        return texts

    @model_validator(mode="after")
    def _has_networks(self) -> Self:
        return self

    @model_validator(mode="after")
    def _can_be_run_as_it_says(self) -> Self:
        return self

    @model_validator(mode="after")
    def _can_be_judged_at_milestones(self) -> Self:
        return self

    @model_validator(mode="after")
    def _can_reuse_what_it_says(self) -> Self:
        return self

    @model_validator(mode="after")
    def _uses_the_methods_that_it_sets(self) -> Self:
        return self

    @property
    def most_epochs(self) -> int:
        """The number of epochs of a training."""
        return self.training.epochs

    def trial_config(self) -> TrialConfig:
        """Build settings that say how long a training is, and nothing of its network."""
        return TrialConfig(
            backbone=self.backbone.name,
            weights=self.backbone.weights,
            epochs=self.training.epochs,
        )

    def trainer(self) -> Trainer:
        """Return one that accepts whatever the parameters are."""
        return Replaying(self.trial_config())


def sweep_of(
    table: Table,
    given: Mapping[str, Any] | None = None,
) -> TableSweep:
    """Make the sweep that searches a table.

    What is not given is taken from the table: the space from its values, the directions of its
    objectives from the words in their names, the sizes that are known beforehand likewise.

    Args:
        table: At least one recording.
        given: Keys of a sweep file that say how to search: ``objectives``, ``known``, ``space``,
            ``constraints``, ``sampler``, ``scheduler``, ``budget``, ``seed``.

    Raises:
        UsageError: A key is wrong, or names a value that the table lacks.

    >>> from orchestrator.simulation.table import Recording
    >>> measured = {2: {"loss": 0.5, "params": 20.0}, 4: {"loss": 0.2, "params": 40.0}}
    >>> rows = [Recording({"bits": b}, 0, {**v, "train_s": 1.0}) for b, v in measured.items()]
    >>> sweep = sweep_of(Table(tuple(rows)))
    >>> sweep.objectives["loss"].direction, sweep.known, sweep.search_space.size
    ('minimize', ['params'], 2)
    """
    given = dict(given or {})
    epochs = max(len(each.reports) for each in table.recordings)
    space = given.pop("space", None) or space_of(table)
    objectives = given.pop("objectives", None) or directions_of(table)
    made = {
        "name": "table",
        "budget": {"trials": _TRIALS},
        **_UNUSED,
        "space": space,
        "objectives": objectives,
        "known": sizes_of(table),
        "training": {"epochs": max(1, epochs)},
        **given,
    }
    try:
        spec = TableSweep.model_validate(made)
    except ValidationError as error:
        told = " ".join(f"{dotted(place)}: {text}" for place, text in sentences(error))
        raise UsageError(f"{table.source} cannot be searched so. {told}") from None
    _check_names(spec, table)
    return spec


def _check_names(spec: TableSweep, table: Table) -> None:
    first = table.recordings[0]
    wanted = [*spec.objectives, *spec.known, *(limit.name for limit in spec.limits)]
    lacking = [name for name in wanted if name not in first.values]
    if lacking:
        raise UsageError(
            f"{table.source} has no value {', '.join(lacking)}; it has {', '.join(first.values)}."
        )
    if spec.scheduler.kind == "fifo":
        return
    curves = {name for report in first.reports for name in report.values}
    if not curves & set(spec.objectives):
        raise UsageError(
            f"{spec.scheduler.kind} compares objectives epoch by epoch, and {table.source} has "
            f"no curve of {', '.join(spec.objectives)}: use scheduler.kind=fifo."
        )
