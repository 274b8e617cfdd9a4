"""Brevitas, the peer of bench_low_bit.py: a trained network rounded by its own methods.

It is not installed with this project: ``uv pip install --target FOLDER brevitas``, and put the
folder on PYTHONPATH.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

ROUNDINGS = ("nearest", "gptq")
LEVELS = {"symmetric_mse": "symmetric", "affine_mse": "affine"}


def rounded(
    network: nn.Module, batches: Sequence[Tensor], *, bits: int, levels: str, rounding: str
) -> nn.Module:
    """A copy of a network whose weights Brevitas quantized, each output channel on its own.

    Steps are those of least squared error. ``gptq`` is followed by its bias correction, as in the
    settings that its authors publish for torchvision's networks.

    Args:
        network: In eval mode.
        batches: Images as the network takes them.
        bits: Of every weight of a convolution or linear layer.
        levels: A key of `LEVELS`.
        rounding: A word of `ROUNDINGS`.
    """
    import brevitas.nn as qnn
    from brevitas.graph.calibrate import bias_correction_mode
    from brevitas.graph.gptq import gptq_mode
    from brevitas.graph.quantize import layerwise_quantize

    settings = {"input_quant": None, "output_quant": None, "return_quant_tensor": False}
    settings |= {"weight_quant": _weights(levels, bits)}
    layers = {nn.Conv2d: qnn.QuantConv2d, nn.Linear: qnn.QuantLinear}
    given = {kind: (quantized, settings) for kind, quantized in layers.items()}
    found: nn.Module = layerwise_quantize(copy.deepcopy(network), given).eval()
    with torch.no_grad():
        # Steps are decided by the first pass.
        found(batches[0])
        if rounding == "nearest":
            return found
        # The copies of the float weights would double the memory, and nothing reads them.
        with gptq_mode(found, act_order=True, create_weight_orig=False) as gptq:
            for _ in range(gptq.num_layers):
                for batch in batches:
                    gptq.model(batch)
                gptq.update()
        with bias_correction_mode(found):
            for batch in batches:
                found(batch)
    return found


def _weights(levels: str, bits: int) -> Any:
    from brevitas.core.zero_point import ParameterFromStatsFromParameterZeroPoint
    from brevitas.quant.scaled_int import Int8WeightPerChannelFloatMSE
    from brevitas.quant.shifted_scaled_int import ShiftedUint8WeightPerChannelFloatMSE

    if LEVELS[levels] == "symmetric":
        return Int8WeightPerChannelFloatMSE.let(bit_width=bits, narrow_range=False)
    return ShiftedUint8WeightPerChannelFloatMSE.let(
        bit_width=bits,
        narrow_range=False,
        zero_point_impl=ParameterFromStatsFromParameterZeroPoint,
    )
