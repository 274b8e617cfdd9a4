"""The layout of the bytes of a packed network; importable without torch."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from trainers.artifact import compact
from trainers.artifact.sparse import Places
from trainers.networks.shapes import Shape, TensorShapes
from trainers.networks.spec import NetworkSpec
from trainers.quantization.config import (
    FLOAT_BITS,
    QuantizationConfig,
    group_count,
    lists_levels,
)
from trainers.quantization.packing import packed_bytes
from trainers.quantization.planned import PlannedWeight, plan_weights

VERSION = 1
KEY = "paretune"
CODES = ".codes"
SCALE = ".scale"
ZERO_POINT = ".zero_point"
CODEBOOK = ".codebook"
VALUES = ".values"
PLACES = ".places"
ACTIVATIONS = "activations"
"""Where the levels of activations are stored, one of each layer."""

STATISTICS = ("running_mean", "running_var")
"""Last parts of the names of a batch norm's means and variances."""

MERGED = "merged"
"""Of batch norms, in the header: two vectors each."""

ALL_DENSE: Mapping[str, Places] = MappingProxyType({})
"""Of a network in which nothing is pruned."""

HEAD = "head."


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the container.

    Attributes:
        name: As in the container.
        dtype: `F32`, `F16`, `I8` or `U8`, as safetensors calls them.
        shape: As in the container.
    """

    name: str
    dtype: str
    shape: Shape

    @property
    def bytes(self) -> int:
        """Bytes of its data."""
        return math.prod(self.shape) * compact.SIZES[self.dtype]


@dataclass(frozen=True)
class Quantized:
    """Which tensors are quantized, and how.

    Attributes:
        scheme: A name of `trainers.quantization.config.QUANTIZERS`.
        scope: As `QuantizationConfig` takes it.
        weights: Bits and levels of each, by its name in the network.
        activation_bits: Bits of the inputs of layers.
        layers: How many layers have levels for their inputs; 0 with float32 activations.
        merged_norms: Whether batch norms are stored as two vectors, without statistics.
        vector_bits: Bits of floats in vectors, steps and codebooks.
        codebook_bits: Bits of a level in codebooks, as `QuantizationConfig` takes them; 32 without
            codebooks.
    """

    scheme: str
    scope: str
    weights: Mapping[str, PlannedWeight]
    activation_bits: int = FLOAT_BITS
    layers: int = 0
    merged_norms: bool = False
    vector_bits: int = FLOAT_BITS
    codebook_bits: int = FLOAT_BITS

    @property
    def vector_type(self) -> str:
        """Type of floats in vectors, steps and codebooks."""
        return "F32" if self.vector_bits == FLOAT_BITS else "F16"


@dataclass(frozen=True)
class Layout:
    """The header and the tensors of a packed network.

    Attributes:
        header: The first bytes of the file: the length of the JSON, then the JSON.
        tensors: The tensors that follow, in this order and without gaps.
        quantized: Which tensors of the network are stored as codes.
        shapes: Shapes of all tensors of the network that are stored, by their names there.
        sparse: How the places of pruned tensors are stored.
    """

    header: bytes
    tensors: tuple[StoredTensor, ...]
    quantized: Quantized
    shapes: Mapping[str, Shape]
    sparse: Mapping[str, Places]

    @property
    def bytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + sum(tensor.bytes for tensor in self.tensors)

    @property
    def head_bytes(self) -> int:
        """Data of the tensors of the fully connected head."""
        return sum(tensor.bytes for tensor in self.tensors if tensor.name.startswith(HEAD))

    @property
    def backbone_bytes(self) -> int:
        """Data of all other tensors; the header belongs to neither."""
        return self.bytes - len(self.header) - self.head_bytes


def packed_layout(
    spec: NetworkSpec,
    shapes: TensorShapes,
    quantization: QuantizationConfig,
    classes: Sequence[str] | None,
    sparse: Mapping[str, Places] = ALL_DENSE,
    *,
    merge_norms: bool = False,
) -> Layout:
    """Compute the layout of a packed network, which need not exist.

    Args:
        spec: The architecture.
        shapes: Shapes of all its tensors.
        quantization: Quantization of its weights.
        classes: Names of its outputs, or None.
        sparse: How the places of pruned tensors are stored; all others are dense.
        merge_norms: Whether to store batch norms as two vectors, as `quantization.packing` can
            say too.

    Raises:
        ValueError: `quantization` names a convolution that the network does not have, or
            the number of `classes` is not that of the network.

    >>> from trainers.networks.backbones.shapes import backbone_shapes
    >>> from trainers.networks.shapes import network_shapes
    >>> from trainers.networks.spec import spec_of
    >>> spec = spec_of("digitnet", (), 2)
    >>> shapes = network_shapes(backbone_shapes("digitnet"), spec)
    >>> packed_layout(spec, shapes, QuantizationConfig(bits=4), None).head_bytes  # 2 x 577 floats
    4616
    """
    _check_classes(classes, spec)
    stored = shapes.stored
    quantized = _quantized(shapes, quantization, merge_norms=merge_norms)
    planned = quantized.weights
    tensors = stored_tensors(stored, quantized, sparse)
    facts = {
        "version": VERSION,
        "spec": spec.as_mapping(),
        "classes": None if classes is None else list(classes),
        "scheme": quantized.scheme,
        "scope": quantized.scope,
        "tensors": {name: _entry(name, plan, stored[name]) for name, plan in planned.items()},
        # Left out otherwise, so that such files are what they always were.
        **_later_facts(stored, quantized, sparse),
    }
    if quantization.packing.header == "compact":
        header, tensors = _compact_header(facts, tensors, stored, planned)
    else:
        header = _container_header(facts, tensors)
    return Layout(header, tensors, quantized, stored, sparse)


def _quantized(
    shapes: TensorShapes, quantization: QuantizationConfig, *, merge_norms: bool
) -> Quantized:
    is_float = quantization.activation_bits == FLOAT_BITS
    return Quantized(
        quantization.quantizer,
        quantization.scope,
        plan_weights(shapes.is_convolution, quantization),
        quantization.activation_bits,
        0 if is_float else len(shapes.is_convolution),
        quantization.packing.merge_norms or merge_norms,
        quantization.packing.vector_bits,
        quantization.codebook_bits if lists_levels(quantization.quantizer) else FLOAT_BITS,
    )


def _later_facts(
    stored: Mapping[str, Shape], quantized: Quantized, sparse: Mapping[str, Places]
) -> dict[str, Any]:
    """Return what the header has of settings that are not the default."""
    facts: dict[str, Any] = {}
    if quantized.layers:
        facts[ACTIVATIONS] = {"bits": quantized.activation_bits, "layers": quantized.layers}
    if quantized.merged_norms:
        facts["norms"] = MERGED
    if quantized.vector_bits != FLOAT_BITS:
        facts["vector_bits"] = quantized.vector_bits
    if quantized.codebook_bits != FLOAT_BITS:
        facts["codebook_bits"] = quantized.codebook_bits
    if sparse:
        facts["sparse"] = {
            name: {"shape": list(stored[name]), **places.as_mapping()}
            for name, places in sparse.items()
        }
    return facts


def _compact_header(
    facts: Mapping[str, Any],
    tensors: Sequence[StoredTensor],
    stored: Mapping[str, Shape],
    planned: Mapping[str, PlannedWeight],
) -> tuple[bytes, tuple[StoredTensor, ...]]:
    """Return a header of equal parts, and the tensors in its order."""
    leaves: dict[str, compact.Leaf] = {each.name: (each.dtype, *each.shape) for each in tensors}
    for name, plan in planned.items():
        shared = [] if plan.levels == name else [plan.levels]
        codes = [plan.bits, list(stored[name]), *shared]
        leaves[name + CODES] = (*leaves[name + CODES], codes)
    nodes = compact.nodes_of(leaves)
    short = {name: value for name, value in facts.items() if name != "tensors"}
    short |= {"version": compact.VERSION, compact.NODES: nodes}
    named = {each.name: each for each in tensors}
    size = sum(each.bytes for each in tensors)
    header = _container_header(short, [StoredTensor(compact.DATA, "U8", (size,))])
    return header, tuple(named[name] for name in compact.leaves_of(nodes))


def _check_classes(classes: Sequence[str] | None, spec: NetworkSpec) -> None:
    if classes is not None and len(classes) != spec.classes:
        raise ValueError(
            f"{len(classes)} names of classes were given for a network with {spec.classes} "
            f"outputs; give one for each, or None."
        )


def _entry(name: str, plan: PlannedWeight, shape: Shape) -> dict[str, Any]:
    entry: dict[str, Any] = {"bits": plan.bits, "shape": list(shape)}
    return entry if plan.levels == name else entry | {"levels": plan.levels}


def stored_tensors(
    shapes: Mapping[str, Shape], quantized: Quantized, sparse: Mapping[str, Places] = ALL_DENSE
) -> tuple[StoredTensor, ...]:
    """List the tensors of the container, wide types first, so that each is aligned.

    Raises:
        ValueError: Weights would share levels although their levels differ in shape.

    >>> stored_tensors({"head.0.bias": (2,)}, Quantized("symmetric", "channel", {}))
    (StoredTensor(name='head.0.bias', dtype='F32', shape=(2,)),)
    """
    planned = quantized.weights
    stored: dict[str, StoredTensor] = {}
    dropped = merged_statistics(shapes if quantized.merged_norms else ())
    for name, shape in shapes.items():
        dtype = quantized.vector_type if len(shape) <= 1 else "F32"
        parts = [] if name in dropped else [StoredTensor(name, dtype, shape)]
        if name in planned:
            parts = _levels(planned[name], shape, quantized)
        elif name in sparse:
            parts = [StoredTensor(name + VALUES, "F32", (sparse[name].kept,))]
        for part in parts:
            if stored.setdefault(part.name, part) != part:
                raise ValueError(f"{name} shares {part.name} with a weight of other levels")
    for name, plan in planned.items():
        count = sparse[name].kept if name in sparse else math.prod(shapes[name])
        stored[name + CODES] = StoredTensor(name + CODES, "U8", (packed_bytes(count, plan.bits),))
    for name, places in sparse.items():
        stored[name + PLACES] = StoredTensor(name + PLACES, "U8", (places.bytes,))
    stored |= _activation_tensors(quantized)
    return tuple(sorted(stored.values(), key=lambda tensor: -compact.SIZES[tensor.dtype]))


def merged_statistics(names: Iterable[str]) -> frozenset[str]:
    """Return the means and variances that merged batch norms do without.

    >>> sorted(merged_statistics([f"1.{part}" for part in ("weight", "bias", *STATISTICS)]))
    ['1.running_mean', '1.running_var']
    """
    given = frozenset(names)
    norms = {name.removesuffix(".running_mean") for name in given if name.endswith("running_mean")}
    return frozenset(
        f"{norm}.{part}"
        for norm in norms
        if {f"{norm}.{part}" for part in ("weight", "bias", "running_var")} <= given
        for part in STATISTICS
    )


def _activation_tensors(quantized: Quantized) -> dict[str, StoredTensor]:
    if not quantized.layers:
        return {}
    parts = ((ACTIVATIONS + SCALE, "F32"), (ACTIVATIONS + ZERO_POINT, "U8"))
    return {name: StoredTensor(name, dtype, (quantized.layers,)) for name, dtype in parts}


def _levels(plan: PlannedWeight, shape: Shape, quantized: Quantized) -> list[StoredTensor]:
    """Return the tensors that a weight is decoded with."""
    groups, floats = group_count(quantized.scope, shape[0]), quantized.vector_type
    scale = StoredTensor(plan.levels + SCALE, floats, (groups,))
    if lists_levels(quantized.scheme):
        codebook = (groups, 1 << plan.bits)
        if quantized.codebook_bits == FLOAT_BITS:
            return [StoredTensor(plan.levels + CODEBOOK, floats, codebook)]
        return [scale, StoredTensor(plan.levels + CODEBOOK, "I8", codebook)]
    if quantized.scheme == "affine":
        return [scale, StoredTensor(plan.levels + ZERO_POINT, "I8", (groups,))]
    return [scale]


def _container_header(facts: Mapping[str, Any], tensors: Sequence[StoredTensor]) -> bytes:
    """Build a header as in https://github.com/huggingface/safetensors#format.

    Built here and not by the library, so that the size of a file does not depend on the library's
    version and is known without the tensors.
    """
    header: dict[str, Any] = {"__metadata__": {KEY: _compact(facts)}}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.bytes
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [offset, end],
        }
        offset = end
    text = _compact(header).encode("ascii")
    # Spaces after the JSON are allowed; with them the data begin at a multiple of eight.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
