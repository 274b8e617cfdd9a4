"""Parameters and multiplications, against torch's own counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainers.evaluators.counts import count_macs, count_parameters
from trainers.networks.network import build_network


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["digitnet", "mobilenet_v3_small", "resnet18"])
def test_multiplications_are_half_of_torchs_operations(backbone: str) -> None:
    network = build_network(backbone, weights="scratch", widths=(7,), classes=3).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert 2 * count_macs(network, (3, 32, 32)) == counter.get_total_flops()


def test_one_convolution_and_one_layer_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 4, 5))
    assert count_macs(network, (4, 4, 4)) == 6 * 2 * 2 * (2 * 3 * 3) + 24 * 5
    assert count_parameters(network) == 6 * (2 * 3 * 3) + 6 + 24 * 5 + 5


def test_statistics_are_no_parameters_and_frozen_weights_are() -> None:
    network = nn.BatchNorm2d(4).requires_grad_(requires_grad=False)
    assert count_parameters(network) == 8


def test_counting_leaves_no_hooks_and_the_mode_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = network[1].running_mean.clone()  # type: ignore[operator, union-attr]
    count_macs(network, (1, 5, 5))
    assert network.training
    assert torch.equal(network[1].running_mean, before)  # type: ignore[arg-type]
    assert not any(module._forward_hooks for module in network.modules())
    with pytest.raises(RuntimeError):
        count_macs(network, (3, 5, 5))
    assert not any(module._forward_hooks for module in network.modules())
