"""Quantize and pack a network, and write it atomically."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainers.artifact.layout import layout_of
from trainers.artifact.norms import merged_norms
from trainers.artifact.packed_layout import (
    ACTIVATIONS,
    CODEBOOK,
    CODES,
    PLACES,
    SCALE,
    VALUES,
    ZERO_POINT,
    Layout,
    StoredTensor,
)
from trainers.artifact.sparse import Kept, Places, smallest_places, stored_places
from trainers.errors import ArtifactError
from trainers.files.whole_file import whole_file
from trainers.networks.backbones.shapes import stored_shapes
from trainers.networks.network import Network
from trainers.networks.spec import NetworkSpec
from trainers.quantization import FLOAT_BITS, QuantizationConfig
from trainers.quantization.activations import activation_levels, input_layers
from trainers.quantization.packing import pack_codes, unpack_codes
from trainers.quantization.plan import quantized_weights
from trainers.quantization.quantized import Levels, QuantizedWeight

_NUMPY = {"F32": "<f4", "F16": "<f2", "I8": "i1", "U8": "u1"}
_HALF = np.finfo(np.float16)


@dataclass(frozen=True)
class ArtifactInfo:
    """A packed network that was written. All sizes are bytes of the file.

    `head_bytes + backbone_bytes + header_bytes == bytes`: the header belongs to neither part.

    Attributes:
        path: Path of the file.
        bytes: Size of the file.
        sha256: Digest of the file, 64 hexadecimal digits.
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
    spec: NetworkSpec,
    quantization: QuantizationConfig,
    classes: Sequence[str] | None,
    *,
    merge_norms: bool = False,
) -> int:
    """Compute the exact size of the file that `write_artifact` would write, without weights.

    Raises:
        ValueError: As `write_artifact`.

    >>> from trainers.networks.spec import spec_of
    >>> spec, names = spec_of("digitnet", (16,), 2), ("no", "yes")
    >>> configs = [QuantizationConfig(bits=bits, fc_bits=bits) for bits in (4, 32)]
    >>> sizes = [predict_bytes(spec, each, names) for each in configs]
    >>> round(sizes[1] / sizes[0], 1)
    7.2
    """
    return layout_of(spec, quantization, classes, merge_norms=merge_norms).bytes


def write_artifact(  # noqa: PLR0913 - all that decides the bytes of a file
    network: Network,
    path: Path,
    *,
    quantization: QuantizationConfig,
    classes: Sequence[str] | None,
    steps: Mapping[str, Tensor] | None = None,
    kept: Mapping[str, Tensor] | None = None,
    rounded: Mapping[str, QuantizedWeight] | None = None,
    merge_norms: bool = False,
) -> ArtifactInfo:
    """Quantize, pack and write a network, which is not modified.

    Args:
        network: Trained; float32. With the levels of activations that `quantization` has bits of.
        path: The file to write, in a folder that exists. An existing file is replaced.
        quantization: Bits and levels of its weights.
        classes: Name of each output, or None.
        steps: Learned steps of symmetric weights, one for each channel or layer, by the name of
            the weight in the network's state dict; they replace the steps that follow from the
            weights.
        kept: Which weights are not pruned, bool, by the name of the weight in the state dict. A
            pruned tensor is stored in the smallest form: densely, or its kept values with a
            bitmap of their places or the gaps between them.
        rounded: Weights that are quantized already, by the names in the network's state dict; as
            `quantization` describes them. All planned ones, or None.
        merge_norms: Whether to store a batch norm as two vectors, as `quantization` can say too.

    Raises:
        ValueError: `quantization` names a convolution that the network does not have, `classes`
            are too many or too few, or `steps` or `rounded` do not fit.
        ArtifactError: The network holds NaN or infinity, or does not match its spec.
        OSError: The disk is full or the folder cannot be written; what was there stays.

    >>> from tempfile import TemporaryDirectory
    >>> from trainers.networks.network import build_network
    >>> network = build_network("digitnet", weights="scratch", widths=(16,), classes=2)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "model.safetensors")
    ...     config = QuantizationConfig(bits=4)
    ...     info = write_artifact(network, path, quantization=config, classes=None)
    ...     info.bytes == path.stat().st_size
    True
    """
    layout = layout_of(network.spec, quantization, classes, merge_norms=merge_norms)
    weights = _weights(network, layout)
    renamed = dict(zip(_names(network), layout.shapes, strict=True))
    given = {renamed.get(name, name): step for name, step in (steps or {}).items()}
    masks = _masks(kept or {}, renamed)
    if sparse := _sparse(masks, layout):
        layout = layout_of(network.spec, quantization, classes, sparse, merge_norms=merge_norms)
    if rounded is None:
        planned = layout.quantized.weights
        found = dict(quantized_weights(weights, planned, quantization, steps=given))
    else:
        found = {renamed.get(name, name): weight for name, weight in rounded.items()}
    arrays = _stored_arrays(_merged(network, weights, layout), layout, found)
    arrays |= _activation_arrays(network, layout)
    _leave_out(arrays, {name: masks[name] for name in sparse}, layout)
    return _written(path, layout, arrays)


