"""Bytes of a packed network by layer, read from the header of its file alone, without torch."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.artifact.packed_layout import (
    CODEBOOK,
    CODES,
    KEY,
    PLACES,
    SCALE,
    VALUES,
    ZERO_POINT,
)
from trainers.errors import ArtifactError

_PARTS = (CODES, SCALE, ZERO_POINT, CODEBOOK, PLACES, VALUES)
_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # as safetensors has it
HEADER = "header"


@dataclass(frozen=True)
class PackedSizes:
    """The sizes of a packed network.

    Attributes:
        layers: Bytes by layer, in the order of the file, the header first; they add up to the
            file.
        bits: Bits of the weights of those layers that are quantized.
        classes: Names of the outputs; None if they have none.
    """

    layers: Mapping[str, int]
    bits: Mapping[str, int]
    classes: tuple[str, ...] | None


def read_sizes(path: Path) -> PackedSizes:
    """Read how many bytes each layer of a packed network takes.

    Raises:
        ArtifactError: The file is gone, or is not a packed network.

    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "model.safetensors")
    ...     facts = {"paretune": '{"tensors": {"fc.weight": {"bits": 4}}}'}
    ...     save_file({"fc.weight.codes": np.zeros(8, np.uint8)}, file, facts)
    ...     sizes = read_sizes(file)
    >>> sizes.layers["fc"], sizes.bits
    (8, {'fc': 4})
    """
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length:,} bytes")
            header = json.loads(file.read(length))
        facts = json.loads(header.pop("__metadata__")[KEY])
        layers = {HEADER: _LENGTH.size + length}
        for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            first, end = tensor["data_offsets"]
            layers[_layer(name)] = layers.get(_layer(name), 0) + end - first
        classes = facts.get("classes")
        return PackedSizes(layers, _bits(facts), tuple(map(str, classes)) if classes else None)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
    except (struct.error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is not a packed network, or is damaged: {error!r}."
        ) from error


def _bits(facts: Mapping[str, Any]) -> dict[str, int]:
    found = ((_layer(name), each["bits"]) for name, each in facts.get("tensors", {}).items())
    return {layer: int(bits) for layer, bits in found if math.isfinite(bits)}


def _layer(name: str) -> str:
    """The module that a tensor of the file belongs to: ``fc`` for ``fc.weight.codes``."""
    for part in _PARTS:
        name = name.removesuffix(part)
    return name.rpartition(".")[0] or name
