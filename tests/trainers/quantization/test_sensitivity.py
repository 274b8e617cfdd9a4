"""How much a layer minds few bits: as if the whole network had been run each time."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainers.networks.network import build_network
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize
from trainers.quantization.rounding.network import Rounder
from trainers.quantization.sensitivity import FC, measure_sensitivity

CONFIG = QuantizationConfig(quantizer="affine", step="mse")
BITS = (2, 4)


def divergence(network: nn.Module, pixels: torch.Tensor, config: QuantizationConfig) -> float:
    """The whole network with the layers of the config quantized."""
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for name, weight in quantize_network(changed, config).items():
            changed.get_parameter(name).copy_(dequantize(weight))
        before, after = (each(pixels).double().log_softmax(1) for each in (network, changed))
    return float(functional.kl_div(after, before, reduction="batchmean", log_target=True))


# Looking for the best step of 19 layers, again for each number of bits, would take ten seconds.
@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "step"), [("digitnet", "mse"), ("cifar_resnet20", "absmax")])
def test_it_is_what_the_whole_network_says(backbone: str, step: str) -> None:
    asked = replace(CONFIG, step=step)
    network = build_network(backbone, weights="scratch", widths=(4,), classes=3).eval()
    shape = (network.spec.input.channels, 32, 32)
    pixels = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(network.state_dict())
    found = measure_sensitivity(
        network, asked, [pixels[:4], pixels[4:]], bits=BITS, cumulative=True
    )
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    convolutions = [each for each in found if each.name != FC]
    assert [each.number for each in convolutions] == list(range(1, len(convolutions) + 1))
    for layer in found:
        for bits in BITS:
            if layer.number is None:
                alone = replace(asked, fc_bits=bits)
                together = replace(alone, bits=bits)
            else:
                alone = replace(asked, layer_bits={layer.number: bits})
                upto = dict.fromkeys(range(1, layer.number + 1), bits)
                together = replace(asked, layer_bits=upto)
            for config, change in ((alone, layer.alone), (together, layer.cumulative)):
                expected = divergence(network, pixels, config)
                assert change[bits].divergence == pytest.approx(expected, rel=1e-3, abs=1e-7)


class Crossing(nn.Module):
    """Its parts do not follow one another: the last takes what the first one took."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.first(values) + self.second(values)  # type: ignore[no-any-return]


def test_a_network_that_is_no_chain_is_run_as_a_whole() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), Crossing(), nn.Linear(4, 3)).eval()
    pixels = torch.rand(5, 4)
    (found,) = measure_sensitivity(network, CONFIG, [pixels], bits=(2,))
    assert found.alone[2].divergence == pytest.approx(
        divergence(network, pixels, replace(CONFIG, fc_bits=2)), rel=1e-4
    )


def test_the_change_of_the_loss_needs_labels() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3)).eval()
    pixels, labels = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    (told,) = measure_sensitivity(network, CONFIG, [pixels], labels=labels, bits=(2,))
    (silent,) = measure_sensitivity(network, CONFIG, [pixels], bits=(2,))
    assert silent.alone[2].loss is None
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for name, weight in quantize_network(changed, replace(CONFIG, fc_bits=2)).items():
            changed.get_parameter(name).copy_(dequantize(weight))
        losses = [functional.cross_entropy(n(pixels), labels) for n in (changed, network)]
    assert told.alone[2].loss == pytest.approx(float(losses[0] - losses[1]), abs=1e-6)


def test_without_images_nothing_is_measured() -> None:
    with pytest.raises(ValueError, match="there are none"):
        measure_sensitivity(nn.Linear(4, 3), CONFIG, [])


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["bias_corrected", "gptq"])
def test_a_rounding_makes_good_for_most_of_what_few_bits_change(rounding: str) -> None:
    network = build_network("digitnet", weights="bundled", widths=(), classes=10).eval()
    network.requires_grad_(requires_grad=False)
    draws = torch.Generator().manual_seed(0)
    pixels, others = (torch.rand(24, 1, 28, 28, generator=draws) for _ in range(2))
    before = copy.deepcopy(network.state_dict())
    rounder = Rounder(
        network, lambda: iter([others]), rounding=rounding, calibration=CalibrationConfig()
    )
    nearest = measure_sensitivity(network, CONFIG, [pixels], bits=(2,), cumulative=True)
    found = measure_sensitivity(
        network, CONFIG, [pixels], bits=(2,), cumulative=True, rounder=rounder
    )
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    for of in ("alone", "cumulative"):
        lost, less = (
            sum(getattr(layer, of)[2].divergence for layer in layers)
            for layers in (nearest, found)
        )
        assert less < (0.5 if rounding == "gptq" else 0.9) * lost


@pytest.mark.slow
def test_codes_that_are_not_chosen_are_the_nearest() -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=3).eval()
    pixels = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    rounder = Rounder(
        network, lambda: iter([pixels]), rounding="nearest", calibration=CalibrationConfig()
    )
    plain = measure_sensitivity(network, CONFIG, [pixels], bits=BITS)
    assert measure_sensitivity(network, CONFIG, [pixels], bits=BITS, rounder=rounder) == plain
