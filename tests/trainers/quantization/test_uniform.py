"""Quantized weights: the mathematics, then the odd cases."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from trainers.quantization import dequantize, quantize_weight
from trainers.quantization.uniform import top_code

BITS = st.integers(2, 8)
# Half a step is the promise; two roundings in float32 are added by the division and the product.
ROUNDING = 2**-22


@st.composite
def weights(draw: st.DrawFn) -> Tensor:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=5))
    limit = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e30]))
    limit = float(np.float32(limit))
    elements = st.floats(-limit, limit, width=32, allow_subnormal=False)
    return torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=elements)))


@given(weights(), BITS)
def test_no_weight_moves_by_more_than_half_a_step(weight: Tensor, bits: int) -> None:
    quantized = quantize_weight(weight, bits)
    error = (dequantize(quantized).double() - weight.double()).abs()
    largest = weight.double().abs().amax()
    assert (error <= quantized.scale.double() / 2 + ROUNDING * largest).all() or (
        # A channel too small for float32 becomes zero.
        weight.abs().amax() < top_code(bits) * torch.finfo(torch.float32).tiny
    )


@given(weights(), BITS)
def test_codes_stay_within_the_symmetric_range(weight: Tensor, bits: int) -> None:
    quantized = quantize_weight(weight, bits)
    assert quantized.codes.dtype == torch.int8
    assert quantized.codes.shape == weight.shape
    assert int(quantized.codes.abs().max()) <= top_code(bits)
    assert quantized.scale.dtype == torch.float32
    assert quantized.scale.shape == (weight.shape[0], *[1] * (weight.ndim - 1))
    assert bool((quantized.scale > 0).all())


@given(weights(), BITS)
def test_zero_stays_zero_and_signs_stay(weight: Tensor, bits: int) -> None:
    restored = dequantize(quantize_weight(weight, bits))
    assert bool((restored[weight == 0] == 0).all())
    assert bool((restored * weight.sign() >= 0).all())


@given(weights(), BITS)
def test_what_is_quantized_twice_does_not_move_again(weight: Tensor, bits: int) -> None:
    once = quantize_weight(weight, bits)
    twice = quantize_weight(dequantize(once), bits)
    assert torch.equal(once.codes, twice.codes)


@given(weights(), BITS)
def test_channels_do_not_know_each_other(weight: Tensor, bits: int) -> None:
    whole = dequantize(quantize_weight(weight, bits))
    for channel in range(len(weight)):
        alone = dequantize(quantize_weight(weight[channel : channel + 1], bits))
        assert torch.equal(whole[channel : channel + 1], alone)


@pytest.mark.parametrize(("bits", "levels"), [(2, 3), (3, 7), (4, 15), (8, 255)])
def test_a_channel_has_two_to_the_bits_minus_one_levels(bits: int, levels: int) -> None:
    weight = torch.linspace(-1, 1, 10_001).reshape(1, -1)
    restored = dequantize(quantize_weight(weight, bits))
    assert len(restored.unique()) == levels
    assert float(restored.max()) == pytest.approx(1, abs=1e-6)


def test_the_largest_weight_of_each_channel_keeps_its_place() -> None:
    weight = torch.tensor([[0.5, -2.0], [3.0, 0.1]])
    restored = dequantize(quantize_weight(weight, 3))
    torch.testing.assert_close(restored[[0, 1], [1, 0]], torch.tensor([-2.0, 3.0]))


def test_a_channel_of_zeros_gets_step_one() -> None:
    quantized = quantize_weight(torch.tensor([[0.0, 0.0], [1.0, -1.0]]), 4)
    assert quantized.scale.flatten().tolist() == [1.0, pytest.approx(1 / 7)]
    assert quantized.codes[0].tolist() == [0, 0]


# The step of the first would be zero, that of the second rounded by a quarter.
@pytest.mark.parametrize(("size", "bits"), [(1e-44, 8), (5.6e-45, 3)])
def test_a_channel_too_small_for_float32_becomes_zero(size: float, bits: int) -> None:
    quantized = quantize_weight(torch.full((1, 3), size), bits)
    assert dequantize(quantized).tolist() == [[0.0, 0.0, 0.0]]
    assert float(quantized.scale) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 0)])
def test_an_empty_weight_has_no_codes_and_step_one(shape: tuple[int, ...]) -> None:
    quantized = quantize_weight(torch.empty(shape), 4)
    assert quantized.codes.shape == shape
    assert quantized.scale.shape == (shape[0], *[1] * (len(shape) - 1))
    assert dequantize(quantized).shape == shape


def test_one_weight_alone_is_exact_up_to_rounding() -> None:
    restored = dequantize(quantize_weight(torch.tensor([[0.3]]), 2))
    torch.testing.assert_close(restored, torch.tensor([[0.3]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_give_float32_steps(dtype: torch.dtype) -> None:
    weight = torch.tensor([[0.5, -1.0, 0.25]], dtype=dtype)
    quantized = quantize_weight(weight, 8)
    assert quantized.scale.dtype == torch.float32
    assert weight.dtype == dtype


def test_the_weight_itself_is_not_modified() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    before = weight.detach().clone()
    assert not dequantize(quantize_weight(weight, 2)).requires_grad
    assert torch.equal(weight, before)


def test_nan_and_infinity_are_counted_and_refused() -> None:
    weight = torch.tensor([[0.0, float("nan")], [float("inf"), -float("inf")]])
    with pytest.raises(ValueError, match="3 of 4 weights are NaN or infinite"):
        quantize_weight(weight, 4)


@pytest.mark.parametrize("bits", [1, 9, 0, -2, 32])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits is {bits}"):
        quantize_weight(torch.zeros(2, 2), bits)


def test_a_vector_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two dimensions"):
        quantize_weight(torch.zeros(3), 4)
