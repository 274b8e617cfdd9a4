"""The packed network: one safetensors file with all that a device must store.

`memory_bytes` is its size, and evaluation reads it. A quantized tensor `NAME` is stored as
`NAME.codes` (uint8, the bit stream of `trainers.quantization.packing`) and its levels:

- `NAME.scale` (float32, one step per group) if they are evenly spaced,
- `NAME.zero_point` (int8, one code per group) as well if they are not symmetric about zero,
- `NAME.codebook` (float32, `2**bits` levels per group) if they are listed; with
  `"codebook_bits": 8` in the header it is int8, in units of `NAME.scale` (one step per group).

There is one group for each output channel (scope `channel`), for up to N neighboring ones
(`channels:N`) or for the tensor (`layer`). Of G groups the output channel i of C belongs to
number `floor(i * G / C)`; for `channels:N` G is `ceil(C / N)`. In the scope `global` the levels of
several tensors are stored once, under a name of their own that the tensors' entries give as
`levels`. Every tensor that is not quantized is stored as it is, in float32.

Of a pruned tensor (`trainers.artifact.sparse`) only what is not pruned is stored, as `NAME.codes`
or, in float32, as `NAME.values`; `NAME.places` (uint8) says where it belongs, and the header has
an entry under `sparse`: `{NAME: {"shape": [...], "kept": 25, "gap_bits": 4, "gaps": 31}, ...}`,
without gaps for a bitmap.

Batch norms are stored as they are, or, if the header has `"norms": "merged"`, as a factor and a
term for each channel under the names of their weight and bias (`trainers.artifact.norms`).

The counters `num_batches_tracked`, which no evaluation reads, are left out. The key `paretune` of
the container's `__metadata__` holds, as JSON, what is needed to rebuild the network:

    {"version": 1, "spec": {...}, "classes": [...] or null,
     "scheme": "symmetric", "scope": "channel",
     "tensors": {NAME: {"bits": 4, "shape": [16, 1, 3, 3]}, ...}}

With `packing.header: compact` the version is 2, and the tensors are one, described by a tree
(`trainers.artifact.compact`). With `"vector_bits": 16` what would be a vector, a step or a
codebook in float32 is float16.

Nothing in it varies from run to run; without pruning its size follows from the configuration.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.artifact.header import ArtifactHeader
    from trainers.artifact.reading import load_artifact, read_header, read_quantized
    from trainers.artifact.storage import (
        StorageInfo,
        compress_artifact,
        decompress_artifact,
        read_storage,
    )
    from trainers.artifact.writing import ArtifactInfo, predict_bytes, write_artifact

__all__ = [
    "ArtifactHeader",
    "ArtifactInfo",
    "StorageInfo",
    "compress_artifact",
    "decompress_artifact",
    "load_artifact",
    "predict_bytes",
    "read_header",
    "read_quantized",
    "read_storage",
    "write_artifact",
]

_HOMES = {
    "ArtifactHeader": "header",
    "ArtifactInfo": "writing",
    "StorageInfo": "storage",
    "compress_artifact": "storage",
    "decompress_artifact": "storage",
    "load_artifact": "reading",
    "predict_bytes": "writing",
    "read_header": "reading",
    "read_quantized": "reading",
    "read_storage": "storage",
    "write_artifact": "writing",
}


def __getattr__(name: str) -> Any:
    # Imported on demand: the layout of a file, which gives its size, does not need torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
