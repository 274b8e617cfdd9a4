"""What ``auto`` stands for in a trial: it follows from the bits, and changes nothing else."""

from collections.abc import Callable

import pytest

from trainers.config import TrialConfig
from trainers.quantization.allocation import AllocationConfig

Config = Callable[..., TrialConfig]


@pytest.mark.parametrize(
    ("given", "step", "rounding"),
    [
        ({"bits": 8, "fc_bits": 8}, "absmax", "nearest"),
        ({"bits": 8, "fc_bits": 4}, "mse", "gptq"),
        ({"bits": 8, "layer_bits": {2: 3}}, "mse", "gptq"),
        ({"bits": 3, "quantizer": "kmeans"}, "absmax", "gptq"),
        ({"bits": 3, "qat": "lsq"}, "absmax", "nearest"),
        ({"allocation": AllocationConfig(bytes=60_000)}, "mse", "gptq"),
        ({}, "absmax", "nearest"),
    ],
)
def test_it_follows_from_the_bits(
    make_config: Config, given: dict[str, object], step: str, rounding: str
) -> None:
    config = make_config(step="auto", rounding="auto", **given)
    assert config.quantization.step == step
    assert config.chosen_rounding == rounding
    assert config.is_calibrated is (rounding == "gptq")


def test_a_step_that_is_named_stays(make_config: Config) -> None:
    config = make_config(bits=3, step="percentile", rounding="auto")
    assert config.quantization.step == "percentile"
    config = make_config(bits=3, step="auto", rounding="nearest")
    assert config.quantization.step == "absmax"
