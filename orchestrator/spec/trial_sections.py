"""The sections of a sweep file: closed, frozen, each checked where it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orchestrator.spec.allocation_section import AllocationSection, check_sampled_bits
from orchestrator.spec.recipe_section import RecipeSection
from orchestrator.spec.section import Quantity, Section, with_name, with_reference
from orchestrator.spec.sensitivity_section import SensitivitySection
from orchestrator.state_folder import StateFolder
from search_spaces import Choice, SearchSpace, Value, parse_space
from trainers.data.config import DataConfig
from trainers.doors import resolved_reference
from trainers.networks.sizing import check_rule
from trainers.parameters import check_parameter
from trainers.quantization.automatic import AUTO
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import (
    CODEBOOKS,
    FLOAT_BITS,
    QUANTIZERS,
    QuantizationConfig,
    check_qat,
)
from trainers.quantization.layer_bits import layer_bits_name
from trainers.quantization.packing_config import PackingConfig
from trainers.recipes.config import RECIPE_NAMES


class DataSection(Section):
    """Which images, and how they are split; see `trainers.data.DataConfig`.

    Attributes:
        in_memory: Size of the decoded images up to which they are kept in memory; those of a
            larger set are decoded once into a file of the state folder.
        on_disk: Size of all these files, at most; the least recently used are removed.
    """

    name: str | None = None
    folder: str | None = None
    npz: str | None = None
    # A function of a user's own: ``module:name``; see `trainers.doors`.
    dataset: Annotated[str | None, with_reference("datasets")] = None
    root: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.2
    image_size: int | None = None
    resize: str | None = None
    limit: int | None = None
    edges: str | None = None
    in_memory: Quantity | None = None
    on_disk: Quantity | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        try:
            if self.dataset is not None:
                resolved_reference(self.dataset, Path())
            self.as_config()
        except ValueError as error:
            # The place is added where the problem is shown.
            raise ValueError(str(error).removeprefix("data: ")) from None
        return self

    def as_config(self, **given: Any) -> DataConfig:
        """Build the settings for `trainers`, with those that the section does not have."""
        later = {"in_memory", "on_disk"}
        given |= self.model_dump(include=later, exclude_none=True)
        given["images_folder"] = str(StateFolder.find().images)
        return DataConfig(**self.model_dump(exclude=later), **given)

    @property
    def label(self) -> str:
        """A short name to show to the user."""
        own = (self.dataset or "").rpartition(":")[2]
        return self.name or own or Path(self.folder or self.npz or "").name


class TrainingSection(RecipeSection):
    """Training parameters that the space does not sample; see `trainers.parameters.PARAMETERS`."""

    tune: str = "head"
    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    dropout: float = 0.0
    label_smoothing: float = 0.0

    def of_trials(self) -> dict[str, Any]:
        """Return the settings by their names in `TrialConfig`."""
        plain = self.model_dump(exclude=set(RECIPE_NAMES))
        return {**plain, "recipe": self.recipe()}


class HeadSection(Section):
    """The head of trials whose space samples none: a rule or widths; by default the full one.

    Attributes:
        rule: Name of a rule that sizes the hidden layers; see docs/guides/size-the-head.md.
        fraction: Share of the full widths, for the rule ``fraction`` alone.
        widths: Widths of the hidden layers, from input to output.
    """

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
    equalize: bool = False

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.as_calibration()
        return self

    def as_calibration(self) -> CalibrationConfig:
        """Build the settings for `trainers`."""
        return CalibrationConfig(**self.model_dump())


class PackingSection(Section):
    """In which form a packed network is stored; see `PackingConfig`."""

    merge_norms: bool = False
    vector_bits: int = 32
    header: str = "json"

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.as_packing()
        return self

    def as_packing(self) -> PackingConfig:
        """Build the form for `trainers`."""
        return PackingConfig(**self.model_dump())


class QuantizationSection(Section):
    """Bits of a weight in the artifact, and how its levels are placed; docs/guides/quantize.md.

    Attributes:
        calibration: Which training images a rounding looks at.
        allocation: A budget from which the bits of each layer follow.
        sensitivity: What `paretune analyze sensitivity --format json` found; the allocations of
            bits_1, bits_2, ... and fc_bits that follow from it are tried first.
        packing: In which form the packed network is stored.
        layers: Bits of single convolutions, which replace `bits`, by their number from input to
            output, from 1.
    """

    bits: int = 32
    fc_bits: int = 32
    quantizer: Annotated[str | None, with_reference("quantizers", ours=QUANTIZERS)] = None
    scope: str | None = None
    rate_weight: float | None = None
    step: str | None = None
    codebook_bits: int | None = None
    rounding: str | None = None
    activation_bits: int | None = None
    activation_range: str | None = None
    calibration: CalibrationSection | None = None
    allocation: AllocationSection | None = None
    sensitivity: SensitivitySection | None = None
    packing: PackingSection | None = None
    qat: str | None = None
    layers: Annotated[dict[int, int], BeforeValidator(_with_numbers)] | None = None

    @field_validator(
        *("activation_bits", "activation_range"),
        "bits",
        "fc_bits",
        "quantizer",
        "scope",
        "rate_weight",
        "step",
        "codebook_bits",
        "rounding",
        "qat",
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
        look = self.calibration or CalibrationSection()
        check_qat(
            self.qat or "none",
            self.quantizer or plain.quantizer,
            self.scope or plain.scope,
            step=plain.step if self.step in (None, AUTO) else str(self.step),
            calibrated=self.rounding not in (None, "nearest", AUTO)
            or look.batch_norm
            or look.equalize,
        )
        if self.allocation is not None:
            given = {name: v for name in ("bits", "fc_bits") if (v := getattr(self, name)) != 32}
            given |= {layer_bits_name(number): v for number, v in (self.layers or {}).items()}
            self.allocation.as_allocation().check(
                given, scope=self.scope or plain.scope, qat=self.qat or "none"
            )
        return self

    def check_space(self, domains: Mapping[str, Any]) -> None:
        """Reject a space that contradicts this section.

        Args:
            domains: The space's, as the sweep file has them; none where they are wrong themselves.

        Raises:
            ValueError: Bits are decided twice, or no quantizer of the trials has a codebook whose
                levels could have few bits.
        """
        budget = self.allocation is not None and self.allocation.as_allocation().active
        check_sampled_bits(domains, has_budget=budget, bits=self.bits, fc_bits=self.fc_bits)
        if not domains:
            return
        space = parse_space(domains)
        quantizers = self._values_of(space, "quantizer")
        few = [bits for bits in self._values_of(space, "codebook_bits") if bits != FLOAT_BITS]
        if few and not set(quantizers) - (set(QUANTIZERS) - set(CODEBOOKS)):
            raise ValueError(
                f"quantization: codebook_bits is {few[0]}, and the quantizer is "
                f"{' or '.join(map(str, quantizers))}, whose levels are evenly spaced and not "
                f"listed: leave codebook_bits out, or use {' or '.join(CODEBOOKS)}."
            )

    def _values_of(self, space: SearchSpace, name: str) -> tuple[Value, ...]:
        """Return the values of a setting in all trials."""
        domain = space.domains.get(name)
        plain = getattr(self, name) or getattr(QuantizationConfig(), name)
        sampled = domain.options if isinstance(domain, Choice) else ()
        return sampled if sampled and name not in space.conditions else (*sampled, plain)

    def of_trials(self) -> dict[str, Any]:
        """Return the given settings by their names in `TrialConfig`."""
        given = self.model_dump(exclude_none=True, exclude={"sensitivity"})
        layers = given.pop("layers", {})
        if self.calibration is not None:
            given["calibration"] = self.calibration.as_calibration()
        if self.allocation is not None:
            given["allocation"] = self.allocation.as_allocation()
        if self.packing is not None:
            given["packing"] = self.packing.as_packing()
        return given | {"layer_bits": layers}


def with_rule(value: object) -> object:
    """Convert a single word to a section with this rule.

    >>> with_rule("sqrt")
    {'rule': 'sqrt'}
    """
    return {"rule": value} if isinstance(value, str) else value


Head = Annotated[HeadSection, BeforeValidator(with_rule, json_schema_input_type=str | HeadSection)]
Data = Annotated[DataSection, BeforeValidator(with_name, json_schema_input_type=str | DataSection)]
