"""Which weights are quantized, to how many bits, and which share levels; without torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.quantization.config import FLOAT_BITS, QuantizationConfig


@dataclass(frozen=True, slots=True)
class PlannedWeight:
    """How one weight is quantized.

    Attributes:
        bits: Bits of each code.
        levels: Name of its levels: that of the weight itself, or, in the scope ``global``, a
            shared one: `features.conv_B` or `head.fc_B` for B bits.
    """

    bits: int
    levels: str


def plan_weights(
    is_convolution: Mapping[str, bool], config: QuantizationConfig
) -> dict[str, PlannedWeight]:
    """Plan every weight that is quantized.

    Weights of convolutions get their entry of `config.layer_bits` or else `config.bits`; weights
    of linear layers get `config.fc_bits`.

    >>> plan_weights({"features.0.weight": True}, QuantizationConfig(bits=4))
    {'features.0.weight': PlannedWeight(bits=4, levels='features.0.weight')}

    Args:
        is_convolution: For each weight that can be quantized, by name, in the order of the
            network: whether it belongs to a convolution.
        config: The quantization.

    Raises:
        ValueError: `config.layer_bits` names a convolution that the network does not have.
    """
    planned: dict[str, PlannedWeight] = {}
    convolutions = 0
    for name, convolves in is_convolution.items():
        bits, shared = config.fc_bits, "head.fc"
        if convolves:
            convolutions += 1
            bits, shared = config.layer_bits.get(convolutions, config.bits), "features.conv"
        if bits != FLOAT_BITS:
            levels = f"{shared}_{bits}" if config.scope == "global" else name
            planned[name] = PlannedWeight(bits, levels)
    absent = max(config.layer_bits, default=0)
    if absent > convolutions:
        raise ValueError(
            f"bits_{absent} gives bits to convolution {absent}, and the network has "
            f"{convolutions} convolutions, numbered from 1."
        )
    return planned
