"""How the weights of a network are quantized; importable without torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainers.doors import is_part, is_reference, part_name
from trainers.errors import did_you_mean
from trainers.quantization.packing_config import PackingConfig

FLOAT_BITS = 32
"""Bits of a weight that is not quantized."""

RATE_WEIGHT = 4.0
"""Default trade of squared error for a bit less in ``entropy``; see `entropy_codebook`."""

MAX_RATE_WEIGHT = 1000.0
"""The largest accepted rate weight; a larger one would leave a single level anyway."""

QUANTIZERS = ("symmetric", "affine", "kmeans", "entropy")
SCOPES = ("channel", "layer", "global")
"""The scopes that are a word; ``channels:N`` is between ``channel`` and ``layer``."""

CHANNELS = r"channels:([2-9]|[1-9][0-9]{1,4})"
"""The scopes of groups of channels, as a regular expression."""

STEPS = ("absmax", "mse", "percentile", "lp", "kl")
CODEBOOK_BITS = (FLOAT_BITS, 8)
ACTIVATION_RANGES = ("minmax", "percentile", "mse")
QAT_MODES = ("none", "absmax", "lsq")
CODEBOOKS = ("kmeans", "entropy")
"""Our quantizers whose levels are listed, not spaced evenly."""


def lists_levels(quantizer: str) -> bool:
    """Return whether a quantizer lists its levels, as all do that are a user's own.

    >>> lists_levels("kmeans"), lists_levels("affine"), lists_levels("my_quantizer:levels")
    (True, False, True)
    """
    return quantizer in CODEBOOKS or is_reference(quantizer)


def is_scope(scope: str) -> bool:
    """Return whether this is a scope.

    >>> is_scope("layer"), is_scope("channels:16"), is_scope("channels:1")
    (True, True, False)
    """
    return scope in SCOPES or re.fullmatch(CHANNELS, scope) is not None


def group_count(scope: str, channels: int) -> int:
    """Return the number of groups with levels of their own in a weight.

    Args:
        scope: A scope.
        channels: Output channels of the weight.

    >>> group_count("channel", 64), group_count("channels:16", 64), group_count("layer", 64)
    (64, 4, 1)
    >>> group_count("channels:16", 10), group_count("channels:16", 17)
    (1, 2)
    """
    if scope in ("layer", "global"):
        return 1
    return channels if scope == "channel" else -(-channels // int(scope.partition(":")[2]))


@dataclass(frozen=True, slots=True)
class QuantizationConfig:
    """Quantization of the weights of a network after training.

    Attributes:
        bits: Bits of a convolution weight, 2 to 8; 32 leaves it in float32.
        fc_bits: The same for the weight of a fully connected layer.
        quantizer: ``symmetric`` (evenly spaced about zero, `2**bits - 1` levels), ``affine``
            (evenly spaced between the smallest and the largest weight, zero included),
            ``kmeans`` (the levels of least squared error) or ``entropy`` (levels that
            trade squared error for codes that compress well); or ``module:name``, code of a
            user's own, which is named by its content here.
        scope: Set of weights that share one step or codebook: each output ``channel``;
            ``channels:N``, up to N neighboring output channels of a layer, in groups as equal as
            can be; each ``layer``; or ``global``: all convolutions of the same bits, and all fully
            connected layers.
        layer_bits: Bits of single convolutions, which replace `bits`, by their number from input
            to output, from 1.
        rate_weight: For the quantizer ``entropy`` alone, at least 0: how much squared error a
            bit less is worth; see `trainers.quantization.codebook.entropy_codebook`.
        step: For ``symmetric`` and ``affine`` alone: what decides the range of the levels, the
            largest weight (``absmax``), the least squared error (``mse``), a ``percentile``,
            the least sum of errors to a higher power (``lp``), or the least Kullback-Leibler
            divergence of the quantized weights' histogram (``kl``); see
            `trainers.quantization.steps`.
        codebook_bits: For quantizers that list their levels: bits of a listed level; 8 are an
            integer from -127 to 127 times one step per group, 32 a float of
            `packing.vector_bits`. See `trainers.quantization.entries`.
        activation_bits: Bits of the inputs of every convolution and FC layer, 2 to 8, with one
            range a layer; 32 leaves them in float32. See `trainers.quantization.activations`.
        packing: In which form all of it is stored.
    """

    bits: int = FLOAT_BITS
    fc_bits: int = FLOAT_BITS
    quantizer: str = "symmetric"
    scope: str = "channel"
    layer_bits: Mapping[int, int] = field(default_factory=dict)
    rate_weight: float = RATE_WEIGHT
    step: str = "absmax"
    codebook_bits: int = FLOAT_BITS
    activation_bits: int = FLOAT_BITS
    packing: PackingConfig = field(default_factory=PackingConfig)

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the message says what would be.
        """
        _check_bits("bits", self.bits)
        _check_bits("fc_bits", self.fc_bits)
        _check_bits("activation_bits", self.activation_bits, what="an activation")
        if self.quantizer not in QUANTIZERS and is_part("quantizers", self.quantizer):
            object.__setattr__(self, "quantizer", part_name("quantizers", self.quantizer))
        else:
            _check_word("quantizer", self.quantizer, QUANTIZERS)
        if not is_scope(self.scope):
            known = (SCOPES[0], "channels:N (say, channels:16)", *SCOPES[1:])
            _check_word("scope", self.scope, known)
        _check_word("step", self.step, STEPS)
        if self.codebook_bits not in CODEBOOK_BITS or isinstance(self.codebook_bits, bool):
            raise ValueError(
                f"codebook_bits is {self.codebook_bits!r}; a level of a codebook has 8 bits, an "
                f"integer times a step, or {FLOAT_BITS}, which leaves it a float."
            )
        if not 0 <= self.rate_weight <= MAX_RATE_WEIGHT:
            raise ValueError(
                f"rate_weight is {self.rate_weight!r}; it goes from 0 to {MAX_RATE_WEIGHT:g}."
            )
        for number, bits in self.layer_bits.items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"layer_bits names the convolution {number!r}; convolutions are numbered from "
                    f"1, from input to output."
                )
            _check_bits(f"bits_{number}", bits)


