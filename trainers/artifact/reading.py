"""Read a packed network, and reject any other file with a clear message."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainers.artifact.layout import empty_network
from trainers.artifact.norms import merged_statistic
from trainers.artifact.packed_layout import (
    ACTIVATIONS,
    CODEBOOK,
    CODES,
    KEY,
    MERGED,
    PLACES,
    SCALE,
    VALUES,
    VERSION,
    ZERO_POINT,
    Quantized,
    merged_statistics,
    stored_tensors,
)
from trainers.artifact.sparse import Kept, Places, places_from, read_places
from trainers.doors import DoorError
from trainers.errors import ArtifactError
from trainers.networks.backbones.shapes import stored_shapes
from trainers.networks.brought.registry import is_code
from trainers.networks.network import Network
from trainers.networks.shapes import Shape, is_counter
from trainers.networks.sharing import share_kernels
from trainers.networks.spec import NetworkSpec
from trainers.quantization.activations import (
    ActivationLevels,
    input_layers,
    quantize_activations,
)
from trainers.quantization.config import CODEBOOKS, FLOAT_BITS, QUANTIZERS, SCOPES
from trainers.quantization.packing import unpack_codes
from trainers.quantization.planned import PlannedWeight
from trainers.quantization.quantized import (
    Levels,
    QuantizedWeight,
    dequantize,
    lowest_code,
    top_code,
)


@dataclass(frozen=True)
class ArtifactHeader:
    """Description of a packed network in its header.

    Attributes:
        version: Version of the format.
        spec: The architecture.
        classes: Name of each output, or None.
        quantized: How tensors are quantized, by their names in the network; the others are
            float32.
        shapes: Shapes of the quantized tensors.
        sparse: How the places of pruned tensors are stored, by their names in the network.
        sparse_shapes: Shapes of these tensors.
    """

    version: int
    spec: NetworkSpec
    classes: tuple[str, ...] | None
    quantized: Quantized
    shapes: Mapping[str, Shape]
    sparse: Mapping[str, Places]
    sparse_shapes: Mapping[str, Shape]


class _Container(Protocol):
    """The part of `safetensors.safe_open` that is used here."""

    def metadata(self) -> dict[str, str] | None: ...
    def keys(self) -> list[str]: ...
    def get_slice(self, name: str) -> Any: ...
    def get_tensor(self, name: str) -> np.ndarray: ...


# Exceptions of the container's reader and of the network builders on invalid contents.
_REFUSALS = (
    SafetensorError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RuntimeError,
)


def read_header(path: Path | str) -> ArtifactHeader:
    """Read the description of a packed network, without its tensors.

    Raises:
        ArtifactError: There is no such file, or it is not a packed network of a known version.

    >>> read_header("absent.safetensors")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.ArtifactError: absent.safetensors cannot be read as a packed network: ...
    """
    try:
        with safe_open(path, framework="numpy") as container:
            return _header(container)
    except _REFUSALS as error:
        _refuse(path, error)


def load_artifact(path: Path | str) -> Network:
    """Rebuild a packed network from its file alone.

    No content of the file is ever executed, and of code that it names only what lies in the
    working directory or on Python's path, with the digest that the file says. Memory is bounded
    by its size and the float32 weights that it actually holds.

    Returns:
        The network on the CPU, in eval mode, without gradients. Its quantized weights equal, bit
        for bit, `dequantize` of the codes.

    Raises:
        ArtifactError: The file is absent, truncated, too long, of another version or program, or
            does not hold exactly the finite tensors that its architecture needs.

    >>> from tempfile import TemporaryDirectory
    >>> from trainers.artifact.writing import write_artifact
    >>> from trainers.networks.network import build_network
    >>> from trainers.quantization.config import QuantizationConfig
    >>> config = QuantizationConfig(bits=4)
    >>> network = build_network("digitnet", weights="scratch", widths=(16,), classes=2)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "model.safetensors")
    ...     _ = write_artifact(network, path, quantization=config, classes=None)
    ...     load_artifact(path).spec == network.spec
    True
    """
    try:
        with safe_open(path, framework="numpy") as container:
            header = _header(container)
            network = empty_network(header.spec)
            _check_tensors(container, header, stored_shapes(network))
            state = _state(container, header, network)
            levels = _activations(container, header, input_layers(network))
    except _REFUSALS as error:
        _refuse(path, error)
    # A shared kernel is in the file once, and comes to its other layers with the first.
    network.load_state_dict(state, assign=True, strict=not header.spec.shared_kernels)
    if header.spec.shared_kernels:
        share_kernels(network.features)
    network.lay_out()
    quantize_activations(network, levels)
    return network.requires_grad_(requires_grad=False).eval()


def read_quantized(path: Path | str) -> Mapping[str, QuantizedWeight]:
    """Read codes and levels of the quantized weights of a packed network, by tensor name.

    Raises:
        ArtifactError: As `load_artifact`, for these weights.

    >>> read_quantized("absent.safetensors")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.ArtifactError: absent.safetensors cannot be read as a packed network: ...
    """
    try:
        with safe_open(path, framework="numpy") as container:
            header = _header(container)
            _check_tensors(container, header, stored_shapes(empty_network(header.spec)))
            return {name: _quantized(container, header, name) for name in header.shapes}
    except _REFUSALS as error:
        _refuse(path, error)


def _refuse(path: Path | str, error: Exception) -> NoReturn:
    reason = str(error)
    if isinstance(error, DoorError):
        # The file is intact: what is missing is the code of its backbone.
        raise ArtifactError(f"{path} cannot be loaded: {reason}") from error
    if isinstance(error, (KeyError, TypeError, AttributeError)):
        reason = f"its header has another form than expected ({type(error).__name__}: {error})"
    raise ArtifactError(
        f"{path} cannot be read as a packed network: {reason.rstrip('.')}. Export the trial again."
    ) from error


def _header(container: _Container) -> ArtifactHeader:
    metadata = container.metadata() or {}
    if KEY not in metadata:
        raise ValueError(f"it is a safetensors file of another program (no {KEY!r} in its header)")
    facts = json.loads(metadata[KEY], parse_float=_finite_float, parse_constant=_finite_float)
    version = facts["version"]
    if version != VERSION:
        raise ValueError(f"its format has version {version!r}, and this program reads {VERSION}")
    spec = NetworkSpec.from_mapping(facts["spec"])
    if is_code(spec.backbone) and "#" not in spec.backbone:
        raise ValueError(f"its backbone {spec.backbone!r} is code without a digest")
    return ArtifactHeader(
        version=version,
        spec=spec,
        classes=_classes(facts["classes"], spec),
        quantized=_how_quantized(facts),
        shapes={name: tuple(entry["shape"]) for name, entry in facts["tensors"].items()},
        sparse={
            name: places_from(entry, math.prod(entry["shape"]))
            for name, entry in facts.get("sparse", {}).items()
        },
        sparse_shapes={
            name: tuple(entry["shape"]) for name, entry in facts.get("sparse", {}).items()
        },
    )


def _how_quantized(facts: Mapping[str, Any]) -> Quantized:
    for key, known in (("scheme", QUANTIZERS), ("scope", SCOPES)):
        if facts[key] not in known:
            raise ValueError(f"its weights are quantized by the unknown {key} {facts[key]!r}")
    planned = {}
    for name, entry in facts["tensors"].items():
        bits, levels = entry["bits"], entry.get("levels", name)
        top_code(bits)
        if not isinstance(bits, int) or not isinstance(levels, str):
            raise ValueError(f"{name} has {bits!r} bits and the levels {levels!r}")
        planned[name] = PlannedWeight(bits, levels)
    activations = facts.get(ACTIVATIONS, {"bits": FLOAT_BITS, "layers": 0})
    bits, layers = activations["bits"], activations["layers"]
    if not isinstance(layers, int) or bits not in (*range(2, 9), FLOAT_BITS):
        raise ValueError(f"{layers!r} layers have activations of {bits!r} bits")
    norms = facts.get("norms")
    if norms not in (None, MERGED):
        raise ValueError(f"its batch norms are stored in the unknown form {norms!r}")
    return Quantized(facts["scheme"], facts["scope"], planned, bits, layers, norms == MERGED)


def _finite_float(text: str) -> float:
    # Also for plain digits: 1e999 is infinite.
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"its header holds the number {text}")
    return value


def _classes(names: list[str] | None, spec: NetworkSpec) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the names of its classes are not a list of texts")
    if len(names) != spec.classes:
        raise ValueError(f"it names {len(names)} classes and tells {spec.classes} apart")
    return tuple(names)


def _check_tensors(
    container: _Container, header: ArtifactHeader, shapes: Mapping[str, Shape]
) -> None:
    """Make sure that the container holds the tensors of the architecture and nothing else."""
    for name, shape in (*header.shapes.items(), *header.sparse_shapes.items()):
        if shapes.get(name) != shape:
            raise ValueError(
                f"it describes {name} of shape {shape}, and its architecture has "
                f"{shapes.get(name, 'no such tensor')}"
            )
    expected = {
        tensor.name: (tensor.dtype, tensor.shape)
        for tensor in stored_tensors(shapes, header.quantized, header.sparse)
    }
    found = {}
    for name in container.keys():  # noqa: SIM118 - a container cannot be iterated over
        piece = container.get_slice(name)
        found[name] = (piece.get_dtype(), tuple(piece.get_shape()))
    if found == expected:
        return
    for name in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(name, "nothing"), found.get(name, "nothing")
        if wanted != there:
            raise ValueError(f"under {name} it holds {there}, and its architecture needs {wanted}")


def _activations(
    container: _Container, header: ArtifactHeader, names: tuple[str, ...]
) -> dict[str, ActivationLevels]:
    """Return the levels of the inputs of layers, by their names."""
    bits, layers = header.quantized.activation_bits, header.quantized.layers
    if not layers:
        return {}
    scales = _finite(container, ACTIVATIONS + SCALE).tolist()
    zeros = container.get_tensor(ACTIVATIONS + ZERO_POINT).tolist()
    found = [
        ActivationLevels(bits, scale, zero) for scale, zero in zip(scales, zeros, strict=True)
    ]
    if len(names) != layers or not all(e.scale > 0 and e.zero_point <= e.top for e in found):
        raise ValueError(f"its activations do not fit the {len(names)} layers of its architecture")
    return dict(zip(names, found, strict=True))


def _state(container: _Container, header: ArtifactHeader, network: Network) -> dict[str, Tensor]:
    stored = stored_shapes(network)
    names = [name for name in network.state_dict() if name in stored or is_counter(name)]
    merged = merged_statistics(names if header.quantized.merged_norms else ())
    return {
        name: merged_statistic(network, name)
        if name in merged
        else _weight(container, header, name)
        for name in names
    }


def _weight(container: _Container, header: ArtifactHeader, name: str) -> Tensor:
    if is_counter(name):
        return torch.zeros((), dtype=torch.int64)
    if name not in header.shapes:
        return torch.from_numpy(_float_weight(container, header, name))
    weight = dequantize(_quantized(container, header, name))
    if not torch.isfinite(weight).all():
        raise ValueError(f"{name} overflows float32")
    return weight


def _quantized(container: _Container, header: ArtifactHeader, name: str) -> QuantizedWeight:
    scheme, plan = header.quantized.scheme, header.quantized.weights[name]
    shape = header.shapes[name]
    count = header.sparse[name].kept if name in header.sparse else math.prod(shape)
    codes = unpack_codes(container.get_tensor(name + CODES), plan.bits, count)
    levels = _stored_levels(container, scheme, plan)
    if name in header.sparse:
        codes = _with_pruned(codes, _kept(container, header, name), _zero_codes(levels, name))
    return QuantizedWeight(torch.from_numpy(codes).reshape(shape), levels)


def _float_weight(container: _Container, header: ArtifactHeader, name: str) -> np.ndarray:
    if name not in header.sparse:
        return _finite(container, name)
    weight = np.zeros(header.sparse[name].count, np.float32)
    weight[_kept(container, header, name)] = _finite(container, name + VALUES)
    return weight.reshape(header.sparse_shapes[name])


def _kept(container: _Container, header: ArtifactHeader, name: str) -> Kept:
    return read_places(container.get_tensor(name + PLACES), header.sparse[name])


def _zero_codes(levels: Levels, name: str) -> np.ndarray:
    """Return the code of the weight zero in each group: int8 `(G,)`."""
    if levels.codebook is not None:
        is_zero = levels.codebook.numpy() == 0
        if not is_zero.any(axis=1).all():
            raise ValueError(f"{name} is pruned, and its codebook has no level zero")
        return np.asarray(is_zero.argmax(axis=1) + lowest_code(levels.bits), np.int8)
    if levels.zero_point is not None:
        return np.asarray(levels.zero_point)
    return np.zeros(levels.groups, np.int8)


def _with_pruned(codes: np.ndarray, kept: Kept, zeros: np.ndarray) -> np.ndarray:
    """Put the codes of kept weights to their places, and zeros everywhere else."""
    every: np.ndarray = np.repeat(zeros, kept.size // len(zeros))
    every[kept] = codes
    return every


def _stored_levels(container: _Container, scheme: str, plan: PlannedWeight) -> Levels:
    name, bits = plan.levels, plan.bits
    if scheme in CODEBOOKS:
        codebook = _finite(container, name + CODEBOOK)
        if (codebook[:, 1:] < codebook[:, :-1]).any():
            raise ValueError(f"{name}{CODEBOOK} holds levels that do not ascend")
        return Levels(bits, scheme, codebook=torch.from_numpy(codebook))
    scale = _finite(container, name + SCALE)
    if not (scale > 0).all():
        raise ValueError(f"{name}{SCALE} holds steps that are not positive")
    if scheme != "affine":
        return Levels(bits, scheme, scale=torch.from_numpy(scale))
    zero_point = container.get_tensor(name + ZERO_POINT)
    if ((zero_point < lowest_code(bits)) | (zero_point > top_code(bits))).any():
        raise ValueError(f"{name}{ZERO_POINT} holds codes that {bits} bits do not hold")
    return Levels(
        bits, scheme, scale=torch.from_numpy(scale), zero_point=torch.from_numpy(zero_point)
    )


def _finite(container: _Container, name: str) -> np.ndarray:
    array = container.get_tensor(name)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise ValueError(f"{bad} of {array.size} values of {name} are NaN or infinite")
    return array
