"""The time that a packed network takes for one image, on one thread of this machine's CPU."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.artifact import load_artifact
from trainers.determinism import set_threads
from trainers.onnx.latency import OnnxError, OnnxNetwork, cpu_latency, require_onnx

# Of single images, one after another; at least 20 of them.
_SECONDS = 1.0


def measure_latency(artifact: Path, *, threads: int) -> dict[str, float]:
    """Time a packed network, in onnxruntime where it is installed, else in torch.

    Weights are decoded to float32 before, in either: bits do not change the time.

    Args:
        artifact: The packed network.
        threads: Threads of torch afterwards; one is used for the measurement.

    Returns:
        ``latency_ms``, the median; ``latency_runs``, of how many images; and
        ``latency_by_onnxruntime``, 1 or 0.

    Raises:
        OnnxError: The packages are installed, but the network cannot be written as ONNX.
    """
    network = load_artifact(artifact)
    by_onnx = _has_onnx()
    set_threads(1)
    try:
        if by_onnx:
            # Imported here: torch's exporter takes seconds to load.
            from trainers.onnx.export import export_onnx

            with tempfile.TemporaryDirectory(prefix="paretune-latency-") as folder:
                path = export_onnx(artifact, Path(folder) / "network.onnx").path
                timed = cpu_latency(
                    OnnxNetwork(path, fold=True), network.spec.input, seconds=_SECONDS
                )
        else:
            timed = cpu_latency(_TorchNetwork(network), network.spec.input, seconds=_SECONDS)
    finally:
        set_threads(threads)
    return {
        "latency_ms": timed.latency_ms,
        "latency_runs": float(timed.runs),
        "latency_by_onnxruntime": float(by_onnx),
    }


def _has_onnx() -> bool:
    try:
        require_onnx()
    except OnnxError:
        return False
    return True


class _TorchNetwork:
    """A network that computes with arrays, as `OnnxNetwork` does."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits (N, classes) of pixels (N, C, H, W) in [0, 1]."""
        with torch.inference_mode():
            answer: NDArray[np.float32] = self._network(torch.from_numpy(pixels)).numpy()
        return answer
