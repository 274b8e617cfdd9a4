"""The configuration of a trial: plain values, checked once, importable without torch.

A trial's config is put together from two sources: what the sweep fixes for all its trials, and
the parameters that were sampled for this one. `PARAMETERS` is the list of everything that may be
sampled, with what each accepts.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from trainers.errors import did_you_mean
from trainers.evaluators.config import AttackConfig
from trainers.networks.backbone_table import backbone_info, backbone_names
from trainers.networks.sizing import RULES, SMALLEST_FRACTION, check_rule, hidden_widths
from trainers.quantization.config import (
    FLOAT_BITS,
    MAX_CONVOLUTIONS,
    MAX_RATE_WEIGHT,
    QAT_MODES,
    QUANTIZERS,
    RATE_WEIGHT,
    SCOPES,
    QuantizationConfig,
    check_qat,
)

MAX_HIDDEN_LAYERS = 3

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a parameter accepts: a number in a range, or one of some words.

    Attributes:
        meaning: What the parameter does, for messages and the reference.
        low: Smallest number, inclusive; None for words.
        high: Largest number, inclusive.
        whole: Whether only integers are accepted.
        also: Further values outside the range.
        words: Accepted words.
        pattern: Further words, as a regular expression.
    """

    meaning: str
    low: float | None = None
    high: float = math.inf
    whole: bool = False
    also: tuple[Value, ...] = ()
    words: tuple[str, ...] = ()
    pattern: str = r"(?!)"

    def accepts(self, value: Value) -> bool:
        """Return whether a trial can be run with this value.

        >>> PARAMETERS["bits"].accepts(4), PARAMETERS["bits"].accepts(9)
        (True, False)
        """
        if isinstance(value, str):
            return value in self.words or re.fullmatch(self.pattern, value) is not None
        if isinstance(value, bool) or self.low is None:
            return False
        if self.whole and not isinstance(value, int):
            return False
        return value in self.also or self.low <= value <= self.high

    def __str__(self) -> str:
        """Describe the accepted values in words."""
        parts = [repr(word) for word in self.words]
        if self.pattern == _LAST_BLOCKS:
            parts.append("'last_blocks:N'")
        if self.low is not None:
            kind = "an integer" if self.whole else "a number"
            parts.append(
                f"{kind} of at least {self.low:g}"
                if self.high == math.inf
                else f"{kind} from {self.low:g} to {self.high:g}"
            )
        parts.extend(repr(value) for value in self.also)
        return " or ".join(parts)


def _bits(of: str) -> Accepts:
    meaning = f"bits of {of}; {FLOAT_BITS} is not quantized"
    return Accepts(meaning, 2, 8, whole=True, also=(FLOAT_BITS,))


_LAST_BLOCKS = r"last_blocks:[1-9][0-9]{0,2}"
_WIDTH = 65_536

PARAMETERS: Mapping[str, Accepts] = {
    "fc_rule": Accepts("rule that sizes the head; see trainers/networks/sizing.py", words=RULES),
    "fc_fraction": Accepts(
        "share of the full widths, for fc_rule fraction", SMALLEST_FRACTION, 1.0
    ),
    "fc_layers": Accepts("hidden FC layers of the head", 1, MAX_HIDDEN_LAYERS, whole=True),
    "fc_width_1": Accepts("width of the first hidden FC layer", 1, _WIDTH, whole=True),
    "fc_width_2": Accepts("width of the second hidden FC layer", 1, _WIDTH, whole=True),
    "fc_width_3": Accepts("width of the third hidden FC layer", 1, _WIDTH, whole=True),
    "bits": _bits("a convolution weight"),
    "fc_bits": _bits("an FC weight"),
    "quantizer": Accepts("how levels are placed; see docs/guides/quantize.md", words=QUANTIZERS),
    "scope": Accepts("what shares its levels", words=SCOPES),
    "rate_weight": Accepts("what the quantizer entropy pays for a bit less", 0.0, MAX_RATE_WEIGHT),
    "qat": Accepts("how training knows of the quantization", words=QAT_MODES),
    "tune": Accepts("what is trained", words=("head", "all"), pattern=_LAST_BLOCKS),
    "learning_rate": Accepts("peak learning rate", 1e-8, 10.0),
    "weight_decay": Accepts("decoupled weight decay", 0.0, 1.0),
    "dropout": Accepts("dropout before each FC layer but the first", 0.0, 0.95),
    "label_smoothing": Accepts("label smoothing of the loss", 0.0, 0.9),
    "optimizer": Accepts("update rule", words=("adamw", "sgd")),
    "batch_size": Accepts("images a step", 1, 65_536, whole=True),
    "epochs": Accepts("passes over the training images", 1, 10_000, whole=True),
    "backbone": Accepts("the convolutional part", words=backbone_names()),
    **{
        f"bits_{number}": _bits(f"the weight of convolution {number}")
        for number in range(1, MAX_CONVOLUTIONS + 1)
    },
}
"""Everything that may be sampled."""

