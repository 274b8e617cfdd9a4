"""Networks in ONNX files, run on the CPU through onnxruntime."""

import importlib
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainers.errors import TrainerError

if TYPE_CHECKING:
    from trainers.networks.spec import InputSpec

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# On onnxruntime's scale, where warnings are 2: they would go to the terminal.
_ERRORS_ONLY = 3
_WARM_UP_RUNS = 5
_LEAST_RUNS = 20


class OnnxError(TrainerError):
    """A network cannot be written as ONNX, or its ONNX form gives other results."""


@dataclass(frozen=True)
class Latency:
    """The latency of a network for one image on this machine's CPU.

    Attributes:
        latency_ms: Median of the runs in milliseconds; batch size 1, one thread.
        runs: Number of timed runs.
    """

    latency_ms: float
    runs: int


def require_onnx() -> None:
    """Check that the optional packages for ONNX are installed.

    Raises:
        OnnxError: A package is missing; the message says how to install it.
    """
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            raise OnnxError(
                f"ONNX needs the packages {', '.join(PACKAGES)}, and {name} is not installed. "
                f"Install them with: pip install 'paretune[onnx]'"
            ) from None


class OnnxNetwork:
    """An ONNX file with one input and one output, on one thread of the CPU.

    Args:
        path: The file.
        fold: Whether int8 weights are turned into float32 once, when the file is opened, rather
            than in every run.
    """

    def __init__(self, path: Path, *, fold: bool = False) -> None:
        require_onnx()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        if fold:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits (N, classes) of pixels (N, C, H, W) in [0, 1]."""
        (answer,) = self._session.run(None, {self._input: pixels})
        logits: NDArray[np.float32] = answer
        return logits


def random_pixels(spec: "InputSpec", count: int) -> NDArray[np.float32]:
    """Draw noise in [0, 1] of the input size of a network, the same in every call.

    >>> from trainers.networks.backbone_table import backbone_info
    >>> from trainers.networks.spec import input_spec
    >>> random_pixels(input_spec(backbone_info("digitnet"), None), 2).shape
    (2, 1, 28, 28)
    """
    shape = (count, spec.channels, spec.height, spec.width)
    return np.random.default_rng(0).random(shape, dtype=np.float32)


class TimedNetwork(Protocol):
    """What can be timed."""

    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits (N, classes) of pixels (N, C, H, W) in [0, 1]."""


def cpu_latency(network: TimedNetwork, spec: "InputSpec", *, seconds: float = 1.0) -> Latency:
    """Time single images, one after another on one thread, after a few warm-up runs.

    Args:
        network: The network to time.
        spec: Its input.
        seconds: Duration; at least 20 images are timed.
    """
    pixels = random_pixels(spec, 1)
    for _ in range(_WARM_UP_RUNS):
        network.logits(pixels)
    took: list[float] = []
    until = time.perf_counter() + seconds
    while len(took) < _LEAST_RUNS or time.perf_counter() < until:
        began = time.perf_counter()
        network.logits(pixels)
        took.append(time.perf_counter() - began)
    return Latency(1000 * statistics.median(took), len(took))
