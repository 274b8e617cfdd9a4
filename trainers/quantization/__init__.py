"""Weights of a trained network as integer codes of 2 to 8 bits, and those codes as bytes.

What loads torch is imported from its module: the codes (`quantized`), the quantizers (`uniform`,
`codebook`), a whole network (`plan`), the bit stream (`packing`). A config needs none of it.
"""

from trainers.quantization.config import FLOAT_BITS, QuantizationConfig

__all__ = ["FLOAT_BITS", "QuantizationConfig"]
