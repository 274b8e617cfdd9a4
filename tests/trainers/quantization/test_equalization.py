"""Ranges of weights are evened out across layers, and the network computes the same."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.equalization import equalized
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize


def uneven(backbone: str, weights: str = "scratch") -> Network:
    """A backbone whose channels differ, as those of trained networks do."""
    network = build_network(backbone, weights=weights, widths=(8,), classes=3).eval()
    draws = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data.copy_(torch.randn(len(tensor), generator=draws).exp())
    return network.requires_grad_(requires_grad=False)


def pixels(network: Network) -> Tensor:
    spec = network.spec.input
    shape = (2, spec.channels, spec.height, spec.width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("backbone", "weights", "changes"),
    [
        ("digitnet", "bundled", 12),
        ("cifar_resnet20", "scratch", 27),
        ("mobilenet_v2", "scratch", 40),
        ("squeezenet1_1", "scratch", 10),
    ],
)
def test_the_network_computes_the_same_to_the_last_bit(
    backbone: str, weights: str, changes: int
) -> None:
    network = uneven(backbone, weights)
    before = copy.deepcopy(network.state_dict())
    changed = equalized(network)
    assert torch.equal(changed(pixels(network)), network(pixels(network)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    other = [n for n, t in changed.state_dict().items() if not torch.equal(t, before[n])]
    assert len(other) >= changes


def chain(*between: nn.Module, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), *([nn.BatchNorm2d(4)] if norm else []), *between]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 16, 2)).eval()
    network.requires_grad_(requires_grad=False)
    tensor_of(network, 0, "weight").mul_(torch.tensor([1.0, 10.0, 100.0, 0.01]).view(-1, 1, 1, 1))
    return network


def tensor_of(network: nn.Sequential, place: int, name: str) -> Tensor:
    found: Tensor = [*network][place].state_dict()[name]
    return found


def test_both_sides_have_the_same_range_afterwards() -> None:
    found = equalized(chain(nn.ReLU()))
    written = tensor_of(found, 0, "weight").abs().flatten(1).amax(1)
    read = tensor_of(found, -1, "weight").abs().view(2, 4, 16).amax((0, 2))
    # Within the rounding of factors to powers of two, which counts on both sides.
    assert ((written / read).log2().abs() <= 1).all()


def test_a_batch_norm_lets_every_output_have_the_same_range() -> None:
    network = chain(nn.ReLU6(), norm=True)
    found = equalized(network)
    rows = tensor_of(found, 0, "weight").abs().flatten(1).amax(1)
    assert ((rows / rows.amax()).log2().abs() <= 0.5).all()
    assert not torch.equal(tensor_of(found, 1, "weight"), tensor_of(network, 1, "weight"))
    assert torch.equal(tensor_of(found, 1, "running_var"), tensor_of(network, 1, "running_var"))
    # ReLU6 passes no factors on.
    assert torch.equal(tensor_of(found, -1, "weight"), tensor_of(network, -1, "weight"))


def with_uneven_rows(network: Network) -> Network:
    """The same network, with ranges of outputs that differ as before a batch norm they may."""
    draws = torch.Generator().manual_seed(2)
    modules = list(network.modules())
    for layer, norm in pairwise(modules):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            factors = torch.randn(len(layer.weight), generator=draws).exp2()
            layer.weight.mul_(factors.view(-1, 1, 1, 1))
            norm.get_buffer("running_mean").mul_(factors)
            norm.weight.div_(factors)
    return network


@pytest.mark.parametrize("backbone", ["cifar_resnet20", "mobilenet_v2"])
def test_one_step_a_layer_loses_much_less_where_a_norm_takes_up_the_ranges(backbone: str) -> None:
    network = with_uneven_rows(uneven(backbone))
    images, errors = pixels(network), []
    config = QuantizationConfig(8, 8, scope="layer")
    for source in (network, equalized(network)):
        changed = copy.deepcopy(source)
        for name, weight in quantize_network(source, config).items():
            changed.get_parameter(name).copy_(dequantize(weight))
        away = changed.feature_vectors(images) - network.feature_vectors(images)
        errors.append(float(away.square().mean()))
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("between", [nn.ReLU6(), nn.Sigmoid(), nn.Softmax(dim=1)])
def test_what_passes_no_factors_on_keeps_the_ranges(between: nn.Module) -> None:
    network = chain(between)
    found = equalized(network)
    for one, other in zip(network.parameters(), found.parameters(), strict=True):
        assert torch.equal(one, other)


class _Twice(nn.Module):
    """A layer that is called twice, and one that writes what is padded with channels."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(8, 4)
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        x = functional.relu(self.first(x)) if self.twice else x
        result: Tensor = self.second(functional.pad(x, (0, 4)))
        return result


@pytest.mark.parametrize("twice", [False, True])
def test_values_that_are_read_otherwise_too_keep_their_ranges(twice: bool) -> None:
    torch.manual_seed(0)
    network = _Twice(twice=twice).eval().requires_grad_(requires_grad=False)
    network.first.weight.mul_(torch.tensor([1.0, 10.0, 100.0, 0.01]).view(-1, 1))
    found = equalized(network)
    for one, other in zip(network.parameters(), found.parameters(), strict=True):
        assert torch.equal(one, other)


class _Branches(nn.Module):
    """Control flow that depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x)
        return result if result.sum() > 0 else -result


def test_a_network_that_cannot_be_traced_is_copied() -> None:
    network = _Branches().eval()
    found = equalized(network)
    assert found is not network
    assert torch.equal(found.get_parameter("layer.weight"), network.layer.weight)


def test_channels_without_weights_stay_as_they_are() -> None:
    network = chain(nn.ReLU())
    tensor_of(network, 0, "weight")[1] = 0
    found = equalized(network)
    assert torch.isfinite(tensor_of(found, -1, "weight")).all()
    assert (tensor_of(found, 0, "weight")[1] == 0).all()
