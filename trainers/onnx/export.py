"""A packed network as an ONNX file: evenly spaced codes as int8, checked against torch."""

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainers.artifact import load_artifact, read_header, read_quantized
from trainers.files.whole_file import replacing
from trainers.networks.network import Network
from trainers.onnx.activations import put_activations
from trainers.onnx.latency import OnnxError, OnnxNetwork, random_pixels, require_onnx
from trainers.quantization.activations import activation_levels, float_activations
from trainers.quantization.config import FLOAT_BITS
from trainers.quantization.quantized import QuantizedWeight, dequantize

# Another number than in tracing, so that a fixed batch size would be noticed.
_CHECKED_IMAGES = 5
# Relative to the largest logit. Both sides sum the same numbers in float32, in another order.
_TOLERANCE = 1e-4
# An activation halfway between two levels may be rounded to the other one.
_ROUNDED_TOLERANCE = 0.05
# If all logits are nearly zero, rounding errors are not proportional to the largest.
_SMALLEST_LOGIT = 0.01


@dataclass(frozen=True)
class OnnxInfo:
    """Result of an export.

    Attributes:
        path: The file.
        bytes: Its size.
        int8_weights: Names of the weights that are stored as int8 codes.
        float_weights: Names of the weights that are quantized by a codebook, for which ONNX has no
            operator: the file holds the dequantized weights in float32.
        max_difference: The largest difference between a logit of onnxruntime and of torch.
        tolerance: Accepted difference: 1e-4 of the largest logit, or 1e-6 if that is below 0.01;
            0.05 of it with levels of activations, some of which are rounded the other way.
        activation_bits: Bits of the inputs of layers; 32 in float32.
    """

    path: Path
    bytes: int
    int8_weights: tuple[str, ...]
    float_weights: tuple[str, ...]
    max_difference: float
    tolerance: float
    activation_bits: int = FLOAT_BITS


def export_onnx(artifact: Path, to: Path) -> OnnxInfo:
    """Write a packed network as ONNX, from pixels in [0, 1] of its input size to logits.

    The input `pixels` is float32 (batch, C, H, W) with the C, H and W of the backbone; the
    normalisation is in the file. A weight with evenly spaced levels is stored as its codes, int8
    however few bits they need, followed by a DequantizeLinear with the scales of the artifact
    (one for each output channel, or one): it gives the artifact's weight bit for bit. Activations
    stay in float32, unless the artifact has levels for them: then a QuantizeLinear and a
    DequantizeLinear round the inputs of each layer.

    The metadata hold the names of the classes, under `classes`, as a JSON list.

    Args:
        artifact: A packed network.
        to: The file, in a folder that exists. An existing file is replaced once the new one is
            found to compute the same logits as the artifact.

    Raises:
        OnnxError: onnx, onnxscript or onnxruntime is not installed; the network cannot be traced;
            or the logits differ.
        ArtifactError: `artifact` cannot be read.
        OSError: The folder cannot be written to.
    """
    require_onnx()
    network = load_artifact(artifact)
    quantized = read_quantized(artifact)
    levels = {f"{name}.weight": each for name, each in activation_levels(network).items()}
    # The graph names a layer by its weight, also where that is in floating point.
    model = traced(network, tuple(dict.fromkeys((*quantized, *levels))))
    put_activations(model, levels)
    for name, weight in quantized.items():
        _put_weight(model, name, weight)
    for name in levels.keys() - quantized.keys():
        _put_float(model, name, network.get_parameter(name))
    _name_classes(model, read_header(artifact).classes)
    with replacing(to) as unfinished:
        unfinished.write_bytes(model.SerializeToString(deterministic=True))
        difference, tolerance = _difference(network, unfinished)
    by_codebook = tuple(n for n, weight in quantized.items() if weight.scale is None)
    return OnnxInfo(
        path=to,
        bytes=to.stat().st_size,
        int8_weights=tuple(name for name in quantized if name not in by_codebook),
        float_weights=by_codebook,
        max_difference=difference,
        tolerance=tolerance,
        activation_bits=next((each.bits for each in levels.values()), FLOAT_BITS),
    )


class _OpenNetwork(nn.Module):
    """A network with some of its weights as inputs.

    Constant weights would be folded with the batch norms that follow them, and their codes would
    no longer be those of the artifact (seen in onnxscript 0.7).
    """

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._names = tuple(names)

    def forward(self, pixels: Tensor, weights: Sequence[Tensor] = ()) -> Tensor:
        """Compute logits of pixels, with these weights instead of the network's."""
        given = dict(zip(self._names, weights, strict=True))
        logits: Tensor = torch.func.functional_call(self.network, given, (pixels,))
        return logits


