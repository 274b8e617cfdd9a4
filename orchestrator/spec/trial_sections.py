"""The sections of a sweep file: closed, frozen, each checked where it is read."""

from collections.abc import Callable, Mapping
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

from orchestrator.errors import UsageError
from orchestrator.quantities import QUANTITIES, parse_quantity, quantity
from search_spaces import unknown
from trainers.data.config import DataConfig
from trainers.evaluators.config import (
    ATTACKED,
    MASKED,
    PERTURBATION,
    AttackConfig,
    AttackName,
    Norm,
)
from trainers.networks.backbone_table import (
    WEIGHT_ENDINGS,
    WEIGHT_WORDS,
    backbone_info,
    backbone_names,
    is_weights_file,
)
from trainers.networks.sizing import check_rule
from trainers.parameters import check_parameter
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import QuantizationConfig, check_qat
from trainers.quantization.layer_bits import layer_bits_name

# Each of several attacks has a suffix; MLflow and constraints accept no other characters.
_T = TypeVar("_T")


def as_problem(parse: Callable[[str], _T], text: str) -> _T:
    """Parse a text, and turn an error into a problem with its place.

    pydantic does so for a ValueError, which a UsageError is not.
    """
    try:
        return parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _quantity(value: object) -> object:
    return as_problem(parse_quantity, value) if isinstance(value, str) else value


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
        # Without a global pool, another size would mean another number of features.
        if self.name == "digitnet" and self.image_size not in (None, info.image_size):
            raise ValueError(
                f"image_size is {self.image_size}, but digitnet sees images of {info.image_size} "
                f"by {info.image_size} pixels: leave it out."
            )
        if self.weights in WEIGHT_WORDS and self.weights not in info.weights:
            raise ValueError(
                f"there are no {self.weights} weights of {self.name}: use weights: "
                f"{', '.join(info.weights)}, or a path."
            )
        return self

    @field_validator("weights")
    @classmethod
    def _is_word_or_path(cls, weights: str) -> str:
        if weights in WEIGHT_WORDS or is_weights_file(weights):
            return weights
        hint = unknown("weights", weights, WEIGHT_WORDS)
        raise ValueError(f"{hint} A path ends in {', '.join(WEIGHT_ENDINGS)}.")


class DataSection(Section):
    """Which images, and how they are split; see `trainers.data.DataConfig`."""

    name: str | None = None
    folder: str | None = None
    npz: str | None = None
    root: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.2
    image_size: int | None = None
    resize: str | None = None
    limit: int | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        try:
            DataConfig(**self.model_dump())
        except ValueError as error:
            # The place is added where the problem is shown.
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
    """Training parameters that the space does not sample; see `trainers.parameters.PARAMETERS`."""

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


def _with_numbers(layers: object) -> object:
    """Convert keys that are texts of numbers to numbers: JSON has only texts as keys."""
    if not isinstance(layers, dict):
        return layers
    return {
        int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else key: bits
        for key, bits in layers.items()
    }


class CalibrationSection(Section):
    """Which training images a rounding looks at; see `trainers.quantization.calibration`."""

    images: int = 256
    seed: int = 0
    batch_norm: bool = False
    damping: float = 0.01

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.as_calibration()
        return self

    def as_calibration(self) -> CalibrationConfig:
        """Build the settings for `trainers`."""
        return CalibrationConfig(**self.model_dump())


