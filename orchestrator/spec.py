"""A sweep as one frozen, closed value: what the sweep file says, with defaults filled in."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orchestrator.constraints import Constraint
from orchestrator.errors import UsageError
from orchestrator.objectives import KNOWN_DIRECTIONS, Direction, Objective
from orchestrator.state_folder import check_sweep_name
from orchestrator.units import parse_quantity
from search_spaces import SearchSpace, parse_space, unknown
from trainers.backbones.table import backbone_info, backbone_names
from trainers.config import FLOAT_BITS, TrialConfig, check_parameter
from trainers.data.config import DataConfig
from trainers.evaluators.config import AttackConfig
from trainers.sizing import check_rule

ATTACKED = "robust_accuracy"
# Several attacks have a word each behind it; MLflow and constraints take no other signs.
_ATTACKED_NAME = re.compile(rf"{ATTACKED}\w*", re.ASCII)
_WEIGHT_WORDS = ("imagenet", "bundled", "scratch")
_T = TypeVar("_T")


def _quantity(value: object) -> object:
    return _sentence(parse_quantity, value) if isinstance(value, str) else value


Quantity = Annotated[float, BeforeValidator(_quantity)]


class Section(BaseModel):
    """Base of every section: frozen, strict about types, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class BackboneSection(Section):
    """The convolutional part and where its weights come from."""

    name: str
    weights: str = "imagenet"
    image_size: int | None = None

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in backbone_names():
            raise ValueError(unknown("backbone", name, backbone_names()))
        return name

    @model_validator(mode="after")
    def _fits_the_backbone(self) -> Self:
        info = backbone_info(self.name)
        if self.image_size is not None and self.image_size < info.min_image_size:
            raise ValueError(
                f"image_size is {self.image_size}, but {self.name} needs at least "
                f"{info.min_image_size} pixels."
            )
        # It has no global pool, so that another size would mean another number of features.
        if self.name == "digitnet" and self.image_size not in (None, info.image_size):
            raise ValueError(
                f"image_size is {self.image_size}, but digitnet sees images of {info.image_size} "
                f"by {info.image_size} pixels: leave it out."
            )
        if self.weights == "bundled" and not info.bundled:
            raise ValueError(
                f"No weights of {self.name} ship with paretune: use weights: imagenet, scratch, "
                f"or a path."
            )
        return self

    @field_validator("weights")
    @classmethod
    def _is_word_or_path(cls, weights: str) -> str:
        if weights in _WEIGHT_WORDS or Path(weights).suffix in (".safetensors", ".pth", ".th"):
            return weights
        hint = unknown("weights", weights, _WEIGHT_WORDS)
        raise ValueError(f"{hint} A path ends in .safetensors, .pth or .th.")


class DataSection(Section):
    """Which images, and how they are split; see `trainers.data.DataConfig`."""

    name: str | None = None
    folder: str | None = None
    npz: str | None = None
    root: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.2
    image_size: int | None = None
    limit: int | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        try:
            DataConfig(**self.model_dump())
        except ValueError as error:
            # The place is named by whoever shows the problem.
            raise ValueError(str(error).removeprefix("data: ")) from None
        return self

    @property
    def label(self) -> str:
        """A short name for people."""
        return self.name or Path(self.folder or self.npz or "").name


class ParameterSection(Section):
    """A section whose keys are parameters of a trial."""

    @field_validator("*")
    @classmethod
    def _is_accepted(cls, value: Any, info: ValidationInfo) -> Any:
        check_parameter(str(info.field_name), value)
        return value


class TrainingSection(ParameterSection):
    """What every trial shares, unless the space samples it; see `trainers.config.PARAMETERS`."""

    tune: str = "head"
    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    dropout: float = 0.0
    label_smoothing: float = 0.0


class HeadSection(Section):
    """The head of trials whose space samples none: a rule or widths; by default the full one."""

    rule: str | None = None
    fraction: float | None = None
    widths: list[int] | None = Field(default=None, min_length=1, max_length=3)

    @model_validator(mode="after")
    def _is_decided_once(self) -> Self:
        check_rule(self.rule, self.fraction, self.widths)
        return self


class QuantizationSection(ParameterSection):
    """Bits of a weight in the artifact; 32 leaves it in floating point."""

    bits: int = 32
    fc_bits: int = 32


class ObjectiveSection(Section):
    """A direction and, for a robust accuracy, the attack."""

    direction: Literal["maximize", "minimize"]
    attack: Literal["fgsm", "pgd"] = "pgd"
    epsilon: Quantity = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 10
    step_size: Quantity | None = None
    restarts: int = 1
    samples: int = 200

    @model_validator(mode="after")
    def _attack_is_possible(self) -> Self:
        self.as_attack()
        return self

    def as_attack(self) -> AttackConfig:
        """The attack as `trainers` takes it."""
        return AttackConfig(**self.model_dump(exclude={"direction"}))


def _with_direction(value: object) -> object:
    return {"direction": value} if isinstance(value, str) else value


