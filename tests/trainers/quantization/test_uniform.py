"""Quantized weights: the mathematics, then the odd cases."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from trainers.quantization.quantized import QuantizedWeight, dequantize, top_code
from trainers.quantization.weights import quantize_weight

BITS = st.integers(2, 8)
SCOPE = st.sampled_from(["channel", "layer"])
# Half a step is the promise; in float32 three roundings are added: those of the step, of its
# reciprocal and of the product. An affine range adds the two of its ends.
ROUNDING = 2**-21


@st.composite
def weights(draw: st.DrawFn) -> Tensor:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=5))
    limit = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e30]))
    limit = float(np.float32(limit))
    elements = st.floats(-limit, limit, width=32, allow_subnormal=False)
    return torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=elements)))


def scale_of(quantized: QuantizedWeight) -> Tensor:
    assert quantized.scale is not None
    return quantized.scale


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@given(weight=weights(), bits=BITS, scope=SCOPE)
def test_no_weight_moves_by_more_than_half_a_step(
    scheme: str, weight: Tensor, bits: int, scope: str
) -> None:
    quantized = quantize_weight(weight, bits, scheme=scheme, scope=scope)
    error = (dequantize(quantized).double() - weight.double()).abs()
    largest = weight.double().abs().amax()
    assert (error <= scale_of(quantized).double() / 2 + ROUNDING * largest).all() or (
        # A group too small for float32 becomes zero.
        weight.abs().amax() < 2 * top_code(bits) * torch.finfo(torch.float32).tiny
    )


@pytest.mark.slow
@given(weights(), BITS)
def test_the_codes_are_those_of_torchs_fake_quantization(weight: Tensor, bits: int) -> None:
    top = top_code(bits)
    quantized = quantize_weight(weight, bits)
    scale = scale_of(quantized).flatten()
    faked = torch.fake_quantize_per_channel_affine(
        weight, scale, torch.zeros_like(scale, dtype=torch.int32), 0, -top, top
    )
    assert torch.equal(dequantize(quantized), faked)
    quantized = quantize_weight(weight, bits, scope="layer")
    faked = torch.fake_quantize_per_tensor_affine(
        weight, scale_of(quantized).reshape(1), torch.zeros(1, dtype=torch.int32), -top, top
    )
    assert torch.equal(dequantize(quantized), faked)


@pytest.mark.slow
@given(weights(), BITS)
def test_affine_codes_are_those_of_torchs_fake_quantization(weight: Tensor, bits: int) -> None:
    quantized = quantize_weight(weight, bits, scheme="affine")
    zero_point = quantized.levels.zero_point
    assert zero_point is not None
    faked = torch.fake_quantize_per_channel_affine(
        weight,
        scale_of(quantized).flatten(),
        zero_point.to(torch.int32),
        0,
        -top_code(bits) - 1,
        top_code(bits),
    )
    assert torch.equal(dequantize(quantized), faked)


def test_weights_at_a_tie_go_the_way_of_torchs_fake_quantization() -> None:
    # The largest gives the step; of the other, `round(w / scale)` would be -98.
    weight = torch.tensor([[0.01, -0.007755905855447054]])
    quantized = quantize_weight(weight, 8)
    assert quantized.codes.tolist() == [[127, -99]]
    assert (weight / scale_of(quantized)).round().tolist() == [[127, -98]]
    scale, zero = scale_of(quantized).flatten(), torch.zeros(1, dtype=torch.int32)
    faked = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)
    assert torch.equal(dequantize(quantized), faked)


@pytest.mark.slow
@given(weights(), BITS)
def test_codes_stay_within_the_symmetric_range(weight: Tensor, bits: int) -> None:
    quantized = quantize_weight(weight, bits)
    assert quantized.codes.dtype == torch.int8
    assert quantized.codes.shape == weight.shape
    assert int(quantized.codes.abs().max()) <= top_code(bits)
    scale = scale_of(quantized)
    assert scale.dtype == torch.float32
    assert scale.shape == (weight.shape[0], *[1] * (weight.ndim - 1))
    assert bool((scale > 0).all())


@pytest.mark.slow
@given(weights(), BITS, SCOPE, st.sampled_from(["symmetric", "affine"]))
def test_zero_stays_zero_and_signs_stay(
    weight: Tensor, bits: int, scope: str, scheme: str
) -> None:
    restored = dequantize(quantize_weight(weight, bits, scheme=scheme, scope=scope))
    assert bool((restored[weight == 0] == 0).all())
    assert bool((restored * weight.sign() >= 0).all())


@pytest.mark.slow
@given(weights(), BITS)
def test_what_is_quantized_twice_does_not_move_again(weight: Tensor, bits: int) -> None:
    once = quantize_weight(weight, bits)
    twice = quantize_weight(dequantize(once), bits)
    assert torch.equal(once.codes, twice.codes)


@pytest.mark.slow
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


@pytest.mark.parametrize(("bits", "levels"), [(2, 4), (3, 8), (4, 16), (8, 256)])
def test_affine_weights_have_all_levels(bits: int, levels: int) -> None:
    weight = torch.linspace(-1, 3, 10_001).reshape(1, -1)
    restored = dequantize(quantize_weight(weight, bits, scheme="affine"))
    assert len(restored.unique()) == levels


@pytest.mark.parametrize("sign", [1, -1])
def test_the_affine_range_includes_zero_where_no_weight_is_near_it(sign: int) -> None:
    quantized = quantize_weight(sign * torch.tensor([[5.0, 6.0, 7.0]]), 3, scheme="affine")
    assert float(scale_of(quantized)) == 1
    assert quantized.zero_point is not None
    assert int(quantized.zero_point) == (-4 if sign > 0 else 3)
    assert dequantize(quantized).tolist() == [[5.0 * sign, 6.0 * sign, 7.0 * sign]]


def test_one_step_for_the_layer_is_that_of_its_largest_weight() -> None:
    quantized = quantize_weight(torch.tensor([[0.5, -2.0], [7.0, 0.1]]), 4, scope="layer")
    assert scale_of(quantized).tolist() == [[1.0]]
    assert quantized.codes.tolist() == [[0, -2], [7, 0]]


def test_learned_steps_take_the_place_of_the_largest_weights() -> None:
    weight = torch.tensor([[0.5, -2.0], [3.0, 0.1]])
    quantized = quantize_weight(weight, 3, step=torch.tensor([0.25, 1.0]))
    assert dequantize(quantized).tolist() == [[0.5, -0.75], [3.0, 0.0]]


@pytest.mark.parametrize("step", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], []])
def test_steps_that_are_not_one_positive_number_a_group_are_refused(step: list[float]) -> None:
    with pytest.raises(ValueError, match="2 positive finite steps were needed"):
        quantize_weight(torch.ones(2, 3), 4, step=torch.tensor(step))


@pytest.mark.parametrize("scheme", ["affine", "kmeans", "entropy"])
def test_only_symmetric_weights_have_learned_steps(scheme: str) -> None:
    with pytest.raises(ValueError, match="only symmetric weights have any"):
        quantize_weight(torch.ones(1, 3), 4, scheme=scheme, step=torch.tensor([1.0]))


def test_the_largest_weight_of_each_channel_keeps_its_place() -> None:
    weight = torch.tensor([[0.5, -2.0], [3.0, 0.1]])
    restored = dequantize(quantize_weight(weight, 3))
    torch.testing.assert_close(restored[[0, 1], [1, 0]], torch.tensor([-2.0, 3.0]))


def test_a_channel_of_zeros_gets_step_one() -> None:
    quantized = quantize_weight(torch.tensor([[0.0, 0.0], [1.0, -1.0]]), 4)
    assert scale_of(quantized).flatten().tolist() == [1.0, pytest.approx(1 / 7)]
    assert quantized.codes[0].tolist() == [0, 0]


# The step of the first would be zero, that of the second rounded by a quarter.
@pytest.mark.parametrize(("size", "bits"), [(1e-44, 8), (5.6e-45, 3)])
def test_a_channel_too_small_for_float32_becomes_zero(size: float, bits: int) -> None:
    quantized = quantize_weight(torch.full((1, 3), size), bits)
    assert dequantize(quantized).tolist() == [[0.0, 0.0, 0.0]]
    assert float(scale_of(quantized)) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 0)])
def test_an_empty_weight_has_no_codes_and_step_one(shape: tuple[int, ...]) -> None:
    quantized = quantize_weight(torch.empty(shape), 4)
    assert quantized.codes.shape == shape
    assert scale_of(quantized).shape == (shape[0], *[1] * (len(shape) - 1))
    assert dequantize(quantized).shape == shape


def test_one_weight_alone_is_exact_up_to_rounding() -> None:
    restored = dequantize(quantize_weight(torch.tensor([[0.3]]), 2))
    torch.testing.assert_close(restored, torch.tensor([[0.3]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_give_float32_steps(dtype: torch.dtype) -> None:
    weight = torch.tensor([[0.5, -1.0, 0.25]], dtype=dtype)
    quantized = quantize_weight(weight, 8)
    assert scale_of(quantized).dtype == torch.float32
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
