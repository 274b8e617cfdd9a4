"""Fused layers against mathematics: linear layers exactly, others by least squares."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainers.networks.backbone_table import backbone_info
from trainers.networks.backbones import build_backbone
from trainers.networks.backbones.building import build_backbone as build
from trainers.networks.backbones.fusing import fuse_dropped, fused


def test_layers_whose_relu_never_acts_are_fused_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    # Middle taps alone, so that the composition has a 3x3 kernel.
    first, second = torch.zeros(5, 3, 3, 3), torch.zeros(4, 5, 3, 3)
    first[:, :, 1, 1] = torch.randn(5, 3, generator=generator)
    second.copy_(torch.randn(4, 5, 3, 3, generator=generator))
    biases = torch.full((5,), 100.0), torch.randn(4, generator=generator)
    images = torch.randn(2, 3, 8, 8, generator=generator)
    hidden = functional.relu(functional.conv2d(images, first, biases[0], padding=1))
    exact = functional.conv2d(hidden, second, biases[1], padding=1)
    kernels, bias = fused(first, biases[0], second, biases[1])
    found = functional.conv2d(images, kernels, bias, padding=1)
    # Within the frame, where the padding of the hidden layer is not seen.
    torch.testing.assert_close(
        found[:, :, 1:-1, 1:-1], exact[:, :, 1:-1, 1:-1], rtol=1e-4, atol=1e-3
    )


def test_the_middle_of_composed_kernels_is_kept() -> None:
    first, second = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    first[0, 0, 1, 2] = 2.0  # reads the pixel to the right
    second[0, 0, 0, 1] = 3.0  # reads the pixel above
    kernels, _ = fused(first, torch.tensor([50.0]), second, torch.zeros(1))
    wanted = torch.zeros(1, 1, 3, 3)
    wanted[0, 0, 0, 2] = 6.0
    torch.testing.assert_close(kernels, wanted)


def test_no_affine_map_has_a_smaller_error_on_normal_inputs() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(6, 4, generator=generator), torch.randn(3, 6, generator=generator)
    b1, b2 = torch.randn(6, generator=generator), torch.randn(3, generator=generator)
    x = torch.randn(200_000, 4, generator=generator)
    y = functional.relu(x @ first.T + b1) @ second.T + b2
    with_ones = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    best = torch.linalg.lstsq(with_ones, y).solution.T
    kernels, bias = fused(first[:, :, None, None], b1, second[:, :, None, None], b2)
    torch.testing.assert_close(kernels[:, :, 0, 0], best[:, :4], rtol=0, atol=0.03)
    torch.testing.assert_close(bias, best[:, 4], rtol=0, atol=0.03)


def test_a_cut_network_starts_with_the_fusion_of_what_was_cut() -> None:
    full = build_backbone("digitnet", "bundled").features
    cut = build("digitnet[depth=1]", "bundled", depth_start="fused").features
    convolutions = [layer for layer in full if isinstance(layer, nn.Conv2d)]
    kept = [layer for layer in cut if isinstance(layer, nn.Conv2d)]
    for stage, layer in enumerate(kept):
        one, two = convolutions[2 * stage : 2 * stage + 2]
        kernels, bias = fused(
            one.weight, one.get_parameter("bias"), two.weight, two.get_parameter("bias")
        )
        torch.testing.assert_close(layer.weight, kernels)
        torch.testing.assert_close(layer.bias, bias)


@pytest.mark.slow
def test_batch_norms_are_folded_into_what_is_fused() -> None:
    """With a positive shift no ReLU acts, and 1x1 taps lose nothing: the cut network is equal."""
    features = build_backbone("vgg11_bn", "scratch").features.eval()
    body = features.get_submodule("features")
    layers = list(body.children())[8:14]  # the third stage: two convolutions with their norms
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            middle = layer.weight.detach()[:, :, 1:2, 1:2].clone()
            with torch.no_grad():
                layer.weight.zero_()[:, :, 1:2, 1:2] = middle
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.constant_(layer.bias, 50.0)
            nn.init.uniform_(layer.get_buffer("running_var"), 0.5, 2.0)
    images = torch.randn(1, 128, 4, 4)
    stage = nn.Sequential(*layers[:5])
    exact = stage(images)
    fuse_dropped(features, backbone_info("vgg11_bn[depth=1]"))
    found = nn.Sequential(*layers[:2])(images)
    assert found.std() > 0
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-2)


def test_nothing_is_fused_where_nothing_is_cut() -> None:
    plain = build_backbone("digitnet", "bundled").features.state_dict()
    same = build("digitnet", "bundled", depth_start="fused").features.state_dict()
    assert all(torch.equal(plain[name], same[name]) for name in plain)
    with pytest.raises(ValueError, match="depth is 3"):
        build("digitnet[depth=3]", "bundled", depth_start="fused")
