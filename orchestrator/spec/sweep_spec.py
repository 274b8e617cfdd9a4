"""A sweep as one frozen, closed value: the sweep file with defaults filled in."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import (
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
from orchestrator.spec.backbone_section import Backbone
from orchestrator.spec.callbacks_section import Callbacks
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.spec.function_objectives import with_functions
from orchestrator.spec.identity import fingerprint_of, identity_of
from orchestrator.spec.measure_sections import (
    FrontMeasures,
    MeasureSection,
    Objectives,
    ObjectiveSection,
    TrialMeasures,
    check_measured,
    check_own_names,
    with_attacks_where_possible,
    without_idle_attacks,
)
from orchestrator.spec.methods_section import MethodsSection, method_problem
from orchestrator.spec.network_variants import architectures, variant_problem
from orchestrator.spec.pruning_section import PruningSection
from orchestrator.spec.reuse_policy import reuse_problem
from orchestrator.spec.run_problems import run_problem
from orchestrator.spec.run_sections import (
    Budget,
    BudgetSection,
    Execution,
    ExecutionSection,
    ResourcesSection,
    Scheduler,
    SchedulerSection,
    Tracking,
    TrackingSection,
    WarmStart,
)
from orchestrator.spec.sampler_section import Sampler, SamplerSection
from orchestrator.spec.section import Section, as_problem
from orchestrator.spec.sharing import shares_trainings
from orchestrator.spec.trainer import OwnTrainer, Trainer
from orchestrator.spec.trial_sections import (
    Data,
    Head,
    HeadSection,
    QuantizationSection,
    TrainingSection,
)
from orchestrator.state_folder import check_sweep_name
from search_spaces import Choice, Int, SearchSpace, parse_space
from trainers.config import TrialConfig, reference_of
from trainers.data.config import DataConfig
from trainers.evaluators.config import (
    GRADIENT_CHECK,
    MASKED,
    AttackConfig,
    gradient_check,
)
from trainers.methods.config import METHOD_NAMES
from trainers.networks.backbone_table import backbone_info


class SweepSpec(Section):
    """A whole sweep.

    Attributes:
        name: Name of the sweep, unique in its store.
        backbone: The convolutional part and where its weights come from.
        data: Which images, and how they are split.
        space: The search space: a name of the library, a path, or domains by the names of
            parameters; see docs/guides/write-a-space.md. A stored spec has the domains, so that
            it needs no other file.
        training: What the space does not sample of the training.
        head: The hidden FC layers, where the space samples none.
        quantization: How weights are quantized, where the space does not sample it.
        pruning: Which weights become zero.
        methods: Methods of other papers that a training uses.
        objectives: What is optimized, by the name of the value: a direction, or a section.
        measures: Attacks that are measured of every trial and are no objectives.
        front_measures: Attacks that are measured of the front alone, when the sweep ends.
        constraints: Conditions that a trial must meet to be in the front, for example
            ``memory_bytes <= 200kB``.
        sampler: What proposes configurations.
        warm_start: Earlier results from which the sampler learns: a sweep, a table, an MLflow
            experiment or an Optuna study.
        scheduler: What stops trials early.
        budget: Limits at which the sweep ends; a single number is the number of trials.
        replicates: Seeds with which each configuration is trained, 1 to 1000.
        reference: Whether the full-size network is measured too, for sized ones to be compared
            with.
        claim: What is to be shown of the trials compared with it, fixed beforehand.
        resources: What each trial is given.
        execution: How trials share computations and machines.
        tracking: Where people browse the trials: ``mlflow``, ``none`` or an address.
        store: The database of the results: ``default``, a path, or a database URL.
        storage: Where the files of trials lie: a folder or an fsspec URL that all nodes reach; by
            default the state folder.
        callbacks: Code of one's own that is told of events, as ``module:name``.
        seed: Everything random in the sweep follows from it, 0 to 2**62; replicates count up
            from it.
    """

    name: str
    backbone: Backbone
    data: Data
    space: dict[str, Any]
    training: TrainingSection = TrainingSection()
    head: Head = HeadSection()
    quantization: QuantizationSection = QuantizationSection()
    pruning: PruningSection | None = None
    methods: MethodsSection | None = None
    objectives: Objectives = Field(min_length=1)
    measures: TrialMeasures | None = None
    front_measures: FrontMeasures | None = None
    constraints: list[str] = Field(default=[])
    sampler: Sampler = SamplerSection()
    warm_start: WarmStart | None = None
    scheduler: Scheduler = SchedulerSection()
    budget: Budget = BudgetSection()
    replicates: int = Field(default=1, ge=1, le=1000)
    reference: bool = False
    claim: ClaimSection | None = None
    resources: ResourcesSection = ResourcesSection()
    execution: Execution = ExecutionSection()
    tracking: Tracking = TrackingSection()
    store: str = "default"
    storage: str | None = Field(default=None, min_length=1)
    callbacks: Callbacks = Field(default=[])
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
        return with_attacks_where_possible(sections)

    @field_serializer("objectives", mode="wrap")
    def _without_attacks_where_there_are_none(
        self, sections: dict[str, ObjectiveSection], written: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        return without_idle_attacks(written(sections))

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
        taken = {place: info.data.get(place) or () for place in ("objectives", "measures")}
        check_own_names(sections or {}, taken)
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
            given = {"accuracy", *self.objectives, *(self.measures or ())}
            if problem := self.claim.problem(given, set(self.space), has_reference=self.reference):
                raise ValueError(f"claim: {problem}.")
        return self

    @model_validator(mode="after")
    def _has_networks(self) -> Self:
        self.quantization.check_space(self.space)
        fixed, is_sampled = self.trial_config(), {"depth", "width_multiplier"} & self.space.keys()
        problem = is_sampled and variant_problem(fixed, self.search_space)
        first, search = self.quantization.sensitivity, (self.space, self.sampler.kind)
        problem = problem or self.backbone.prior_problem(*search)
        problem = problem or (first.problem(*search, self.architectures) if first else "")
        if problem:
            raise ValueError(f"space: {problem}")
        return self

    @model_validator(mode="after")
    def _can_be_run_as_it_says(self) -> Self:
        if problem := run_problem(self):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _can_be_judged_at_milestones(self) -> Self:
        if self.scheduler.kind == "fifo":
            return self
        if problem := self.scheduler.problem(self.directed, self.most_epochs):
            raise ValueError(f"scheduler: {problem}")
        return self

    @model_validator(mode="after")
    def _can_reuse_what_it_says(self) -> Self:
        reuses = {"policy", "verdict"} & (self.space.keys() | self.backbone.model_fields_set)
        problem = reuses and reuse_problem(self.backbone, self.search_space, self.training.tune)
        if problem:
            raise ValueError(f"backbone: {problem}")
        return self

    @model_validator(mode="after")
    def _uses_the_methods_that_it_sets(self) -> Self:
        is_set = self.methods is not None or set(METHOD_NAMES) & self.space.keys()
        if problem := is_set and method_problem(self.space, self.methods):
            raise ValueError(f"methods: {problem}")
        if self.methods is not None or self.pruning is not None:
            self.trial_config()
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
        if not shares_trainings(self) or self.execution.siblings is False:
            return False
        size = self.search_space.size
        covers = size is not None and 4 * self.budget.trials >= size
        return self.execution.siblings is True or covers

    @property
    def takes_up_stopped(self) -> bool:
        """Whether stopped trials are resumed once every configuration was tried.

        With a budget of time that is the remaining work; a budget of trials is used up then.
        """
        budget = self.budget
        has_time = {budget.seconds, budget.cpu_hours, budget.gpu_hours} != {None}
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
        given = {name: one.as_attack() for name, one in (self.front_measures or {}).items()}
        judged = [section for name, section in self.objectives.items() if quantity(name).is_attack]
        if judged and not any(name.startswith(MASKED) for name in given):
            given[GRADIENT_CHECK] = gradient_check(judged[0].as_attack())
        return given

    def data_config(self) -> DataConfig:
        """Build the data settings for `trainers`."""
        return self.data.as_config(seed=self.seed, default_size=self._default_size)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of all backbones that trials may have, with aliases resolved."""
        sampled = self.search_space.domains["backbone"] if "backbone" in self.space else None
        names = sampled.options if isinstance(sampled, Choice) else ()
        every = (self.backbone.name, *names)
        return tuple(dict.fromkeys(backbone_info(str(name)).name for name in every))

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """Names of all networks that trials may train, but for their heads."""
        return architectures(self.trial_config(), self.search_space)

    @property
    def _default_size(self) -> int:
        """The image side where images differ in size: the input of the largest backbone."""
        largest = (backbone_info(name).image_size for name in self.backbones)
        return self.backbone.image_size or max(largest)

    def trial_config(self) -> TrialConfig:
        """Build the settings for `trainers` that all trials share."""
        return TrialConfig(
            backbone=self.backbone.name,
            weights=self.backbone.weights,
            image_size=self.backbone.image_size,
            **self.backbone.cut(),
            reuse=self.backbone.reuse,
            widths=None if self.head.widths is None else tuple(self.head.widths),
            fc_rule=self.head.rule,
            fc_fraction=self.head.fraction,
            attacks=self.attacks,
            threads=self.resources.cpus,
            functions=self.functions,
            latency="latency_ms" in {*self.objectives, *(limit.name for limit in self.limits)},
            **self.training.of_trials(),
            **self.quantization.of_trials(),
            pruning=(self.pruning or PruningSection()).of_trials(),
            methods=(self.methods or MethodsSection()).of_trials(),
        )

    def reference_config(self) -> TrialConfig:
        """Build the full-size network, uncut, not quantized and not pruned."""
        return reference_of(self.trial_config())

    def trainer(self) -> Trainer:
        """Return what trains its trials."""
        return OwnTrainer(self.trial_config())

    def identity(self) -> Mapping[str, Any]:
        """Return what determines the meaning of the trials; see `orchestrator.spec.identity`."""
        return identity_of(self)

    def fingerprint(self) -> str:
        """Compute the digest of `identity`."""
        return fingerprint_of(self.identity())
