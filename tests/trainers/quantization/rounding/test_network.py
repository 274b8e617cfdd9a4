"""A whole network is rounded: what its layers see, what is corrected, what is left alone."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from trainers.quantization import QuantizationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize
from trainers.quantization.rounding.moments import is_supported, moments_of
from trainers.quantization.rounding.network import Rounded, divergence, round_network

PLAIN = CalibrationConfig()
NORMS = CalibrationConfig(batch_norm=True)


def small() -> nn.Module:
    """Convolutions with a batch norm, without and with a bias, one without it, and FC layers."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 16, 10),
        nn.ReLU(),
        nn.Linear(10, 4),
    )
    for batch in images(seed=1):
        network.train()(batch)
    return network.eval().requires_grad_(requires_grad=False)


def images(seed: int = 0) -> Iterator[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    for _ in range(3):
        smooth = torch.randn(20, 1, 3, 3, generator=draws)
        yield nn.functional.interpolate(smooth, (8, 8), mode="bilinear")


def with_weights(network: nn.Module, rounded: Rounded) -> nn.Module:
    changed = copy.deepcopy(network)
    state = changed.state_dict()
    for name, weight in rounded.weights.items():
        state[name].copy_(dequantize(weight))
    for name, tensor in rounded.floats.items():
        state[name].copy_(tensor)
    return changed


def rounded_to(
    bits: int, rounding: str, calibration: CalibrationConfig = PLAIN, quantizer: str = "symmetric"
) -> tuple[nn.Module, Rounded, nn.Module]:
    network = small()
    nearest = quantize_network(network, QuantizationConfig(bits, bits, quantizer))
    before = copy.deepcopy(network.state_dict())
    rounded = round_network(network, nearest, images, rounding=rounding, calibration=calibration)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    return network, rounded, with_weights(network, rounded)


def outputs(network: nn.Module, layer: int) -> Tensor:
    return torch.cat([network[: layer + 1](batch) for batch in images()])  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["gptq", "adaround"])
@pytest.mark.parametrize("quantizer", ["symmetric", "kmeans"])
def test_predictions_stay_closer_than_with_the_nearest_codes_on_other_images(
    rounding: str, quantizer: str
) -> None:
    network, _, nearest = rounded_to(3, "nearest", quantizer=quantizer)
    _, _, changed = rounded_to(3, rounding, quantizer=quantizer)
    others = lambda: images(seed=7)  # noqa: E731 - what begins the images anew
    assert divergence(network, changed, others) < 0.6 * divergence(network, nearest, others)
    assert divergence(network, network, others) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["bias_corrected", "gptq"])
@pytest.mark.parametrize("layer", [1, 4, 6])
def test_the_mean_of_each_channel_is_that_of_the_float_network(rounding: str, layer: int) -> None:
    network, rounded, changed = rounded_to(2, rounding)
    before, after = (outputs(each, layer).mean((0, 2, 3)) for each in (network, changed))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)
    # In the batch norm behind it, or else in its bias.
    assert rounded.floats.keys() == {
        "1.running_mean",
        "1.running_var",
        "4.running_mean",
        "4.running_var",
        "6.bias",
        "9.bias",
        "11.bias",
    }


@pytest.mark.parametrize("layer", [1, 4])
def test_batch_norms_can_keep_the_variance_too(layer: int) -> None:
    network, _, changed = rounded_to(2, "nearest", NORMS)
    before, after = (outputs(each, layer) for each in (network, changed))
    for moment in (torch.mean, torch.var):
        torch.testing.assert_close(
            moment(after, (0, 2, 3)), moment(before, (0, 2, 3)), atol=1e-3, rtol=1e-2
        )


def test_nothing_is_corrected_unasked() -> None:
    network, rounded, _ = rounded_to(4, "nearest")
    assert not rounded.floats
    nearest = quantize_network(network, QuantizationConfig(4, 4))
    assert all(torch.equal(rounded.weights[n].codes, w.codes) for n, w in nearest.items())


def test_levels_stay_and_layers_in_float_are_left_alone() -> None:
    network = small()
    config = QuantizationConfig(3, 32, "affine", layer_bits={2: 32})
    nearest = quantize_network(network, config)
    rounded = round_network(network, nearest, images, rounding="gptq", calibration=PLAIN)
    assert rounded.weights.keys() == {"0.weight", "6.weight"}
    assert all(rounded.weights[name].levels is nearest[name].levels for name in nearest)
    assert rounded.floats.keys() == {"1.running_mean", "1.running_var", "6.bias"}


def test_moments_are_those_of_what_each_output_is_computed_from() -> None:
    torch.manual_seed(3)
    layer = nn.Conv2d(4, 6, 3, groups=2, stride=2, padding=1, bias=False)
    before, after = torch.randn(5, 4, 7, 7), torch.randn(5, 4, 7, 7)
    moments = moments_of(layer.requires_grad_(requires_grad=False), iter([(before, after)]), 5)
    assert moments.second.shape == (2, 18, 18)
    output = layer(before).double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(moments.output_mean, output.mean(1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        moments.output_variance, output.var(1, unbiased=False), atol=1e-6, rtol=1e-5
    )
    rows = layer.weight.double().reshape(2, 3, 18)
    variance = (rows @ moments.second * rows).sum(2).flatten()
    expected = layer(after).double().transpose(0, 1).flatten(1).var(1, unbiased=False)
    torch.testing.assert_close(variance, expected, atol=1e-6, rtol=1e-5)
    product = (layer(before - after) * layer(after)).double().transpose(0, 1).flatten(1).mean(1)
    means = [layer(each).double().transpose(0, 1).flatten(1).mean(1) for each in (before, after)]
    expected = product - (means[0] - means[1]) * means[1]
    torch.testing.assert_close(
        (rows @ moments.cross * rows).sum(2).flatten(), expected, atol=1e-6, rtol=1e-5
    )


def test_a_network_whose_activations_overflow_keeps_its_nearest_codes() -> None:
    network = small()
    network.get_parameter("0.weight").mul_(1e30)
    network.get_buffer("1.running_var").fill_(1e-30)
    nearest = quantize_network(network, QuantizationConfig(3, 3))
    rounded = round_network(network, nearest, images, rounding="gptq", calibration=PLAIN)
    assert torch.equal(rounded.weights["9.weight"].codes, nearest["9.weight"].codes)


def test_inputs_far_from_zero_do_not_blur_their_moments() -> None:
    torch.manual_seed(4)
    layer = nn.Linear(3, 2).requires_grad_(requires_grad=False)
    inputs = 1000 + torch.randn(500, 3)
    moments = moments_of(layer, iter([(inputs[:250],) * 2, (inputs[250:],) * 2]), 500)
    expected = torch.cov(inputs.double().T, correction=0)
    torch.testing.assert_close(moments.second[0], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moments.mean[0], inputs.double().mean(0), atol=1e-4, rtol=1e-7)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Linear(8192, 1), True),
        (nn.Linear(8193, 1), False),
        (nn.Conv2d(2, 2, 3, padding="same"), False),
        (nn.Conv2d(2, 2, 3, padding_mode="circular", padding=1), False),
        (nn.Conv1d(2, 2, 3), False),
        (nn.Conv2d(2, 2, 3), True),
    ],
)
def test_other_layers_keep_their_nearest_codes(layer: nn.Module, expected: bool) -> None:
    assert is_supported(layer) is expected
