"""A backbone of a user's own that fails in the middle of a training is named, with its line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.networks.brought.facts import BroughtError
from trainers.networks.network import build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.rounding.network import round_network
from trainers.quantization.sensitivity import measure_sensitivity
from trainers.training.finetune import FineTuning
from trainers.trial.failures import failure_kind

NET = """
import torch
from torch import nn

class Net(nn.Module):
    image_size, mean, std = 8, [0.5], [0.25]

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)

    def forward(self, pixels):
        if len(pixels) > 2:
            RAISE
        return self.layer(pixels).mean((2, 3))
"""
LINE = "my_model.py:14 in forward"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def written(what: str) -> str:
        file = tmp_path / "my_model.py"
        file.write_text(NET.replace("RAISE", what))
        return f"{file}:Net"

    return written


@pytest.mark.parametrize("tune", ["all", "head"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("assert False", rf"AssertionError without a message \(.*{LINE}: assert False\)"),
        ("raise KeyError(3)", rf"KeyError: 3 \(.*{LINE}: raise KeyError\(3\)\)"),
        ("raise StopIteration", rf"StopIteration without a message \(.*{LINE}: raise"),
        ("raise ValueError('two at most')", rf"ValueError: two at most \(.*{LINE}\)"),
        ("pixels @ torch.ones(3, 3)", rf"RuntimeError: .* \(.*{LINE}\)"),
    ],
)
def test_what_it_raises_is_a_sentence(
    write: Callable[[str], str],
    bands: ImageData,
    make_config: Callable[..., TrialConfig],
    tune: str,
    what: str,
    said: str,
) -> None:
    given = make_config(backbone=write(what), weights="own", tune=tune, batch_size=4)
    mode = "train" if tune == "all" else "eval"
    called = (
        rf"^my_model:Net was called in {mode} mode with \d+ images of 1x8x8, and raised {said}"
    )
    with pytest.raises(BroughtError, match=called) as caught:
        FineTuning(given, bands, device=torch.device("cpu")).run_epoch()
    assert "Mend it for batches of any size" in str(caught.value)
    assert failure_kind(caught.value) == "error"


def test_what_ends_a_pass_on_purpose_ends_it_here_too(write: Callable[[str], str]) -> None:
    network = build_network(write("pass"), weights="own", widths=(), classes=3).eval()
    images = [torch.rand(4, 1, 8, 8)]
    (layer, _) = measure_sensitivity(network, QuantizationConfig(), images, bits=(2, 8))
    assert layer.alone[2].divergence > layer.alone[8].divergence
    nearest = quantize_network(network, QuantizationConfig(4, 4))
    rounded = round_network(
        network, nearest, lambda: iter(images), rounding="gptq", calibration=CalibrationConfig()
    )
    assert rounded.weights.keys() == nearest.keys()
