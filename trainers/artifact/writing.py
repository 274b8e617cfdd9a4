"""Quantize a network, pack it and write it, so that the file appears whole or not at all."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainers.artifact.layout import (
    CODES,
    SCALE,
    Layout,
    StoredTensor,
    is_counter,
    layout_of,
)
from trainers.errors import ArtifactError
from trainers.networks import Network, NetworkSpec
from trainers.quantization import pack_codes, quantize_weight

_HEAD = "head."


@dataclass(frozen=True)
class ArtifactInfo:
    """A packed network that was written. All sizes are bytes of the file.

    `head_bytes + backbone_bytes + header_bytes == bytes`: the header belongs to neither part.

    Attributes:
        path: Where it lies.
        bytes: Size of the file.
        sha256: Of the file, 64 hexadecimal digits.
        head_bytes: Data of the tensors of the fully connected head.
        backbone_bytes: Data of all other tensors.
    """

    path: Path
    bytes: int
    sha256: str
    head_bytes: int
    backbone_bytes: int

    @property
    def header_bytes(self) -> int:
        """The description of the network: names, shapes, spec and classes."""
        return self.bytes - self.head_bytes - self.backbone_bytes


def predict_bytes(
    spec: NetworkSpec, bits: int | None, fc_bits: int | None, classes: Sequence[str] | None
) -> int:
    """The exact size of the file that `write_artifact` would write, without any weights.

    Raises:
        ValueError: As `write_artifact`.
    """
    return layout_of(spec, bits, fc_bits, classes).bytes


def write_artifact(
    network: Network,
    path: Path,
    *,
    bits: int | None,
    fc_bits: int | None,
    classes: Sequence[str] | None,
) -> ArtifactInfo:
    """Write the packed network; the network itself stays as it is.

    Args:
        network: Trained; float32.
        path: The file to write, in a folder that exists. What lies there is replaced.
        bits: Bits of a convolution weight, 2 to 8; None or 32 leaves it in float32.
        fc_bits: The same for fully connected layers.
        classes: Name of each output, or None.

    Raises:
        ValueError: `bits` or `fc_bits` is out of range, or `classes` are too many or too few.
        ArtifactError: The network holds NaN or infinity, or is not what its spec says.
        OSError: The disk is full or the folder cannot be written; what was there stays.
    """
    layout = layout_of(network.spec, bits, fc_bits, classes)
    arrays = _stored_arrays(_weights(network, layout), layout)
    digest = hashlib.sha256()
    # Named after the process, so that two that write the same file do not meet in one.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            for part in _parts(layout, arrays):
                file.write(part)
                digest.update(part)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    head = sum(tensor.bytes for tensor in layout.tensors if tensor.name.startswith(_HEAD))
    backbone = layout.bytes - len(layout.header) - head
    return ArtifactInfo(path, layout.bytes, digest.hexdigest(), head, backbone)


def _weights(network: Network, layout: Layout) -> dict[str, Tensor]:
    """The tensors to store, on the CPU, under the names of the network of the spec.

    Dropout counts as a layer of the head and is not part of the spec, so that the layers after it
    have other numbers there. Order and shapes are the same.
    """
    state = {
        name: tensor.detach().cpu()
        for name, tensor in network.state_dict().items()
        if not is_counter(name)
    }
    given = [(tuple(tensor.shape), tensor.dtype) for tensor in state.values()]
    if given != [(shape, torch.float32) for shape in layout.shapes.values()]:
        raise ArtifactError(
            f"the network has tensors of other shapes or types than {network.spec} describes, so "
            f"it could not be rebuilt from a file; nothing was written."
        )
    for name, tensor in state.items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise ArtifactError(
                f"{bad} of {tensor.numel()} values of {name} are NaN or infinite, so training has "
                f"probably diverged; nothing was written."
            )
    return dict(zip(layout.shapes, state.values(), strict=True))


def _stored_arrays(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, np.ndarray]:
    """The content of each stored tensor; float32 or uint8, little-endian."""
    arrays: dict[str, np.ndarray] = {}
    for name, weight in weights.items():
        if name in layout.bits:
            quantized = quantize_weight(weight, layout.bits[name])
            arrays[name + SCALE] = quantized.scale.numpy()
            arrays[name + CODES] = pack_codes(quantized.codes.numpy(), quantized.bits)
        else:
            arrays[name] = weight.numpy()
    return arrays


def _parts(layout: Layout, arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    yield layout.header
    for tensor in layout.tensors:
        yield _content(tensor, arrays[tensor.name])


def _content(tensor: StoredTensor, array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array, "<f4" if tensor.dtype == "F32" else "u1").reshape(-1).data
