"""The configuration of a trial: plain values, checked once, importable without torch.

A trial's config is put together from two sources: what the sweep fixes for all its trials, and
the parameters that were sampled for this one; `trainers.parameters` lists what may be sampled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trainers.config.mapping import mapping_of, values_from
from trainers.evaluators.config import AttackConfig
from trainers.methods.checking import check_adjoined, check_methods, check_window
from trainers.methods.config import MethodsConfig
from trainers.networks.backbone_table import backbone_info
from trainers.networks.reuse_config import ReuseConfig
from trainers.networks.sizing import check_rule, hidden_widths, sampled_head
from trainers.networks.variants import capped_depth, check_start, variant_name
from trainers.parameters import (
    PARAMETERS,
    Value,
    check_parameter,
)
from trainers.pruning.config import (
    PREFIX,
    PruningConfig,
    check_evidence,
    check_kept_epochs,
    check_pruning,
)
from trainers.quantization.allocation import BIT_WIDTHS, AllocationConfig
from trainers.quantization.automatic import automatic_rounding, automatic_step
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import FLOAT_BITS, RATE_WEIGHT, QuantizationConfig, check_qat
from trainers.quantization.layer_bits import layer_bits_name, layer_bits_of
from trainers.quantization.packing_config import PackingConfig
from trainers.quantization.unquantized import UNQUANTIZED
from trainers.recipes.config import RECIPE_NAMES, RecipeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """One trial: which network, how it is trained, how it is stored, how it is attacked.

    Attributes:
        backbone: As `backbone_info` takes it; code of a user's own is a resolved reference.
        weights: A word of `WEIGHT_WORDS`, or a path.
        depth: Blocks that each stage keeps, at most; None is all, or as `depth_cap` allows.
        width_multiplier: Of the channels of every convolution: a number, ``none``, or what makes
            the cut network as large as the full one, ``match_params`` or ``match_macs``.
        depth_cap: Convolution layers of a stage, at most; None is no bound.
        depth_start: ``prefix``, the weights of the layers that are kept, or ``fused``, see
            `trainers.networks.backbones.fusing`.
        image_size: Side in pixels to which images are brought for the backbone; None is the side
            its weights were made for.
        widths: Hidden FC widths; None leaves them to `fc_rule`.
        fc_rule: A name of `trainers.networks.sizing.RULES`; None is ``explicit`` where widths are
            given, else ``full``.
        fc_fraction: Share of the full widths, for the rule ``fraction`` alone.
        tune: ``head``, ``last_blocks:N`` or ``all``.
        epochs: Passes over the training images.
        batch_size: Images a step; a last image that would be alone goes with the step before.
        optimizer: ``adamw`` or ``sgd``.
        learning_rate: Peak of the schedule.
        weight_decay: Decoupled for ``adamw``, in the gradient for ``sgd``.
        dropout: Probability in [0, 0.95].
        label_smoothing: In [0, 0.9].
        bits: Bits of a convolution weight in the artifact, 2 to 8, or 32.
        fc_bits: Bits of an FC weight in the artifact, 2 to 8, or 32.
        quantizer: As `QuantizationConfig` takes it.
        scope: As `QuantizationConfig` takes it.
        layer_bits: Bits of single convolutions, by number, instead of `bits`.
        rate_weight: As `QuantizationConfig` takes it.
        codebook_bits: As `QuantizationConfig` takes it.
        step: As `QuantizationConfig` takes it, or ``auto``; see `trainers.quantization.automatic`.
        rounding: ``nearest``, or how a look at training images decides codes:
            ``bias_corrected``, ``adaround``, ``gptq`` or ``brecq``; ``auto`` follows from bits.
        calibration: Which images those are, and what else is done with them.
        allocation: A budget from which the bits of each layer follow once it is trained.
        activation_bits: As `QuantizationConfig` takes it.
        activation_range: What the levels of activations hold on calibration images: all
            (``minmax``), a ``percentile``, or the range of least squared error (``mse``).
        packing: In which form the packed network is stored.
        qat: ``none``, or how training knows of the quantization: ``absmax`` or ``lsq``.
        recipe: The rest of the training: augmentation, schedule, averaging, and more.
        pruning: Which weights become zero, and when.
        methods: Methods of other papers: penalties, distillation, adversarial training, and more.
        attacks: Attack by the name of the value it yields, ``robust_accuracy`` for example.
        reuse: Which pre-trained kernels are reused.
        seed: Everything random in the trial follows from it.
        threads: Threads for torch: the CPUs that the trial was given.
        functions: Functions of a user's own that measure the packed network, by the name of the
            value: resolved references, see `trainers.doors`.
        latency: Whether to time the packed network, which takes seconds.
    """

    backbone: str
    weights: str
    depth: int | None = None
    width_multiplier: float | str = "none"
    depth_cap: int | None = None
    depth_start: str = "prefix"
    image_size: int | None = None
    widths: tuple[int, ...] | None = None
    fc_rule: str | None = None
    fc_fraction: float | None = None
    tune: str = "head"
    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    dropout: float = 0.0
    label_smoothing: float = 0.0
    bits: int = FLOAT_BITS
    fc_bits: int = FLOAT_BITS
    quantizer: str = "symmetric"
    scope: str = "channel"
    layer_bits: Mapping[int, int] = field(default_factory=dict)
    rate_weight: float = RATE_WEIGHT
    step: str = "absmax"
    codebook_bits: int = FLOAT_BITS
    rounding: str = "nearest"
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    allocation: AllocationConfig = field(default_factory=AllocationConfig)
    activation_bits: int = FLOAT_BITS
    activation_range: str = "minmax"
    packing: PackingConfig = field(default_factory=PackingConfig)
    qat: str = "none"
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    pruning: PruningConfig = field(default_factory=PruningConfig)
    methods: MethodsConfig = field(default_factory=MethodsConfig)
    attacks: Mapping[str, AttackConfig] = field(default_factory=dict)
    reuse: ReuseConfig = field(default_factory=ReuseConfig)
    seed: int = 0
    threads: int = 1
    functions: Mapping[str, str] = field(default_factory=dict)
    latency: bool = False

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the sentence says what would be.
        """
        for name in sorted(_FIELDS & PARAMETERS.keys()):
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                check_parameter(name, value)
        for number, width in enumerate(self.widths or (), start=1):
            check_parameter(f"fc_width_{number}", width)
        for number, bits in self.layer_bits.items():
            check_parameter(layer_bits_name(number), bits)
        check_rule(self.fc_rule, self.fc_fraction, self.widths)
        check_qat(
            self.qat,
            self.quantizer,
            self.scope,
            step=self.quantization.step,
            calibrated=self.is_calibrated,
        )
        self.allocation.check(self._bits_given(), scope=self.scope, qat=self.qat)
        self.reuse.check(weights=self.weights, tune=self.tune)
        check_pruning(
            self.pruning, backbone=self.backbone, tune=self.tune, quantizer=self.quantizer
        )
        check_evidence(self.pruning, freezes=bool(self.reuse.frozen))
        check_kept_epochs(self.pruning, tune=self.tune, recipe=self.recipe)
        check_methods(
            self.methods,
            weights=self.start_weights,
            tune=self.tune,
            qat=self.qat,
            pruning=self.pruning,
            recipe=self.recipe,
        )
        info = backbone_info(self.architecture)
        check_window(
            self.methods.training_window, self.image_size or info.image_size, info.min_image_size
        )
        check_start(info, self.start_weights, self.depth_start)

    def _bits_given(self) -> dict[str, object]:
        """Return the settings of bits that are not the default."""
        given = {"bits": self.bits, "fc_bits": self.fc_bits}
        found: dict[str, object] = {name: v for name, v in given.items() if v != FLOAT_BITS}
        layers = {layer_bits_name(number): bits for number, bits in self.layer_bits.items()}
        return found | layers

    @property
    def architecture(self) -> str:
        """Name of the network that is built: the backbone, or a variant of it."""
        base = backbone_info(self.backbone).name
        depth = capped_depth(base, self.depth, self.depth_cap)
        return variant_name(base, depth, self.width_multiplier)

    @property
    def start_weights(self) -> str:
        """The weights that training begins with: no file fits a network of another width."""
        return self.weights if backbone_info(self.architecture).width == 1 else "scratch"

    @property
    def quantization(self) -> QuantizationConfig:
        """What is done to the weights after training; with a budget, before it is spent."""
        stand_in = self.allocation.stand_in_bits if self.allocation.active else None
        return QuantizationConfig(
            bits=stand_in or self.bits,
            fc_bits=stand_in or self.fc_bits,
            quantizer=self.quantizer,
            scope=self.scope,
            layer_bits=self.layer_bits,
            rate_weight=self.rate_weight,
            step=automatic_step(
                self.step, rounding=self.chosen_rounding, quantizer=self.quantizer
            ),
            codebook_bits=self.codebook_bits,
            activation_bits=self.activation_bits,
            packing=self.packing,
        )

    @property
    def chosen_rounding(self) -> str:
        """The rounding, or what ``auto`` stands for with these bits."""
        # Under a budget some layer may have two.
        fewest = BIT_WIDTHS[0] if self.allocation.active else FLOAT_BITS
        bits = (fewest, self.bits, self.fc_bits, *self.layer_bits.values())
        return automatic_rounding(self.rounding, bits=bits, qat=self.qat)

    @property
    def is_calibrated(self) -> bool:
        """Whether quantization looks at training images."""
        look = self.calibration
        return self.chosen_rounding != "nearest" or look.batch_norm or look.equalize

    def head_widths(self, classes: int) -> tuple[int, ...]:
        """Compute the hidden FC widths by the rule, which needs the number of classes."""
        info = backbone_info(self.architecture)
        widths = hidden_widths(
            self.fc_rule,
            n_features=info.n_features,
            classes=classes,
            reference=info.reference_widths,
            fraction=self.fc_fraction,
            widths=self.widths,
        )
        if self.methods.adjoined:
            check_adjoined(widths, info.reference_widths)
        return widths

    def as_mapping(self) -> dict[str, Any]:
        """Return the config as JSON values; `from_mapping` reads them back.

        What later versions added is left out where it has no effect, so that checkpoints of
        earlier ones still belong to the same config.
        """
        return mapping_of(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "TrialConfig":
        """Build the config from the result of `as_mapping`."""
        return cls(**values_from(mapping))


_FIELDS = {entry.name for entry in fields(TrialConfig)}
_OPTIONAL = ("fc_rule", "fc_fraction", "depth")


def with_params(fixed: TrialConfig, params: Mapping[str, Value], *, seed: int) -> TrialConfig:
    """Override the fixed config of a sweep by sampled parameters.

    ``bits_1`` ... replace the bits of the convolutions they name; those of others stay fixed.
    ``fc_layers`` and ``fc_width_1`` ... become `TrialConfig.widths`: the widths that are given,
    in order, at most ``fc_layers`` of them. ``fc_rule`` replaces the fixed head; without any of
    these, the fixed head stays.

    Args:
        fixed: Config that all trials of the sweep share.
        params: Active parameters of this trial, by the names of `PARAMETERS`.
        seed: Seed of this trial.

    Raises:
        ValueError: A parameter is unknown, a value is not accepted, a width is missing, or a
            rule is given an argument that it does not take.

    >>> fixed = TrialConfig(backbone="digitnet", weights="bundled")
    >>> config = with_params(fixed, {"fc_layers": 1, "fc_width_1": 16, "bits_2": 4}, seed=7)
    >>> config.widths, config.layer_bits, config.seed
    ((16,), {2: 4}, 7)
    """
    for name, value in params.items():
        check_parameter(name, value)
    values = {name: getattr(fixed, name) for name in _FIELDS}
    values.update({name: value for name, value in params.items() if name in _FIELDS})
    values |= sampled_head(params, widths=fixed.widths, fraction=fixed.fc_fraction)
    values["layer_bits"] = {**fixed.layer_bits, **layer_bits_of(params)}
    recipe: dict[str, Any] = {name: params[name] for name in params if name in RECIPE_NAMES}
    values["recipe"] = replace(fixed.recipe, **recipe)
    values["allocation"] = fixed.allocation.with_params(params)
    if "policy" in params:
        values["reuse"] = replace(fixed.reuse, policy=str(params["policy"]))
    pruning: dict[str, Any] = {
        name.removeprefix(PREFIX): value
        for name, value in params.items()
        if name.startswith(PREFIX)
    }
    values["pruning"] = replace(fixed.pruning, **pruning)
    values["methods"] = fixed.methods.sampled(params)
    if values["methods"].distillation:
        values["methods"] = replace(values["methods"], teacher=_as_teacher(fixed))
    return TrialConfig(**{**values, "seed": seed})


def reference_of(config: TrialConfig) -> TrialConfig:
    """Build the full-size network, uncut, not quantized and not pruned, trained in the same way.

    >>> config = TrialConfig(backbone="digitnet", weights="bundled", widths=(8,), bits=4)
    >>> reference_of(config).widths, reference_of(config).bits
    (None, 32)
    """
    return replace(
        config,
        depth=None,
        depth_cap=None,
        depth_start="prefix",
        width_multiplier="none",
        widths=None,
        fc_rule=None,
        fc_fraction=None,
        **UNQUANTIZED,
        pruning=PruningConfig(),
        methods=config.methods.without_teaching(),
    )


def teacher_of(config: TrialConfig) -> TrialConfig:
    """Build the config of the network that teaches: the reference, with the seed of the trial.

    In a sweep it is trained as the sweep's file says, whatever was sampled for this trial: it is
    the training of the sweep's reference, and all trials with a seed share it.

    >>> fixed = TrialConfig(backbone="digitnet", weights="bundled", epochs=3)
    >>> params = {"distillation": 0.5, "fc_width_1": 8, "epochs": 9}
    >>> teacher = teacher_of(with_params(fixed, params, seed=7))
    >>> teacher.widths, teacher.epochs, teacher.seed
    (None, 3, 7)
    """
    given = config.methods.teacher or _as_teacher(config)
    return replace(TrialConfig.from_mapping(given), seed=config.seed, threads=config.threads)


def _as_teacher(config: TrialConfig) -> dict[str, Any]:
    """Return the reference of a config, with what says nothing of its training left out."""
    plain = replace(
        reference_of(config), seed=0, threads=1, attacks={}, functions={}, latency=False
    )
    return plain.as_mapping()
