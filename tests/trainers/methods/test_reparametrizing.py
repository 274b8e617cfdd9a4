"""Other forms of weights: each computes what its layers would, and contracts exactly."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from trainers.methods import MethodsConfig
from trainers.methods.checking import MethodError
from trainers.methods.kernel_expansion import ExpandedKernel
from trainers.methods.reparametrizing import (
    Adapter,
    Expanded,
    ExpandedLinear,
    contract,
    is_reparametrized,
    reparametrize,
)

SIZES = st.integers(1, 6)


@given(SIZES, SIZES, st.sampled_from([1, 3, 5]), st.integers(1, 4), st.integers(0, 99))
def test_an_expanded_convolution_is_three_convolutions(
    outputs: int, inputs: int, side: int, rate: int, seed: int
) -> None:
    """The three layers of the paper, one after the other, and the contracted one: to 1e-5."""
    torch.manual_seed(seed)
    weight = torch.randn(outputs, inputs, side, side)
    rule = Expanded(rate, seed)
    factors = rule.right_inverse(weight)
    assert torch.allclose(rule(*factors), weight, atol=1e-5)
    first, middle, last = (factor + 0.1 * torch.randn_like(factor) for factor in factors)
    images = torch.randn(2, inputs, 7, 7)
    one_by_one = functional.conv2d(images, first[:, :, None, None])
    one_by_one = functional.conv2d(one_by_one, middle, padding=side // 2)
    one_by_one = functional.conv2d(one_by_one, last[:, :, None, None])
    contracted = functional.conv2d(images, rule(first, middle, last), padding=side // 2)
    scale = one_by_one.abs().max().clamp(min=1)
    assert float((contracted - one_by_one).abs().max() / scale) < 1e-5


@pytest.mark.slow
@given(SIZES, SIZES, st.sampled_from([5, 7, 11]), st.integers(1, 3), st.integers(0, 99))
def test_an_expanded_kernel_is_several_small_convolutions(
    outputs: int, inputs: int, side: int, rate: int, seed: int
) -> None:
    """The layers of the paper, of which the first alone pads, and the contracted one: to 1e-5."""
    torch.manual_seed(seed)
    weight = 0.1 * torch.randn(outputs, inputs, side, side)
    rule = ExpandedKernel(rate, seed)
    kernels = rule.right_inverse(weight)
    assert rule(*kernels).shape == weight.shape
    assert float(rule(*kernels).std(correction=0)) < 10 * float(weight.std(correction=0)) + 1e-3
    images = torch.randn(2, inputs, 12, 12)
    one_by_one = functional.pad(images, [side // 2] * 4)
    for kernel in kernels:
        one_by_one = functional.conv2d(one_by_one, kernel)
    contracted = functional.conv2d(images, rule(*kernels), padding=side // 2)
    scale = one_by_one.abs().max().clamp(min=1)
    assert float((contracted - one_by_one).abs().max() / scale) < 1e-5


def test_large_kernels_alone_are_expanded_and_contracted() -> None:
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2, stride=2), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 5, groups=4)
    )
    untouched = copy.deepcopy(features[1].weight)
    reparametrize(features, nn.Sequential(), MethodsConfig(expand="kernels"), seed=0)
    assert is_reparametrized(features[0])
    assert not any(is_reparametrized(layer) for layer in features[1:])
    images = torch.randn(2, 3, 16, 16)
    before = features(images)
    contract(features)
    assert features[0].weight.shape == (4, 3, 5, 5)
    assert torch.allclose(features(images), before, atol=1e-6)
    assert torch.equal(features[1].weight, untouched)


def test_a_backbone_without_large_kernels_is_refused() -> None:
    with pytest.raises(MethodError, match="kernels of 5x5 and more"):
        reparametrize(nn.Conv2d(3, 4, 3), nn.Identity(), MethodsConfig(expand="kernels"), seed=0)


@given(SIZES, st.integers(1, 30), st.integers(1, 4), st.integers(0, 99))
def test_an_expanded_layer_is_three_layers(
    outputs: int, inputs: int, rate: int, seed: int
) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(outputs, inputs)
    rule = ExpandedLinear(rate, seed)
    factors = rule.right_inverse(weight)
    assert torch.allclose(rule(*factors), weight, atol=1e-5)
    first, middle, last = (factor + 0.1 * torch.randn_like(factor) for factor in factors)
    values = torch.randn(4, inputs)
    one_by_one = values @ first.t() @ middle.t() @ last.t()
    scale = one_by_one.abs().max().clamp(min=1)
    assert float((values @ rule(first, middle, last).t() - one_by_one).abs().max() / scale) < 1e-5


def test_what_an_expansion_adds_is_used() -> None:
    """The start is no corner of the wider form: each factor gets a gradient of full rank."""
    torch.manual_seed(0)
    rule = Expanded(3, 0)
    factors = [each.requires_grad_() for each in rule.right_inverse(torch.randn(4, 5, 3, 3))]
    rule(*factors).square().sum().backward()
    assert torch.linalg.matrix_rank(factors[1].detach()[:, :, 1, 1]) > 5
    assert all(bool(factor.grad.abs().sum() > 0) for factor in factors if factor.grad is not None)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_an_adapter_is_a_convolution_of_one_pixel_beside_the_frozen_one(
    side: int, stride: int
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4, side, side)
    adapter = Adapter(weight, 2, 1)
    adapter.up.data.normal_()
    images = torch.randn(2, 4, 9, 9)
    beside = functional.conv2d(
        images, (adapter.up @ adapter.down)[:, :, None, None], stride=stride
    )
    frozen = functional.conv2d(images, weight, padding=side // 2, stride=stride)
    merged = functional.conv2d(images, adapter(weight), padding=side // 2, stride=stride)
    assert torch.allclose(merged, frozen + beside, atol=1e-5)


def test_a_contracted_copy_leaves_the_original_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=True), nn.Conv2d(2, 2, 3, groups=2))
    names = list(network.state_dict())
    reparametrize(network, nn.Identity(), MethodsConfig(expand="convolutions"), seed=0)
    images = torch.randn(1, 1, 8, 8)
    before = network(images)
    other = copy.deepcopy(network)
    contract(other)
    assert list(other.state_dict()) == names
    assert is_reparametrized(network)
    assert not is_reparametrized(other)
    assert torch.allclose(other(images), before, atol=1e-6)
    assert torch.equal(network(images), before)


def test_the_start_follows_from_the_seed_alone() -> None:
    weight = torch.ones(2, 3, 3, 3)
    first = Expanded(2, 7).right_inverse(weight)
    torch.rand(1)
    again, other = Expanded(2, 7).right_inverse(weight), Expanded(2, 8).right_inverse(weight)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
