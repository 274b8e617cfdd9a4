"""Levels of activations in an ONNX graph: the inputs of each layer are quantized and decoded."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainers.onnx.latency import OnnxError
from trainers.quantization.activations import ActivationLevels

# What an exporter puts between a weight and the operator that multiplies with it.
_PASSES_ON = ("Transpose", "Identity", "Cast")
_MULTIPLIES = ("Conv", "Gemm", "MatMul")
_BITS_OF_A_CODE = 8


def put_activations(model: Any, levels: Mapping[str, ActivationLevels]) -> None:
    """Insert the rounding of the inputs of layers, in place.

    Codes are uint8, however few bits they need; with fewer than eight a Clip keeps them in range.

    Args:
        model: An `onnx.ModelProto`; the weights of these layers are inputs of the graph.
        levels: By the name of the layer's weight.

    Raises:
        OnnxError: A layer is not found in the graph.
    """
    for weight, each in levels.items():
        place = _operator(model.graph, weight)
        node = model.graph.node[place]
        nodes, rounded = _rounding(model.graph, node.input[0], weight, each)
        node.input[0] = rounded
        for new in reversed(nodes):
            model.graph.node.insert(place, new)


def _operator(graph: Any, weight: str) -> int:
    """Return the place of the operator that multiplies with a weight."""
    name = weight
    for place, node in enumerate(graph.node):
        if name in node.input:
            if node.op_type in _PASSES_ON:
                name = node.output[0]
            elif node.op_type in _MULTIPLIES and node.input[0] != name:
                return place
    raise OnnxError(
        f"the layer of {weight} has another form in ONNX than a convolution or product"
    )


def _rounding(
    graph: Any, given: str, weight: str, levels: ActivationLevels
) -> tuple[list[Any], str]:
    """Return the operators that round what is given, and the name of what they compute."""
    from onnx import helper, numpy_helper

    layer = f"{weight}.input"
    scale, zero, top = (f"{layer}.{part}" for part in ("scale", "zero_point", "top"))
    arrays: dict[str, np.ndarray] = {
        scale: np.array(levels.scale, np.float32),
        zero: np.array(levels.zero_point, np.uint8),
    }
    codes, rounded = f"{layer}.codes", f"{layer}.rounded"
    nodes = [helper.make_node("QuantizeLinear", [given, scale, zero], [codes], name=f"{layer}.q")]
    if levels.bits < _BITS_OF_A_CODE:
        arrays[top] = np.array(levels.top, np.uint8)
        clipped = f"{layer}.clipped"
        nodes.append(helper.make_node("Clip", [codes, "", top], [clipped], name=f"{layer}.clip"))
        codes = clipped
    nodes.append(
        helper.make_node("DequantizeLinear", [codes, scale, zero], [rounded], name=f"{layer}.dq")
    )
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in arrays.items())
    return nodes, rounded
