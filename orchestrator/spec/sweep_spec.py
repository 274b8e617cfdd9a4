"""A sweep as one frozen, closed value: the sweep file with defaults filled in."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.quantities import quantity
from orchestrator.spec.backbone_section import BackboneSection
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.spec.function_objectives import with_functions
from orchestrator.spec.identity import fingerprint_of, identity_of
from orchestrator.spec.measure_sections import (
    FORMER_DEFAULTS,
    FrontMeasures,
    MeasureSection,
    Objectives,
    ObjectiveSection,
    TrialMeasures,
    check_measured,
    fits_its_name,
)
from orchestrator.spec.network_variants import architectures, variant_problem
from orchestrator.spec.pruning_section import PruningSection
from orchestrator.spec.reuse_policy import reuse_problem
from orchestrator.spec.run_sections import (
    BudgetSection,
    ExecutionSection,
    ResourcesSection,
    SamplerSection,
    SchedulerSection,
    TrackingSection,
    WarmStartSection,
    with_kind,
    with_source,
    with_tracking,
    with_trials,
)
from orchestrator.spec.section import Section, as_problem
from orchestrator.spec.trial_sections import (
    DataSection,
    HeadSection,
    QuantizationSection,
    TrainingSection,
    with_name,
    with_rule,
)
from orchestrator.state_folder import check_sweep_name
from search_spaces import Choice, Int, SearchSpace, parse_space
from trainers.config import TrialConfig
from trainers.data.config import DataConfig
from trainers.evaluators.config import (
    GRADIENT_CHECK,
    MASKED,
    AttackConfig,
    gradient_check,
)
from trainers.networks.backbone_table import backbone_info
from trainers.pruning import PruningConfig
from trainers.quantization import QuantizationConfig
from trainers.quantization.calibration import CalibrationConfig


class SweepSpec(Section):
    """A whole sweep.

    `space` is the search space in its plain form, even if the file referred to it by name, so
    that a stored spec needs no other file.
    """

    name: str
    backbone: Annotated[BackboneSection, BeforeValidator(with_name)]
    data: Annotated[DataSection, BeforeValidator(with_name)]
    space: dict[str, Any]
    training: TrainingSection = TrainingSection()
    head: Annotated[HeadSection, BeforeValidator(with_rule)] = HeadSection()
    quantization: QuantizationSection = QuantizationSection()
    pruning: PruningSection | None = None
    objectives: Objectives = Field(min_length=1)
    # Values of attacks that are not objectives: of every trial, and of the front alone.
    measures: TrialMeasures | None = None
    front_measures: FrontMeasures | None = None
    constraints: list[str] = Field(default=[])
    sampler: Annotated[SamplerSection, BeforeValidator(with_kind)] = SamplerSection()
    warm_start: Annotated[WarmStartSection | None, BeforeValidator(with_source)] = None
    scheduler: Annotated[SchedulerSection, BeforeValidator(with_kind)] = SchedulerSection()
    budget: Annotated[BudgetSection, BeforeValidator(with_trials)] = BudgetSection()
    replicates: int = Field(default=1, ge=1, le=1000)
    # Whether the full-size network is measured too, for sized ones to be compared with.
    reference: bool = False
    # The claim about the trials compared with it, fixed beforehand.
    claim: ClaimSection | None = None
    resources: ResourcesSection = ResourcesSection()
    execution: ExecutionSection = ExecutionSection()
    tracking: Annotated[TrackingSection, BeforeValidator(with_tracking)] = TrackingSection()
    store: str = "default"
    # Replicates count up from it, and the store holds 63 bits.
    seed: int = Field(default=0, ge=0, lt=2**62)

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return as_problem(check_sweep_name, name)

    @field_validator("objectives", mode="wrap")
    @classmethod
    def _functions_have_names_of_their_own(
        cls, given: Any, validated: ValidatorFunctionWrapHandler
    ) -> dict[str, ObjectiveSection]:
        return with_functions(given, validated)

    @field_validator("objectives")
    @classmethod
    def _attack_where_possible(
        cls, sections: dict[str, ObjectiveSection]
    ) -> dict[str, ObjectiveSection]:
        for name, section in sections.items():
            # A spec that an older version stored has defaults filled in; they mean nothing here.
            plain = ObjectiveSection(direction=section.direction).model_dump().items()
            given = section.model_dump().items() - plain - FORMER_DEFAULTS.items()
            extra = sorted(key for key, _ in given if key != "function")
            if quantity(name).is_attack:
                fits_its_name(name, section)
            elif extra:
                raise ValueError(
                    f"{name} has no attack, so that {', '.join(extra)} would do nothing: write "
                    f"'{name}: {section.direction}'."
                )
        return sections

    @field_serializer("objectives", mode="wrap")
    def _without_attacks_where_there_are_none(
        self, sections: dict[str, ObjectiveSection], written: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        return {
            name: {
                key: value
                for key, value in values.items()
                if (value is not None if key == "function" else quantity(name).is_attack)
                or key == "direction"
            }
            for name, values in written(sections).items()
        }

    @field_validator("constraints")
    @classmethod
    def _can_be_met(cls, texts: list[str], info: ValidationInfo) -> list[str]:
        for text in texts:
            name = as_problem(Constraint.parse, text).name
            # Empty if the section itself is invalid, which is reported anyway.
            objectives = info.data.get("objectives") or {}
            given = [*objectives, *(info.data.get("measures") or ())]
            if name not in objectives:
                check_measured(name)
            if quantity(name).is_attack and given and name not in given:
                raise ValueError(
                    f"The constraint {text!r} can never be met, because nothing measures {name}: "
                    f"make it an objective or write it under measures, with its attack."
                )
        return texts

    @field_validator("measures", "front_measures")
    @classmethod
    def _have_names_of_their_own(
        cls, sections: dict[str, MeasureSection] | None, info: ValidationInfo
    ) -> dict[str, MeasureSection] | None:
        for name, section in (sections or {}).items():
            fits_its_name(name, section)
            for place in ("objectives", "measures"):
                if name in (info.data.get(place) or ()):
                    raise ValueError(
                        f"{name} is under {place} already: values of different budgets never "
                        f"share a name. Give one of them a suffix of its own, as in {name}_strong."
                    )
        return sections

    @model_validator(mode="after")
    def _has_what_images_are_exchanged_with(self) -> Self:
        for name in self.front_measures or ():
            if quantity(name).needs_reference and not self.reference:
                raise ValueError(
                    f"front_measures: {name} exchanges images with the reference, and this sweep "
                    f"has none: write 'reference: true', or leave it out."
                )
        return self

    @model_validator(mode="after")
    def _can_show_what_it_claims(self) -> Self:
        if self.claim is not None:
            measured = {"accuracy", *self.objectives, *(self.measures or ())}
            names = set(self.search_space.names)
            problem = self.claim.problem(measured, names, has_reference=self.reference)
            if problem:
                raise ValueError(f"claim: {problem}.")
        return self

    @model_validator(mode="after")
    def _has_networks(self) -> Self:
        is_sampled = {"depth", "width_multiplier"} & self.space.keys()
        problem = is_sampled and variant_problem(self.trial_config(), self.search_space)
        if problem := problem or self.backbone.prior_problem(self.space.keys(), self.sampler.kind):
            raise ValueError(f"space: {problem}")
        return self

    @model_validator(mode="after")
    def _has_the_devices_of_its_budget(self) -> Self:
        hours = self.budget.gpu_hours
        if hours is not None and not self.resources.gpus:
            raise ValueError(
                f"budget: gpu_hours is {hours:g}, and a trial has no GPU, so that none would ever "
                f"pass: set resources.gpus, or write cpu_hours."
            )
        return self

    @model_validator(mode="after")
    def _can_be_judged_at_milestones(self) -> Self:
        if self.scheduler.kind == "fifo":
            return self
        problem = self.scheduler.problem(self.directed, self.most_epochs)
        if problem:
            raise ValueError(f"scheduler: {problem}")
        return self

    @model_validator(mode="after")
    def _can_reuse_what_it_says(self) -> Self:
        reuses = {"policy", "verdict"} & (self.space.keys() | self.backbone.model_fields_set)
        problem = reuses and reuse_problem(self.backbone, self.search_space, self.training.tune)
        if problem:
            raise ValueError(f"backbone: {problem}")
        return self

    @property
    def most_epochs(self) -> int:
        """The maximum number of epochs of a training."""
        sampled = self.search_space.domains.get("epochs")
        most = [int(each) for each in sampled.options] if isinstance(sampled, Choice) else []
        most += [sampled.high] if isinstance(sampled, Int) else []
        # The default also counts: the parameter may be inactive.
        return max([self.training.epochs, *most])

    @cached_property
    def search_space(self) -> SearchSpace:
        """The space as an object."""
        return parse_space(self.space)

    @property
    def proposes_siblings(self) -> bool:
        """Whether the siblings of a finished training are proposed next.

        They count towards the budget. If the budget covers a quarter of the space, most trainings
        will be requested again with other bits anyway; in a larger space the sampler chooses.
        """
        if self.execution.cache == "off" or self.execution.siblings is False:
            return False
        size = self.search_space.size
        covers = size is not None and 4 * self.budget.trials >= size
        return self.execution.siblings is True or covers

    @property
    def takes_up_stopped(self) -> bool:
        """Whether stopped trials are resumed once every configuration was tried.

        With a budget of time that is the remaining work; a budget of trials is used up then.
        """
        time = (self.budget.seconds, self.budget.cpu_hours, self.budget.gpu_hours)
        has_time = any(limit is not None for limit in time)
        stops = self.scheduler.kind != "fifo"
        return stops and has_time and self.search_space.size is not None

    @property
    def directed(self) -> tuple[Objective, ...]:
        """The objectives with their directions, in the file's order."""
        return tuple(
            Objective(name, Direction(section.direction))
            for name, section in self.objectives.items()
        )

    @property
    def limits(self) -> tuple[Constraint, ...]:
        """The constraints, parsed."""
        return tuple(Constraint.parse(text) for text in self.constraints)

    @property
    def attacks(self) -> dict[str, AttackConfig]:
        """The attacks on every trial, by the name of the value they yield."""
        sections = {**self.objectives, **(self.measures or {})}
        return {
            name: section.as_attack()
            for name, section in sections.items()
            if quantity(name).is_attack
        }

    @property
    def functions(self) -> dict[str, str]:
        """The functions of a user's own, by the name of the value that each returns."""
        return {
            name: section.function
            for name, section in self.objectives.items()
            if section.function is not None
        }

    @property
    def front_attacks(self) -> dict[str, AttackConfig]:
        """The attacks on the front when the sweep ends, by the name of the value they yield.

        With robustness as an objective, the gradients behind it are checked on a few images. The
        check has a name of its own, so that it never collides with one in the sweep file.
        """
        given = {
            name: section.as_attack() for name, section in (self.front_measures or {}).items()
        }
        judged = [section for name, section in self.objectives.items() if quantity(name).is_attack]
        if judged and not any(name.startswith(MASKED) for name in given):
            given[GRADIENT_CHECK] = gradient_check(judged[0].as_attack())
        return given

    def data_config(self) -> DataConfig:
        """Build the data settings for `trainers`."""
        given = self.data.model_dump()
        return DataConfig(**given, seed=self.seed, default_size=self._default_size)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of all backbones that trials may have, with aliases resolved."""
        sampled = self.search_space.domains["backbone"] if "backbone" in self.space else None
        names = sampled.options if isinstance(sampled, Choice) else ()
        every = (backbone_info(str(name)).name for name in (self.backbone.name, *names))
        return tuple(dict.fromkeys(every))

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """Names of all networks that trials may train, but for their heads."""
        return architectures(self.trial_config(), self.search_space)

    @property
    def _default_size(self) -> int:
        """The image side where images differ in size: the input of the largest backbone."""
        if self.backbone.image_size is not None:
            return self.backbone.image_size
        return max(backbone_info(name).image_size for name in self.backbones)

    def trial_config(self) -> TrialConfig:
        """Build the settings for `trainers` that all trials share."""
        widths = self.head.widths
        return TrialConfig(
            backbone=self.backbone.name,
            weights=self.backbone.weights,
            image_size=self.backbone.image_size,
            **self.backbone.cut(),
            reuse=self.backbone.reuse,
            widths=None if widths is None else tuple(widths),
            fc_rule=self.head.rule,
            fc_fraction=self.head.fraction,
            attacks=self.attacks,
            threads=self.resources.cpus,
            functions=self.functions,
            latency="latency_ms" in {*self.objectives, *(limit.name for limit in self.limits)},
            **self.training.of_trials(),
            **self.quantization.of_trials(),
            pruning=(self.pruning or PruningSection()).of_trials(),
        )

    def reference_config(self) -> TrialConfig:
        """Build the full-size network, uncut, not quantized and not pruned."""
        return replace(
            self.trial_config(),
            depth=None,
            depth_cap=None,
            depth_start="prefix",
            width_multiplier="none",
            widths=None,
            fc_rule=None,
            fc_fraction=None,
            **asdict(QuantizationConfig()),
            rounding="nearest",
            calibration=CalibrationConfig(),
            qat="none",
            pruning=PruningConfig(),
        )

    def identity(self) -> Mapping[str, Any]:
        """Return what determines the meaning of the trials; see `orchestrator.spec.identity`."""
        return identity_of(self)

    def fingerprint(self) -> str:
        """Compute the digest of `identity`."""
        return fingerprint_of(self.identity())
