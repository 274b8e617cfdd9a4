"""A packed network as ONNX with int8 activations: faster, but no longer equal to the artifact."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.artifact import load_artifact
from trainers.data.image_data import Images, Labels
from trainers.networks.inputs import InputTransform, to_unit
from trainers.networks.spec import InputSpec
from trainers.onnx.export import traced
from trainers.onnx.latency import OnnxError, OnnxNetwork, require_onnx

CALIBRATION_IMAGES = 256
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Int8Info:
    """Result of an int8 export, with its accuracy.

    Attributes:
        path: The file.
        bytes: Its size.
        accuracy: Fraction, top-1 on the images that it was measured on.
        float_accuracy: The same for the packed network with float32 activations, also run by
            onnxruntime.
    """

    path: Path
    bytes: int
    accuracy: float
    float_accuracy: float


def export_int8(
    artifact: Path, to: Path, *, calibration: Images, measured: tuple[Images, Labels]
) -> Int8Info:
    """Write a packed network with weights and activations in int8, and measure its accuracy.

    onnxruntime's static quantization: batch norms are folded, weights get one int8 scale for each
    output channel (they are rounded a second time), activations one uint8 range per tensor, from
    the smallest to the largest value on the calibration images. The values measured on the
    artifact do not apply to this network.

    Args:
        artifact: A packed network.
        to: The file, in a folder that exists; an existing file is replaced.
        calibration: uint8 (N, C, H, W) of any size, training images; the first 256 are used.
        measured: Images and labels for the accuracy; held-out ones that no choice was based on.

    Raises:
        OnnxError: The packages are not installed, there are no images, or onnxruntime cannot
            quantize or run the network.
        ArtifactError: `artifact` cannot be read.
        OSError: The folder cannot be written to.
    """
    require_onnx()
    if not (len(calibration) and len(measured[1])):
        raise OnnxError("int8 activations need images to calibrate and to measure them with.")
    network = load_artifact(artifact)
    floating = to.with_name(f".{to.name}.{os.getpid()}.float")
    unfinished = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        floating.write_bytes(traced(network, ()).SerializeToString())
        _quantize(floating, unfinished, network.spec.input, calibration[:CALIBRATION_IMAGES])
        info = Int8Info(
            path=to,
            bytes=unfinished.stat().st_size,
            accuracy=_accuracy(unfinished, network.spec.input, measured),
            float_accuracy=_accuracy(floating, network.spec.input, measured),
        )
        unfinished.replace(to)
    finally:
        floating.unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)
    return info


def _quantize(floating: Path, to: Path, spec: InputSpec, images: Images) -> None:
    from onnxruntime.quantization import QuantType, quantize_static

    batches = ({"pixels": pixels} for pixels in _pixel_batches(spec, images))
    try:
        with _without_advice():
            quantize_static(
                floating,
                to,
                _Reader(batches),
                per_channel=True,
                # Signed activations are slower than float32: 1.7 ms instead of 1.0, unsigned 0.7
                # (cifar_resnet20, onnxruntime 1.31, AVX-512 VNNI).
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    except OSError:
        raise
    except Exception as error:
        raise OnnxError(f"onnxruntime cannot quantize the activations: {error}") from error


class _Reader:
    """Calibration images through the interface of onnxruntime."""

    def __init__(self, batches: Iterator[dict[str, NDArray[np.float32]]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch; None after the last."""
        return next(self._batches, None)


def _pixel_batches(spec: InputSpec, images: Images) -> Iterator[NDArray[np.float32]]:
    """Yield images in [0, 1], with the channels and the size of the network's input."""
    channels = spec.channels
    # The network's own resizing; with these values its normalisation has no effect.
    fitted = InputTransform(replace(spec, mean=(0.0,) * channels, std=(1.0,) * channels))
    for start in range(0, len(images), _BATCH_SIZE):
        yield fitted(to_unit(torch.tensor(images[start : start + _BATCH_SIZE]))).numpy()


def _accuracy(path: Path, spec: InputSpec, measured: tuple[Images, Labels]) -> float:
    images, labels = measured
    network = OnnxNetwork(path)
    answers = [network.logits(each).argmax(axis=1) for each in _pixel_batches(spec, images)]
    return float((np.concatenate(answers) == labels).mean())


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence onnxruntime's advice to pre-process, which it gives on the root logger."""
    root = logging.getLogger()
    level, silence = root.level, logging.NullHandler()
    root.setLevel(logging.ERROR)
    # Without any handler `logging.warning` would install one for the rest of the process.
    root.addHandler(silence)
    try:
        yield
    finally:
        root.removeHandler(silence)
        root.setLevel(level)