def _with_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _measured(name: str) -> str:
    if name not in KNOWN_DIRECTIONS and not _ATTACKED_NAME.fullmatch(name):
        raise ValueError(unknown("objective", name, KNOWN_DIRECTIONS))
    return name


MeasuredName = Annotated[str, AfterValidator(_measured)]


class SamplerSection(Section):
    """Who proposes configurations."""

    kind: Literal["tpe", "nsga2", "gp", "random", "grid"] = "tpe"


class SchedulerSection(Section):
    """Who stops trials early; ``fifo`` stops none."""

    kind: Literal["fifo"] = "fifo"


class BudgetSection(Section):
    """When the sweep ends; the first limit that is reached counts."""

    trials: int = Field(default=32, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    plateau: int | None = Field(default=None, ge=1)


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


class TrackingSection(Section):
    """Where people browse the trials."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None


class SweepSpec(Section):
    """A whole sweep.

    `space` is the search space in its plain form, whatever the file called it by, so that a
    stored spec needs no other file.
    """

    name: str
    backbone: Annotated[BackboneSection, BeforeValidator(_with_name)]
    data: Annotated[DataSection, BeforeValidator(_with_name)]
    space: dict[str, Any]
    training: TrainingSection = TrainingSection()
    head: HeadSection = HeadSection()
    quantization: QuantizationSection = QuantizationSection()
    objectives: dict[
        MeasuredName, Annotated[ObjectiveSection, BeforeValidator(_with_direction)]
    ] = Field(min_length=1)
    constraints: list[str] = []
    sampler: SamplerSection = SamplerSection()
    scheduler: SchedulerSection = SchedulerSection()
    budget: BudgetSection = BudgetSection()
    replicates: int = Field(default=1, ge=1, le=1000)
    # Whether the full-size network is measured too, for sized ones to be compared with.
    reference: bool = False
    resources: ResourcesSection = ResourcesSection()
    tracking: TrackingSection = TrackingSection()
    store: str = "default"
    # Replicates count up from it, and the store holds 63 bits.
    seed: int = Field(default=0, ge=0, lt=2**62)

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return _sentence(check_sweep_name, name)

    @field_validator("objectives")
    @classmethod
    def _attack_where_possible(
        cls, sections: dict[str, ObjectiveSection]
    ) -> dict[str, ObjectiveSection]:
        for name, section in sections.items():
            # A stored spec has the defaults filled in; they mean nothing here.
            plain = ObjectiveSection(direction=section.direction).model_dump().items()
            extra = sorted({key for key, _ in section.model_dump().items() - plain})
            if extra and not name.startswith(ATTACKED):
                raise ValueError(
                    f"{name} has no attack, so that {', '.join(extra)} would do nothing: write "
                    f"'{name}: {section.direction}'."
                )
        return sections

    @field_validator("constraints")
    @classmethod
    def _can_be_met(cls, texts: list[str], info: ValidationInfo) -> list[str]:
        for text in texts:
            name = _measured(_sentence(Constraint.parse, text).name)
            if name.startswith(ATTACKED) and name not in info.data.get("objectives", (name,)):
                raise ValueError(
                    f"The constraint {text!r} can never be met, because nothing measures {name}: "
                    f"make it an objective too, with its attack."
                )
        return texts

    @property
    def search_space(self) -> SearchSpace:
        """The space as an object."""
        return parse_space(self.space)

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
        """Attack by the name of the value it yields."""
        return {
            name: section.as_attack()
            for name, section in self.objectives.items()
            if name.startswith(ATTACKED)
        }

    def data_config(self) -> DataConfig:
        """The data as `trainers` takes it."""
        return DataConfig(**self.data.model_dump(), seed=self.seed)

    def trial_config(self) -> TrialConfig:
        """What all trials share, as `trainers` takes it."""
        widths = self.head.widths
        return TrialConfig(
            backbone=self.backbone.name,
            weights=self.backbone.weights,
            image_size=self.backbone.image_size,
            widths=None if widths is None else tuple(widths),
            fc_rule=self.head.rule,
            fc_fraction=self.head.fraction,
            attacks=self.attacks,
            threads=self.resources.cpus,
            **self.training.model_dump(),
            **self.quantization.model_dump(),
        )

    def reference_config(self) -> TrialConfig:
        """The full-size, unquantized network, trained as this sweep's trials are by default."""
        return replace(
            self.trial_config(),
            widths=None,
            fc_rule=None,
            fc_fraction=None,
            bits=FLOAT_BITS,
            fc_bits=FLOAT_BITS,
        )

    def identity(self) -> Mapping[str, Any]:
        """The part of the spec that decides what its trials mean.

        Budget, resources, tracking and store may change between two runs of one sweep, and a
        reference may be asked for later.
        """
        free = {"name", "budget", "reference", "resources", "tracking", "store"}
        # A key that is not given says nothing, so that a later version may add keys.
        return self.model_dump(mode="json", exclude=free, exclude_none=True)

    def fingerprint(self) -> str:
        """Digest of `identity`."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _sentence(parse: Callable[[str], _T], text: str) -> _T:
    # pydantic turns a ValueError into a problem with its place; ours are not ValueErrors.
    try:
        return parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
