"""Read a packed network, and reject any other file with a clear message."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainers.artifact.compact import DATA
from trainers.artifact.header import ArtifactHeader, parsed_header
from trainers.artifact.layout import empty_network
from trainers.artifact.norms import merged_statistic
from trainers.artifact.packed_layout import (
    ACTIVATIONS,
    CODEBOOK,
    CODES,
    PLACES,
    SCALE,
    VALUES,
    ZERO_POINT,
    merged_statistics,
    stored_tensors,
)
from trainers.artifact.sparse import Kept, read_places
from trainers.doors import DoorError
from trainers.errors import ArtifactError
from trainers.networks.backbones.shapes import stored_shapes
from trainers.networks.network import Network
from trainers.networks.shapes import Shape, is_counter
from trainers.networks.sharing import share_kernels
from trainers.quantization.activations import (
    ActivationLevels,
    input_layers,
    quantize_activations,
)
from trainers.quantization.config import lists_levels
from trainers.quantization.packing import unpack_codes
from trainers.quantization.planned import PlannedWeight
from trainers.quantization.quantized import (
    Levels,
    QuantizedWeight,
    dequantize,
    groups_of_channels,
    lowest_code,
    top_code,
)


class _Container(Protocol):
    """Stored tensors by name."""

    def described(self) -> dict[str, tuple[str, Shape]]: ...
    def get_tensor(self, name: str) -> np.ndarray: ...


class _OneByOne:
    """Tensors that the container knows; `container` is what `safetensors.safe_open` gives."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def described(self) -> dict[str, tuple[str, Shape]]:
        found = {}
        for name in self._container.keys():  # noqa: SIM118 - a container cannot be iterated over
            piece = self._container.get_slice(name)
            found[name] = (piece.get_dtype(), tuple(piece.get_shape()))
        return found

    def get_tensor(self, name: str) -> np.ndarray:
        return _as_read(self._container.get_tensor(name))


class _InOnePiece:
    """Tensors that a compact header describes, all in the container's only one."""

    def __init__(self, container: Any, entries: Mapping[str, Mapping[str, Any]]) -> None:
        if list(container.keys()) != [DATA]:
            raise ValueError(f"its header is compact, and it holds more or less than {DATA!r}")
        self._data = container.get_tensor(DATA)
        self._entries = entries
        size = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        if self._data.dtype != np.uint8 or self._data.shape != (size,):
            raise ValueError(
                f"its header describes {size:,} bytes, and it holds {self._data.size:,}"
            )

    def described(self) -> dict[str, tuple[str, Shape]]:
        return {
            name: (entry["dtype"], tuple(entry["shape"])) for name, entry in self._entries.items()
        }

    def get_tensor(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        data = self._data[slice(*entry["data_offsets"])].tobytes()
        return _as_read(np.frombuffer(data, _NUMPY[entry["dtype"]]).reshape(entry["shape"]))


def _as_read(array: np.ndarray) -> np.ndarray:
    """Return floats in 32 bits, and what may be written to."""
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array if array.flags.writeable else array.copy()


_NUMPY = {"F32": "<f4", "F16": "<f2", "I8": "i1", "U8": "u1"}

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
            return parsed_header(container.metadata() or {})
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
        with _opened(path) as (header, container):
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
        with _opened(path) as (header, container):
            _check_tensors(container, header, stored_shapes(empty_network(header.spec)))
            return {name: _quantized(container, header, name) for name in header.shapes}
    except _REFUSALS as error:
        _refuse(path, error)


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[ArtifactHeader, _Container]]:
    with safe_open(path, framework="numpy") as container:
        header = parsed_header(container.metadata() or {})
        if header.entries is None:
            yield header, _OneByOne(container)
        else:
            yield header, _InOnePiece(container, header.entries)


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
    found = container.described()
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
        zeros = _zero_codes(levels, name)[groups_of_channels(levels.groups, shape[0]).numpy()]
        codes = _with_pruned(codes, _kept(container, header, name), zeros)
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
    """Put the codes of kept weights to their places, and those of zero everywhere else.

    Args:
        codes: Those of the kept weights.
        kept: Which weights these are.
        zeros: The code of zero in each output channel.
    """
    every: np.ndarray = np.repeat(zeros, kept.size // len(zeros))
    every[kept] = codes
    return every


def _stored_levels(container: _Container, scheme: str, plan: PlannedWeight) -> Levels:
    name, bits = plan.levels, plan.bits
    codebook = None
    if lists_levels(scheme):
        codebook = torch.from_numpy(_finite(container, name + CODEBOOK))
        if (codebook[:, 1:] < codebook[:, :-1]).any():
            raise ValueError(f"{name}{CODEBOOK} holds levels that do not ascend")
        if codebook.is_floating_point():
            return Levels(bits, scheme, codebook=codebook)
    scale = _finite(container, name + SCALE)
    if not (scale > 0).all():
        raise ValueError(f"{name}{SCALE} holds steps that are not positive")
    if codebook is not None:
        step = torch.from_numpy(scale)
        return Levels(bits, scheme, codebook=codebook * step.unsqueeze(1), entry_step=step)
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
