"""Which tensors of a network are quantized, and to how many bits."""

from torch import nn

from trainers.config import FLOAT_BITS
from trainers.quantization.uniform import QuantizedWeight, quantize_weight, top_code


def planned_bits(network: nn.Module, bits: int | None, fc_bits: int | None) -> dict[str, int]:
    """Bits of every tensor that is quantized, by its name in the network's state dict.

    Weights of convolutions get `bits`, weights of linear layers `fc_bits`. Biases,
    normalization layers and their statistics stay in float32 and are not listed.

    Args:
        network: Only its structure is read; it may lie on the meta device.
        bits: 2 to 8; or None or 32 for weights left in float32.
        fc_bits: As `bits`.

    Raises:
        ValueError: `bits` or `fc_bits` is something else.
    """
    conv, fc = _checked("bits", bits), _checked("fc_bits", fc_bits)
    planned: dict[str, int] = {}
    for name, module in network.named_modules():
        wanted = None
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            wanted = conv
        elif isinstance(module, nn.Linear):
            wanted = fc
        if wanted is not None:
            planned[f"{name}.weight" if name else "weight"] = wanted
    return planned


def quantize_network(
    network: nn.Module, bits: int | None, fc_bits: int | None
) -> dict[str, QuantizedWeight]:
    """Quantize the weights that `planned_bits` lists; the network stays as it is.

    Returns:
        By tensor name. Both the packed file and the network that is evaluated are made of these.

    Raises:
        ValueError: As `planned_bits`; or a weight holds NaN or infinity.
    """
    planned = planned_bits(network, bits, fc_bits)
    return {
        name: quantize_weight(network.get_parameter(name), count)
        for name, count in planned.items()
    }


def _checked(key: str, bits: int | None) -> int | None:
    if bits is None or bits == FLOAT_BITS:
        return None
    try:
        top_code(bits)
    except ValueError:
        raise ValueError(
            f"{key} is {bits}; weights are quantized to 2 to 8 bits, and {FLOAT_BITS} or None "
            f"leaves them in float32."
        ) from None
    return bits