def traced(network: Network, names: Sequence[str]) -> Any:
    """Trace a network into an `onnx.ModelProto` with a dynamic batch size.

    Args:
        network: In eval mode. Its activations are those of float32.
        names: Weights that are inputs of the graph, under these names, rather than constants.

    Raises:
        OnnxError: torch cannot trace it, or has no ONNX operator for a part of it.
    """
    network = copy.deepcopy(network)
    float_activations(network)
    # Two images, because a batch of one would be taken as a fixed size.
    pixels = torch.from_numpy(random_pixels(network.spec.input, 2))
    arguments: tuple[Any, ...] = (pixels,)
    shapes: dict[str, Any] = {"pixels": {0: torch.export.Dim("batch")}}
    if names:
        arguments = (pixels, [network.get_parameter(name) for name in names])
        shapes["weights"] = [{} for _ in names]
    try:
        with _quiet():
            program = torch.onnx.export(
                _OpenNetwork(network, names).eval(),
                arguments,
                input_names=["pixels", *names],
                output_names=["logits"],
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise OnnxError(
            f"{network.spec.backbone} could not be written as ONNX by torch {torch.__version__}: "
            f"{error}"
        ) from error
    if program is None:
        raise OnnxError(f"torch {torch.__version__} gave no ONNX form of the network.")
    model: Any = program.model_proto
    _forget_origins(model)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's own progress messages and warnings."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Deprecations between torch, onnxscript and onnx, which a user cannot act on; the
            # result is checked against torch.
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _forget_origins(model: Any) -> None:
    """Remove the stack traces with paths of this machine that torch (2.14) leaves everywhere."""
    model.ClearField("metadata_props")
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    for part in (*graph.initializer, *graph.node):
        part.ClearField("doc_string")


def _put_float(model: Any, name: str, weight: Tensor) -> None:
    from onnx import numpy_helper

    graph = model.graph
    graph.input.remove(next(each for each in graph.input if each.name == name))
    graph.initializer.append(numpy_helper.from_array(weight.contiguous().numpy(), name))


def _put_weight(model: Any, name: str, weight: QuantizedWeight) -> None:
    """Replace an input of the graph by the weight of that name."""
    from onnx import helper, numpy_helper

    graph = model.graph
    graph.input.remove(next(each for each in graph.input if each.name == name))
    if weight.scale is None:
        graph.initializer.append(numpy_helper.from_array(dequantize(weight).numpy(), name))
        return
    parts = {f"{name}.codes": weight.codes.numpy(), f"{name}.scale": _levels(weight.scale)}
    if weight.zero_point is not None:
        parts[f"{name}.zero_point"] = _levels(weight.zero_point)
    for part, array in parts.items():
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), part))
    node = helper.make_node("DequantizeLinear", list(parts), [name], name=f"{name}.dequantize")
    if parts[f"{name}.scale"].ndim:
        node.attribute.append(helper.make_attribute("axis", 0))
    graph.node.insert(0, node)


def _name_classes(model: Any, classes: Sequence[str] | None) -> None:
    from onnx import helper

    if classes is not None:
        helper.set_model_props(model, {"classes": json.dumps(list(classes))})


def _levels(of_groups: Tensor) -> np.ndarray:
    """Shape to (out,) for one group per channel, () for one group, as DequantizeLinear needs."""
    flat: np.ndarray = of_groups.reshape(-1).numpy()
    return flat if len(flat) > 1 else flat.reshape(())


def _difference(network: Network, path: Path) -> tuple[float, float]:
    """Return the largest difference of logits, and the tolerance."""
    import onnx

    pixels = random_pixels(network.spec.input, _CHECKED_IMAGES)
    try:
        onnx.checker.check_model(path)
        found = OnnxNetwork(path).logits(pixels)
    except Exception as error:
        raise OnnxError(f"The ONNX form of the network cannot be run: {error}") from error
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).numpy()
    difference = float(np.abs(found - expected).max())
    relative = _ROUNDED_TOLERANCE if activation_levels(network) else _TOLERANCE
    tolerance = relative * max(_SMALLEST_LOGIT, float(np.abs(expected).max()))
    # Written so that NaN is rejected as well.
    if not difference <= tolerance:
        raise OnnxError(
            f"The ONNX form of the network gives other logits than the network: they differ by "
            f"{difference:.2g}, and {tolerance:.2g} is accepted. Nothing was written; with other "
            f"versions of torch, onnxscript and onnxruntime it may work."
        )
    return difference, tolerance