def _merged(
    network: Network, weights: Mapping[str, Tensor], layout: Layout
) -> Mapping[str, Tensor]:
    return merged_norms(network, weights) if layout.quantized.merged_norms else weights


def _written(path: Path, layout: Layout, arrays: Mapping[str, np.ndarray]) -> ArtifactInfo:
    digest = hashlib.sha256()
    with whole_file(path) as file:
        for part in _parts(layout, arrays):
            file.write(part)
            digest.update(part)
    return ArtifactInfo(
        path, layout.bytes, digest.hexdigest(), layout.head_bytes, layout.backbone_bytes
    )


def _masks(kept: Mapping[str, Tensor], renamed: Mapping[str, str]) -> dict[str, Kept]:
    return {
        renamed[name]: mask.cpu().contiguous().numpy().reshape(-1) for name, mask in kept.items()
    }


def _sparse(masks: Mapping[str, Kept], layout: Layout) -> dict[str, Places]:
    """Return how the places of those weights are stored that are smaller sparse than dense."""
    planned = layout.quantized.weights
    found = {
        name: smallest_places(kept, planned[name].bits if name in planned else FLOAT_BITS)
        for name, kept in masks.items()
    }
    return {name: places for name, places in found.items() if places is not None}


def _leave_out(arrays: dict[str, np.ndarray], masks: Mapping[str, Kept], layout: Layout) -> None:
    """Replace dense arrays by their kept values, and add the places of these."""
    planned = layout.quantized.weights
    for name, kept in masks.items():
        arrays[name + PLACES] = stored_places(kept, layout.sparse[name])
        if name in planned:
            bits = planned[name].bits
            codes = unpack_codes(arrays[name + CODES], bits, kept.size)
            arrays[name + CODES] = pack_codes(codes[kept], bits)
        else:
            # In C order, whatever the memory layout of a convolution is.
            arrays[name + VALUES] = np.ascontiguousarray(arrays.pop(name)).reshape(-1)[kept]


def _weights(network: Network, layout: Layout) -> dict[str, Tensor]:
    """Return the tensors to store, on the CPU, under the names of the network of the spec.

    Dropout is a layer of the head but not part of the spec, so that the layers after it have
    other numbers there. Order and shapes are the same.
    """
    tensors = network.state_dict()
    state = {name: tensors[name].detach().cpu() for name in _names(network)}
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


def _names(network: Network) -> list[str]:
    return [*stored_shapes(network)]


def _stored_arrays(
    weights: Mapping[str, Tensor],
    layout: Layout,
    found: Mapping[str, QuantizedWeight],
) -> dict[str, np.ndarray]:
    """Compute the content of each stored tensor."""
    planned = layout.quantized.weights
    if found.keys() != planned.keys():
        raise ValueError(
            f"rounded weights were given of {sorted(found)}, and the quantization is of "
            f"{sorted(planned)}."
        )
    arrays = {name: w.numpy() for name, w in weights.items() if name not in planned}
    for name, quantized in found.items():
        arrays[name + CODES] = pack_codes(quantized.codes.numpy(), quantized.bits)
        arrays |= _level_arrays(planned[name].levels, quantized.levels)
    return arrays


def _activation_arrays(network: Network, layout: Layout) -> dict[str, np.ndarray]:
    """Return the levels of the inputs of layers, in the order of the layers."""
    bits, found = layout.quantized.activation_bits, activation_levels(network)
    given = [found[name] for name in input_layers(network) if name in found]
    if len(given) != layout.quantized.layers or any(each.bits != bits for each in given):
        raise ValueError(
            f"the inputs of {layout.quantized.layers} layers have {bits} bits by the "
            f"quantization, and the network has levels for {len(given)}: calibrate them first."
        )
    if not given:
        return {}
    return {
        ACTIVATIONS + SCALE: np.array([each.scale for each in given], np.float32),
        ACTIVATIONS + ZERO_POINT: np.array([each.zero_point for each in given], np.uint8),
    }


def _level_arrays(name: str, levels: Levels) -> dict[str, np.ndarray]:
    parts = {SCALE: levels.scale, ZERO_POINT: levels.zero_point, CODEBOOK: levels.codebook}
    if levels.entry_step is not None:
        parts |= {SCALE: levels.entry_step, CODEBOOK: levels.entries}
    return {name + part: tensor.numpy() for part, tensor in parts.items() if tensor is not None}


def _parts(layout: Layout, arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    yield layout.header
    for tensor in layout.tensors:
        yield _content(tensor, arrays[tensor.name])


def _content(tensor: StoredTensor, array: np.ndarray) -> memoryview:
    if tensor.dtype == "F16":
        array = np.clip(array, _HALF.min, _HALF.max)
        if tensor.name.endswith(SCALE):
            # A step of zero is none.
            array = np.maximum(array, _HALF.smallest_subnormal)
    return np.ascontiguousarray(array, _NUMPY[tensor.dtype]).reshape(-1).data