def check_qat(
    qat: str, quantizer: str, scope: str, *, step: str = "absmax", calibrated: bool = False
) -> None:
    """Reject quantization-aware training for settings that it does not support.

    >>> check_qat("lsq", "symmetric", "channel")

    Raises:
        ValueError: `qat` is unknown, or does not support the quantizer, the scope or the step, or
            codes are chosen with a look at images (`calibrated`).
    """
    _check_word("qat", qat, QAT_MODES)
    if qat == "none":
        return
    if step != "absmax" or calibrated:
        raise ValueError(
            f"qat is {qat!r} with the step {step!r}{' and calibration' if calibrated else ''}; "
            f"training with quantized weights decides steps, codes and batch norms itself, so "
            f"that only step: absmax and rounding: nearest, without calibration.batch_norm "
            f"and calibration.equalize, go with it. Use qat: none to quantize after training."
        )
    if quantizer != "symmetric" or scope not in ("channel", "layer"):
        raise ValueError(
            f"qat is {qat!r} with the quantizer {quantizer!r} and the scope {scope!r}; training "
            f"with quantized weights takes the quantizer 'symmetric' and the scope 'channel' or "
            f"'layer'. Use qat: none to quantize after training."
        )


def _check_bits(key: str, bits: int, what: str = "a weight") -> None:
    if isinstance(bits, bool) or not isinstance(bits, int) or bits not in (*range(2, 9), 32):
        raise ValueError(
            f"{key} is {bits!r}; {what} has an integer of bits from 2 to 8 or {FLOAT_BITS}, "
            f"which leaves it in float32."
        )


def _check_word(key: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ValueError(
            f"{key} is {word!r}; known are {', '.join(known)}.{did_you_mean(word, known)}"
        )
