"""Codes learned block by block: what the outputs of blocks lose, and what stays as it was."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.networks.network import build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize
from trainers.quantization.rounding import blocks
from trainers.quantization.rounding.blocks import blocks_of, learned_block
from trainers.quantization.rounding.network import Rounded, round_network

PLAIN = CalibrationConfig()


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for networks as small as these."""
    monkeypatch.setattr(blocks, "STEPS", 120)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norm(self.conv1(x)))
        return functional.relu(self.conv2(inner) + x)


class _Blocks(nn.Module):
    """A stem, which is a sequence of the network's modules, a residual block, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.act, self.body = nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), _Residual()
        self.head = nn.Linear(6 * 36, 3)
        self.blocks = [nn.Sequential(self.stem), self.body]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.act(self.stem(x))).flatten(1))
        return logits


def network() -> _Blocks:
    found = _Blocks().eval()
    found.requires_grad_(requires_grad=False)
    return found


def images() -> Iterator[Tensor]:
    draws = torch.Generator().manual_seed(2)
    for _ in range(3):
        yield functional.interpolate(torch.randn(16, 1, 3, 3, generator=draws), (8, 8))


def rounded(float_network: nn.Module, rounding: str, quantizer: str = "affine") -> Rounded:
    nearest = quantize_network(float_network, QuantizationConfig(2, 2, quantizer, step="mse"))
    return round_network(float_network, nearest, images, rounding=rounding, calibration=PLAIN)


def outputs(float_network: _Blocks, found: Rounded | None) -> Tensor:
    """What the residual block puts out."""
    changed = copy.deepcopy(float_network)
    if found is not None:
        state = changed.state_dict()
        for name, weight in found.weights.items():
            state[name].copy_(dequantize(weight))
        for name, tensor in found.floats.items():
            state[name].copy_(tensor)
    return torch.cat([changed.body(changed.act(changed.stem(batch))) for batch in images()])


def test_the_outputs_of_blocks_lose_less_than_layer_by_layer() -> None:
    plain = network()
    target = outputs(plain, None)
    errors = [
        float((outputs(plain, rounded(plain, each)) - target).square().mean())
        for each in ("adaround", "brecq")
    ]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("quantizer", ["symmetric", "affine", "kmeans"])
def test_levels_zeros_and_the_network_stay_and_a_seed_decides_the_codes(quantizer: str) -> None:
    plain = network()
    plain.get_parameter("body.conv1.weight")[:, ::2] = 0
    before = copy.deepcopy(plain.state_dict())
    first, again = (rounded(plain, "brecq", quantizer) for _ in range(2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())
    nearest = quantize_network(plain, QuantizationConfig(2, 2, quantizer, step="mse"))
    assert first.weights.keys() == nearest.keys()
    for name, weight in first.weights.items():
        assert torch.equal(weight.codes, again.weights[name].codes)
        for part in ("scale", "zero_point", "codebook"):
            one, other = (getattr(each.levels, part) for each in (weight, nearest[name]))
            assert one is None or torch.equal(one, other)
    assert (dequantize(first.weights["body.conv1.weight"])[:, ::2] == 0).all()


def test_layers_outside_of_blocks_and_networks_without_any_are_rounded_layer_by_layer() -> None:
    plain = network()
    del plain.blocks
    alone, layered = (rounded(plain, each) for each in ("brecq", "adaround"))
    for name, weight in alone.weights.items():
        assert torch.equal(weight.codes, layered.weights[name].codes)


def test_codes_that_do_not_help_on_other_images_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, told = network(), iter([0.1, 0.1, 0.1])
    weights = {
        name.removeprefix("body."): (plain.get_parameter(name), weight)
        for name, weight in quantize_network(plain, QuantizationConfig(2, 2)).items()
        if name.startswith("body.")
    }
    given = torch.rand(8, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(blocks, "_error", lambda *_: next(told))
    found = learned_block(plain.body, plain.body, weights, (given, given), seed=0)
    assert all(found[name] is weight for name, (_, weight) in weights.items())


@pytest.mark.parametrize("backbone", ["digitnet", "cifar_resnet20"])
def test_every_convolution_of_a_backbone_is_in_a_block(backbone: str) -> None:
    plain = build_network(backbone, weights="scratch", widths=(4,), classes=3).eval()
    layers = [n for n, m in plain.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    side, channels = plain.spec.input.height, plain.spec.input.channels
    with torch.no_grad():
        found = list(blocks_of(plain, layers, torch.rand(2, channels, side, side)))
    inside = [name for block in found for name in block.layers]
    assert inside == [name for name in layers if name.startswith("features.")]
    assert [block.place for block in found] == list(range(len(plain.blocks)))


class _Lists(nn.Module):
    """A layer that takes and returns a list of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        return [self.layer(each) for each in x]


class _Parts(nn.Module):
    """Parts that take two tensors, a list, and one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.lists, self.pair, self.layer = _Lists(), nn.Bilinear(2, 2, 2), nn.Linear(2, 2)
        self.blocks = [self.lists, self.pair, self.layer]

    def forward(self, x: Tensor) -> Tensor:
        (x,) = self.lists([self.layer(x)])
        result: Tensor = self.pair(x, x)
        return result


def test_parts_that_do_not_map_one_tensor_to_another_are_no_blocks() -> None:
    (found,) = blocks_of(_Parts().eval(), ["layer", "lists.layer", "pair"], torch.rand(3, 2))
    assert found.place == 2
