"""The packed network: one safetensors file that holds what a device must hold.

The file is what `memory_bytes` weighs and what is evaluated. A quantized tensor `NAME` is stored
as `NAME.codes` (uint8, the bit stream of `trainers.quantization.packing`) and `NAME.scale`
(float32, one step for each output channel); every other tensor is stored as it is, in float32.
The counters `num_batches_tracked`, which no evaluation reads, are left out. The key `paretune` of
the container's `__metadata__` holds, as JSON, what is needed to rebuild the network:

    {"version": 1, "spec": {...}, "classes": [...] or null,
     "tensors": {NAME: {"scheme": "symmetric", "bits": 4, "shape": [16, 1, 3, 3]}, ...}}

Nothing in it varies from run to run, so that the size follows from the configuration alone.
"""

from trainers.artifact.reading import ArtifactHeader, load_artifact, read_header
from trainers.artifact.writing import ArtifactInfo, predict_bytes, write_artifact

__all__ = [
    "ArtifactHeader",
    "ArtifactInfo",
    "load_artifact",
    "predict_bytes",
    "read_header",
    "write_artifact",
]