_LAYER_BITS = re.compile(r"bits_([0-9]+)", re.ASCII)
PARAMETER_NAMES = (
    *(name for name in PARAMETERS if not _LAYER_BITS.fullmatch(name)),
    f"bits_1 to bits_{MAX_CONVOLUTIONS}",
)
"""The names of `PARAMETERS` as messages list them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """One trial: which network, how it is trained, how it is stored, how it is attacked.

    Attributes:
        backbone: A name of `trainers.networks.backbones`.
        weights: ``imagenet``, ``bundled``, ``scratch``, or a path.
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
        learning_rate: Peak of the cosine schedule.
        weight_decay: Decoupled for ``adamw``, in the gradient for ``sgd``.
        dropout: Probability in [0, 0.95].
        label_smoothing: In [0, 0.9].
        bits: Bits of a convolution weight in the artifact, 2 to 8, or 32.
        fc_bits: Bits of an FC weight in the artifact, 2 to 8, or 32.
        quantizer: As `QuantizationConfig` takes it.
        scope: As `QuantizationConfig` takes it.
        layer_bits: Bits of single convolutions, by number, in the place of `bits`.
        rate_weight: As `QuantizationConfig` takes it.
        qat: ``none``, or how training knows of the quantization: ``absmax`` or ``lsq``.
        attacks: Attack by the name of the value it yields, ``robust_accuracy`` for example.
        seed: Everything random in the trial follows from it.
        threads: Threads for torch: the CPUs that the trial was given.
    """

    backbone: str
    weights: str
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
    qat: str = "none"
    attacks: Mapping[str, AttackConfig] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1

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
            check_parameter(f"bits_{number}", bits)
        check_rule(self.fc_rule, self.fc_fraction, self.widths)
        check_qat(self.qat, self.quantizer, self.scope)

    @property
    def quantization(self) -> QuantizationConfig:
        """What is done to the weights after training."""
        return QuantizationConfig(
            bits=self.bits,
            fc_bits=self.fc_bits,
            quantizer=self.quantizer,
            scope=self.scope,
            layer_bits=self.layer_bits,
            rate_weight=self.rate_weight,
        )

    def head_widths(self, classes: int) -> tuple[int, ...]:
        """Compute the hidden FC widths by the rule, which needs the number of classes."""
        info = backbone_info(self.backbone)
        return hidden_widths(
            self.fc_rule,
            n_features=info.n_features,
            classes=classes,
            reference=info.reference_widths,
            fraction=self.fc_fraction,
            widths=self.widths,
        )

    def as_mapping(self) -> dict[str, Any]:
        """Return the config as JSON values; `from_mapping` reads them back."""
        values = {name: getattr(self, name) for name in _FIELDS}
        values["widths"] = None if self.widths is None else list(self.widths)
        # Keys of a JSON object are texts.
        values["layer_bits"] = {str(number): bits for number, bits in self.layer_bits.items()}
        values["attacks"] = {name: asdict(attack) for name, attack in self.attacks.items()}
        return values

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "TrialConfig":
        """Build the config from the result of `as_mapping`."""
        values = dict(mapping)
        widths = values.get("widths")
        values["widths"] = None if widths is None else tuple(widths)
        values["layer_bits"] = {
            int(number): bits for number, bits in values.get("layer_bits", {}).items()
        }
        values["attacks"] = {
            name: AttackConfig(**attack) for name, attack in values.get("attacks", {}).items()
        }
        return cls(**values)


_FIELDS = {entry.name for entry in fields(TrialConfig)}
_OPTIONAL = ("fc_rule", "fc_fraction")


def check_parameter(name: str, value: Value) -> None:
    """Reject an unknown parameter, or a value that a trial cannot be run with.

    >>> check_parameter("bits", 4)

    Raises:
        ValueError: The message says what would have been accepted.
    """
    if name not in PARAMETERS:
        hint = did_you_mean(name, PARAMETERS)
        raise ValueError(f"Unknown parameter {name!r}. Known: {', '.join(PARAMETER_NAMES)}.{hint}")
    if not PARAMETERS[name].accepts(value):
        raise ValueError(f"{name} is {value!r}, but a trial needs {PARAMETERS[name]}.")


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
    """
    for name, value in params.items():
        check_parameter(name, value)
    values = {name: getattr(fixed, name) for name in _FIELDS}
    values.update({name: value for name, value in params.items() if name in _FIELDS})
    values |= _head(params, fixed) | {"layer_bits": {**fixed.layer_bits, **_layer_bits(params)}}
    return TrialConfig(**{**values, "seed": seed})


def _head(params: Mapping[str, Value], fixed: TrialConfig) -> dict[str, Any]:
    """Return the fields of `TrialConfig` that decide the head."""
    given = _widths(params)
    rule, fraction = params.get("fc_rule"), params.get("fc_fraction")
    if rule is None and given is None:
        return {"fc_fraction": fixed.fc_fraction if fraction is None else fraction}
    # A sampled rule takes from the fixed head what the space leaves open.
    if rule == "explicit" and given is None:
        given = fixed.widths
    if rule == "fraction" and fraction is None:
        fraction = fixed.fc_fraction
    return {"widths": given, "fc_rule": rule, "fc_fraction": fraction}


def _layer_bits(params: Mapping[str, Value]) -> dict[int, int]:
    """Return bits by the number of the convolution."""
    found = ((_LAYER_BITS.fullmatch(name), value) for name, value in params.items())
    return {int(match[1]): int(value) for match, value in found if match}


def _widths(params: Mapping[str, Value]) -> tuple[int, ...] | None:
    names = [f"fc_width_{number}" for number in range(1, MAX_HIDDEN_LAYERS + 1)]
    given = [name for name in names if name in params]
    if not given and "fc_layers" not in params:
        return None
    layers = int(params.get("fc_layers", len(given)))
    missing = [name for name in names[:layers] if name not in params]
    if missing:
        raise ValueError(
            f"fc_layers is {layers}, but {', '.join(missing)} is not given: a head of {layers} "
            f"hidden layers needs {', '.join(names[:layers])} in the search space."
        )
    return tuple(int(params[name]) for name in names[:layers])
