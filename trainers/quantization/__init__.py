"""Weights of a trained network as integer codes of 2 to 8 bits, and those codes as bytes."""

from trainers.quantization.packing import pack_codes, packed_bytes, unpack_codes
from trainers.quantization.plan import planned_bits, quantize_network
from trainers.quantization.uniform import QuantizedWeight, dequantize, quantize_weight

__all__ = [
    "QuantizedWeight",
    "dequantize",
    "pack_codes",
    "packed_bytes",
    "planned_bits",
    "quantize_network",
    "quantize_weight",
    "unpack_codes",
]
