"""Other forms of weights: each computes what its layers would, and contracts exactly."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from trainers.methods import MethodsConfig
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
