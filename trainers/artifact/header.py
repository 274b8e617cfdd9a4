"""What the header of a packed network says, of either version; importable without torch."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainers.artifact import compact
from trainers.artifact.packed_layout import ACTIVATIONS, KEY, MERGED, VERSION, Quantized
from trainers.artifact.sparse import Places, places_from
from trainers.networks.brought.registry import is_code
from trainers.networks.shapes import Shape
from trainers.networks.spec import NetworkSpec
from trainers.quantization.allocation import BIT_WIDTHS
from trainers.quantization.config import (
    CODEBOOK_BITS,
    FLOAT_BITS,
    QUANTIZERS,
    is_scope,
    lists_levels,
)
from trainers.quantization.packing_config import VECTOR_BITS
from trainers.quantization.planned import PlannedWeight

_OWN = re.compile(r"[\w.]+:\w+#[0-9a-f]{16}")


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
        entries: Of a compact header: type, shape and place of each tensor in `data`, by its name.
    """

    version: int
    spec: NetworkSpec
    classes: tuple[str, ...] | None
    quantized: Quantized
    shapes: Mapping[str, Shape]
    sparse: Mapping[str, Places]
    sparse_shapes: Mapping[str, Shape]
    entries: Mapping[str, Mapping[str, Any]] | None = None


def parsed_header(metadata: Mapping[str, str]) -> ArtifactHeader:
    """Read what the container of a packed network says of it.

    Args:
        metadata: The `__metadata__` of the container.

    Raises:
        ValueError: It is not that of a packed network of a known version; or, as for one of
            another form, KeyError, TypeError or AttributeError.

    >>> parsed_header({"format": "pt"})
    Traceback (most recent call last):
    ValueError: it is a safetensors file of another program (no 'paretune' in its header)
    """
    if KEY not in metadata:
        raise ValueError(f"it is a safetensors file of another program (no {KEY!r} in its header)")
    facts = json.loads(metadata[KEY], parse_float=_finite_float, parse_constant=_finite_float)
    version = facts["version"]
    entries = None
    if version == compact.VERSION:
        facts, entries = compact.written_out(facts)
    elif version != VERSION:
        raise ValueError(
            f"its format has version {version!r}, and this program reads {VERSION} and "
            f"{compact.VERSION}"
        )
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
        entries=entries,
    )


def _levels_of(facts: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return the quantizer, the scope and the bits of a listed level."""
    scheme, scope = facts["scheme"], facts["scope"]
    # The levels of a quantizer of a user's own are in the file: its code is not needed.
    if scheme not in QUANTIZERS and not _OWN.fullmatch(str(scheme)):
        raise ValueError(f"its weights are quantized by the unknown scheme {scheme!r}")
    if not is_scope(scope):
        raise ValueError(f"its weights are quantized by the unknown scope {scope!r}")
    bits = facts.get("codebook_bits", FLOAT_BITS)
    if bits not in CODEBOOK_BITS or (bits != FLOAT_BITS and not lists_levels(scheme)):
        raise ValueError(f"its levels of {scheme!r} have the unknown {bits!r} bits each")
    return scheme, scope, bits


def _how_quantized(facts: Mapping[str, Any]) -> Quantized:
    scheme, scope, codebooks = _levels_of(facts)
    planned = {}
    for name, entry in facts["tensors"].items():
        bits, levels = entry["bits"], entry.get("levels", name)
        if bits not in BIT_WIDTHS or not isinstance(bits, int) or not isinstance(levels, str):
            raise ValueError(f"{name} has {bits!r} bits and the levels {levels!r}")
        planned[name] = PlannedWeight(bits, levels)
    activations = facts.get(ACTIVATIONS, {"bits": FLOAT_BITS, "layers": 0})
    bits, layers = activations["bits"], activations["layers"]
    if not isinstance(layers, int) or bits not in (*BIT_WIDTHS, FLOAT_BITS):
        raise ValueError(f"{layers!r} layers have activations of {bits!r} bits")
    norms = facts.get("norms")
    if norms not in (None, MERGED):
        raise ValueError(f"its batch norms are stored in the unknown form {norms!r}")
    vectors = facts.get("vector_bits", FLOAT_BITS)
    if vectors not in VECTOR_BITS:
        raise ValueError(f"its vectors have {vectors!r} bits, and this program reads 32 and 16")
    merged = norms == MERGED
    return Quantized(scheme, scope, planned, bits, layers, merged, vectors, codebooks)


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
