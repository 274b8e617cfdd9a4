"""The parameters `bits_1`, `bits_2`, ...: bits of single convolutions, known without torch."""

from collections.abc import Mapping
from typing import Any

MAX_CONVOLUTIONS = 200
"""The number of convolutions that can have a bit-width of their own."""

_NUMBERS = {f"bits_{number}": number for number in range(1, MAX_CONVOLUTIONS + 1)}

LAYER_BITS = tuple(_NUMBERS)
"""The names, in the order of the convolutions."""


def layer_bits_name(number: int) -> str:
    """Return the name of the parameter for a convolution; the first one has number 1.

    >>> layer_bits_name(3)
    'bits_3'
    """
    return f"bits_{number}"


def layer_bits_of(params: Mapping[str, Any]) -> dict[int, int]:
    """Return the bits that parameters give single convolutions, by number.

    >>> layer_bits_of({"bits": 4, "bits_2": 3, "fc_bits": 8})
    {2: 3}
    """
    return {_NUMBERS[name]: int(bits) for name, bits in params.items() if name in _NUMBERS}