class QuantizationSection(Section):
    """Bits of a weight in the artifact, and how its levels are placed; see docs/guides."""

    bits: int = 32
    fc_bits: int = 32
    quantizer: str | None = None
    scope: str | None = None
    rate_weight: float | None = None
    step: str | None = None
    rounding: str | None = None
    calibration: CalibrationSection | None = None
    qat: str | None = None
    layers: Annotated[dict[int, int], BeforeValidator(_with_numbers)] | None = None

    @field_validator(
        "bits", "fc_bits", "quantizer", "scope", "rate_weight", "step", "rounding", "qat"
    )
    @classmethod
    def _is_accepted(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            check_parameter(str(info.field_name), value)
        return value

    @field_validator("layers")
    @classmethod
    def _are_accepted(cls, layers: dict[int, int] | None) -> dict[int, int] | None:
        for number, bits in (layers or {}).items():
            check_parameter(layer_bits_name(number), bits)
        return layers

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        plain = QuantizationConfig()
        moves_norms = self.calibration is not None and self.calibration.batch_norm
        check_qat(
            self.qat or "none",
            self.quantizer or plain.quantizer,
            self.scope or plain.scope,
            step=self.step or plain.step,
            calibrated=self.rounding not in (None, "nearest") or moves_norms,
        )
        return self

    def of_trials(self) -> dict[str, Any]:
        """Return the given settings by their names in `TrialConfig`."""
        given = self.model_dump(exclude_none=True)
        layers = given.pop("layers", {})
        if self.calibration is not None:
            given["calibration"] = self.calibration.as_calibration()
        return given | {"layer_bits": layers}


class MeasureSection(Section):
    """An attack that yields a value; see `trainers.evaluators.AttackConfig`."""

    attack: AttackName = "pgd"
    epsilon: Quantity = 8 / 255
    norm: Norm = "linf"
    steps: int = 10
    step_size: Quantity | None = None
    restarts: int = 1
    samples: int = 200
    queries: int | None = None

    @model_validator(mode="after")
    def _attack_is_possible(self) -> Self:
        self.as_attack()
        return self

    def as_attack(self) -> AttackConfig:
        """Build the attack for `trainers`."""
        given = self.model_dump(include=set(MeasureSection.model_fields), exclude_none=True)
        return AttackConfig(**given)


# Must never change, even if the defaults do: fingerprints of stored sweeps were made with it.
FORMER_DEFAULTS: Mapping[str, str | float] = {
    "attack": "pgd",
    "epsilon": 8 / 255,
    "norm": "linf",
    "steps": 10,
    "restarts": 1,
    "samples": 200,
}


class ObjectiveSection(MeasureSection):
    """A direction and, for what an attack yields, the attack."""

    direction: Literal["maximize", "minimize"]


def with_deepfool(sections: object) -> object:
    """Fill in the attack of DeepFool's values, which need not name it."""
    if not isinstance(sections, dict):
        return sections
    filled = dict(sections)
    for name, section in sections.items():
        # A single word under measures is the attack.
        given = with_direction(section) if section in ("maximize", "minimize") else section
        if str(name).startswith(PERTURBATION) and isinstance(given, dict):
            filled[name] = {"attack": "deepfool", **given}
    return filled


def fits_its_name(name: str, section: MeasureSection) -> None:
    """Reject an attack that cannot yield the value of this name.

    Raises:
        ValueError: With the sentence.
    """
    is_deepfool = section.attack == "deepfool"
    if is_deepfool != name.startswith(PERTURBATION):
        raise ValueError(
            f"{name} has attack: {section.attack}, but deepfool yields {PERTURBATION} and nothing "
            f"else does; the other attacks yield {ATTACKED}."
        )
    if name.startswith(MASKED) and section.attack not in ("bim", "pgd"):
        raise ValueError(
            f"{name} has attack: {section.attack}, but the checks for masked gradients vary the "
            f"steps of bim or pgd."
        )


def with_direction(value: object) -> object:
    """Convert a single word to a section with this direction."""
    return {"direction": value} if isinstance(value, str) else value


def with_attack(value: object) -> object:
    """Convert a single word to a section with this attack."""
    return {"attack": value} if isinstance(value, str) else value


def with_rule(value: object) -> object:
    """Convert a single word to a section with this rule."""
    return {"rule": value} if isinstance(value, str) else value


def with_name(value: object) -> object:
    """Convert a single word to a section with this name."""
    return {"name": value} if isinstance(value, str) else value


def check_measured(name: str) -> str:
    """Reject a name that no trial measures."""
    if quantity(name).of_front_alone:
        raise ValueError(
            f"{name} is measured of the front alone, when the sweep ends: write it under "
            f"front_measures."
        )
    if quantity(name).direction is None:
        raise ValueError(unknown("objective", name, QUANTITIES))
    return name


def _trial_measure(name: str) -> str:
    if not quantity(check_measured(name)).is_attack:
        raise ValueError(
            f"{name} is measured anyway. A measure is an attack: its name is {ATTACKED} or "
            f"{PERTURBATION}, with a word of its own behind it, as in {ATTACKED}_eps2."
        )
    return name


def _front_measure(name: str) -> str:
    if not quantity(name).is_attack:
        hint = unknown("front measure", name, [q.name for q in QUANTITIES.values() if q.is_attack])
        raise ValueError(f"{hint} Each with a word of its own behind it, if there are several.")
    return name


MeasuredName = Annotated[str, AfterValidator(check_measured)]
TrialMeasureName = Annotated[str, AfterValidator(_trial_measure)]
FrontMeasureName = Annotated[str, AfterValidator(_front_measure)]
