"""What can be asked of a quantization, without torch."""

import subprocess
import sys
from typing import Any

import pytest

from trainers.quantization import QuantizationConfig
from trainers.quantization.config import check_qat


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"bits": 1},
            "bits is 1; a weight has an integer of bits from 2 to 8 or 32, which leaves",
        ),
        ({"bits": True}, "bits is True"),
        ({"fc_bits": 9}, "fc_bits is 9"),
        ({"fc_bits": 4.0}, r"fc_bits is 4\.0"),
        ({"quantizer": "uniform"}, "quantizer is 'uniform'; known are symmetric, affine"),
        (
            {"scope": "tensor"},
            r"scope is 'tensor'; known are channel, channels:N \(say, channels:16\), layer",
        ),
        ({"scope": "channels:1"}, "scope is 'channels:1'; known are"),
        ({"scope": "channels:0"}, "scope is 'channels:0'; known are"),
        ({"codebook_bits": 16}, "codebook_bits is 16; a level of a codebook has 8 bits, an int"),
        ({"codebook_bits": True}, "codebook_bits is True"),
        ({"layer_bits": {0: 4}}, "names the convolution 0; convolutions are numbered from 1"),
        ({"layer_bits": {"1": 4}}, "names the convolution '1'"),
        ({"layer_bits": {3: 1}}, "bits_3 is 1"),
        ({"step": "max"}, "step is 'max'; known are absmax, mse, percentile, lp"),
        ({"rate_weight": -1.0}, r"rate_weight is -1\.0; it goes from 0 to 1000"),
        ({"rate_weight": float("nan")}, "rate_weight is nan"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuantizationConfig(**given)


@pytest.mark.parametrize(
    ("qat", "quantizer", "scope"),
    [
        ("lsq", "affine", "channel"),
        ("absmax", "kmeans", "layer"),
        ("absmax", "symmetric", "global"),
        ("lsq", "symmetric", "channels:4"),
    ],
)
def test_training_needs_symmetric_levels_of_a_channel_or_layer(
    qat: str, quantizer: str, scope: str
) -> None:
    with pytest.raises(ValueError, match="takes the quantizer 'symmetric' and the scope"):
        check_qat(qat, quantizer, scope)


def test_other_ways_of_training_are_unknown() -> None:
    for qat in ("none", "absmax", "lsq"):
        check_qat(qat, "symmetric", "layer")
    check_qat("none", "entropy", "global")
    with pytest.raises(ValueError, match="qat is 'ste'; known are none, absmax, lsq"):
        check_qat("ste", "symmetric", "channel")


def test_a_config_is_read_without_torch() -> None:
    code = "import sys, trainers.quantization; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)
