"""Settings with which no weight is quantized; importable without torch."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.packing_config import PackingConfig

UNQUANTIZED: Mapping[str, Any] = {
    **asdict(QuantizationConfig()),
    "packing": PackingConfig(),
    "rounding": "nearest",
    "calibration": CalibrationConfig(),
    "allocation": AllocationConfig(),
    "qat": "none",
}
"""Fields of a config with which no weight is quantized."""
