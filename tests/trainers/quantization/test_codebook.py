"""Listed levels: never worse than evenly spaced ones, and as cheap to code as is asked."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor

from trainers.quantization.codebook import SortedGroups, _settled
from trainers.quantization.quantized import QuantizedWeight, dequantize
from trainers.quantization.weights import quantize_weight

BITS = st.integers(2, 8)
SCOPE = st.sampled_from(["channel", "layer"])


@st.composite
def weights(draw: st.DrawFn) -> Tensor:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=12))
    limit = float(np.float32(draw(st.sampled_from([1e-15, 1.0, 1e15]))))
    elements = st.floats(-limit, limit, width=32, allow_subnormal=False)
    # Few different values, and many of each, as pruned weights have.
    few = st.sampled_from([0.0, limit, -limit, limit / 3])
    return torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=elements | few)))


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def codebook_of(quantized: QuantizedWeight) -> Tensor:
    assert quantized.codebook is not None
    return quantized.codebook


def squared_error(weight: Tensor, quantized: QuantizedWeight) -> float:
    return float((dequantize(quantized).double() - weight.double()).square().sum())


def entropy_bits(quantized: QuantizedWeight) -> float:
    shares = torch.bincount(quantized.codes.flatten().int() + 128) / quantized.codes.numel()
    shares = shares[shares > 0]
    return float(-(shares * shares.log2()).sum())


@pytest.mark.slow
@given(weights(), BITS, SCOPE)
def test_kmeans_is_never_worse_than_evenly_spaced_levels(
    weight: Tensor, bits: int, scope: str
) -> None:
    error = squared_error(weight, quantize_weight(weight, bits, scheme="kmeans", scope=scope))
    # Levels are stored in float32.
    rounding = weight.numel() * (2**-22 * float(weight.abs().max())) ** 2
    for scheme in ("symmetric", "affine"):
        even = squared_error(weight, quantize_weight(weight, bits, scheme=scheme, scope=scope))
        assert error <= even * (1 + 1e-5) + rounding


@pytest.mark.parametrize("bits", [2, 4])
def test_kmeans_of_a_large_pruned_group_keeps_its_zeros(bits: int) -> None:
    weight = gaussian(8, 4000) * (
        torch.rand(8, 4000, generator=torch.Generator().manual_seed(1)) > 0.9
    )
    for scope in ("channel", "layer"):
        quantized = quantize_weight(weight, bits, scheme="kmeans", scope=scope)
        assert not dequantize(quantized)[weight == 0].any()
        even = quantize_weight(weight, bits, scheme="symmetric", scope=scope)
        assert squared_error(weight, quantized) < squared_error(weight, even)


@pytest.mark.parametrize(("bits", "optimum"), [(2, 0.1175), (3, 0.03454), (4, 0.009497)])
def test_kmeans_finds_the_least_error_of_gaussian_weights(bits: int, optimum: float) -> None:
    # Max, Quantizing for minimum distortion, 1960, table I.
    weight = gaussian(1, 400_000)
    error = squared_error(weight, quantize_weight(weight, bits, scheme="kmeans"))
    assert error / weight.numel() == pytest.approx(optimum, rel=0.02)


@pytest.mark.slow
@given(weights(), BITS, SCOPE)
def test_every_weight_gets_its_nearest_level(weight: Tensor, bits: int, scope: str) -> None:
    quantized = quantize_weight(weight, bits, scheme="kmeans", scope=scope)
    groups = weight.reshape(len(codebook_of(quantized)), -1).double()
    nearest = (groups[:, :, None] - codebook_of(quantized)[:, None, :]).abs().amin(dim=2)
    error = (dequantize(quantized).reshape(groups.shape) - groups).abs()
    assert (error <= nearest + 2**-22 * weight.abs().max()).all()


@pytest.mark.slow
@given(weights(), BITS, SCOPE, st.sampled_from(["kmeans", "entropy"]))
def test_codebooks_ascend_and_are_finite(
    weight: Tensor, bits: int, scope: str, scheme: str
) -> None:
    quantized = quantize_weight(weight, bits, scheme=scheme, scope=scope)
    codebook = codebook_of(quantized)
    assert codebook.shape == (len(weight) if scope == "channel" else 1, 2**bits)
    assert codebook.dtype == torch.float32
    assert bool(codebook.isfinite().all())
    assert bool((codebook.diff(dim=1) >= 0).all())
    assert quantized.codes.dtype == torch.int8
    assert quantized.codes.shape == weight.shape


@pytest.mark.slow
@given(weights(), BITS, SCOPE)
def test_zero_stays_zero(weight: Tensor, bits: int, scope: str) -> None:
    restored = dequantize(quantize_weight(weight, bits, scheme="kmeans", scope=scope))
    assert bool((restored[weight == 0] == 0).all())


@pytest.mark.slow
@given(weights(), BITS)
def test_a_channel_is_quantized_alone(weight: Tensor, bits: int) -> None:
    whole = dequantize(quantize_weight(weight, bits, scheme="kmeans"))
    alone = dequantize(quantize_weight(weight[:1], bits, scheme="kmeans"))
    assert torch.equal(whole[:1], alone)


def test_many_groups_are_fitted_in_parts_without_a_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = gaussian(7, 50)
    whole = dequantize(quantize_weight(weight, 3, scheme="kmeans"))
    monkeypatch.setattr("trainers.quantization.codebook._VALUES_AT_ONCE", 120)
    assert torch.equal(whole, dequantize(quantize_weight(weight, 3, scheme="kmeans")))


@pytest.mark.slow
@given(weights(), BITS, SCOPE)
def test_without_a_rate_entropy_is_kmeans(weight: Tensor, bits: int, scope: str) -> None:
    kmeans = quantize_weight(weight, bits, scheme="kmeans", scope=scope)
    entropy = quantize_weight(weight, bits, scheme="entropy", scope=scope, rate_weight=0.0)
    assert torch.equal(dequantize(kmeans), dequantize(entropy))


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_the_rate_falls_and_the_error_rises_as_the_rate_weighs_more(bits: int) -> None:
    weight = gaussian(16, 500)
    found = [
        quantize_weight(weight, bits, scheme="entropy", scope="layer", rate_weight=rate_weight)
        for rate_weight in (0.0, 3.0, 9.0, 27.0, 81.0)
    ]
    rates = [entropy_bits(quantized) for quantized in found]
    errors = [squared_error(weight, quantized) for quantized in found]
    assert rates == sorted(rates, reverse=True)
    assert errors == sorted(errors)
    assert rates[0] > bits - 0.6
    assert rates[-1] < bits - 1.5


@pytest.mark.slow
def test_at_the_same_rate_entropy_has_less_error_than_fewer_bits() -> None:
    # That is what it is for: 6 bits, of which 3.6 are paid, against 4 bits of k-means.
    weight = gaussian(16, 4000)
    kmeans = quantize_weight(weight, 4, scheme="kmeans", scope="layer")
    entropy = quantize_weight(weight, 6, scheme="entropy", scope="layer", rate_weight=60.0)
    assert entropy_bits(entropy) < entropy_bits(kmeans)
    assert squared_error(weight, entropy) < squared_error(weight, kmeans)


def test_a_rate_that_weighs_everything_leaves_one_level() -> None:
    quantized = quantize_weight(gaussian(1, 500), 4, scheme="entropy", rate_weight=1000.0)
    assert len(quantized.codes.unique()) == 1
    assert len(codebook_of(quantized).unique()) == 1


@pytest.mark.parametrize("scheme", ["kmeans", "entropy"])
@pytest.mark.parametrize("scope", ["channel", "layer"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 0)])
def test_an_empty_weight_has_no_codes(scheme: str, scope: str, shape: tuple[int, ...]) -> None:
    quantized = quantize_weight(torch.empty(shape), 4, scheme=scheme, scope=scope)
    assert quantized.codes.shape == dequantize(quantized).shape == shape


@pytest.mark.parametrize("scheme", ["kmeans", "entropy"])
@pytest.mark.parametrize("value", [0.0, 0.3, -7e-20, 1e-44, 3e38])
def test_weights_that_are_all_the_same_stay_so(scheme: str, value: float) -> None:
    for shape in ((1, 1), (2, 30)):
        weight = torch.full(shape, value)
        restored = dequantize(quantize_weight(weight, 2, scheme=scheme))
        assert torch.equal(restored, weight)


def test_a_few_different_values_are_kept_exactly() -> None:
    weight = torch.tensor([[-1.0, 0.5, 0.0, 8.0] * 20])
    assert torch.equal(dequantize(quantize_weight(weight, 4, scheme="kmeans")), weight)


@pytest.mark.parametrize("scheme", ["affine", "kmeans", "entropy"])
def test_nan_and_infinity_are_refused(scheme: str) -> None:
    weight = torch.tensor([[0.0, float("nan")], [float("inf"), 1.0]])
    with pytest.raises(ValueError, match="2 of 4 weights are NaN or infinite"):
        quantize_weight(weight, 4, scheme=scheme)


@pytest.mark.parametrize("scheme", ["symmetric", "affine", "kmeans", "entropy"])
@pytest.mark.parametrize("bits", [1, 9, True])
def test_bits_out_of_range_are_refused(scheme: str, bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits is {bits}"):
        quantize_weight(torch.ones(2, 2), bits, scheme=scheme)


def test_unknown_words_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"quantizer is 'k-means'; known are symmetric, .*kmeans"):
        quantize_weight(torch.ones(2, 2), 4, scheme="k-means")
    with pytest.raises(ValueError, match="scope is 'tensor'; known are channel, layer, global"):
        quantize_weight(torch.ones(2, 2), 4, scope="tensor")


def least_error(values: Tensor, levels: int) -> float:
    """Of all ways to cut the sorted values into so many cells; that with a zero has level zero."""
    ordered = np.sort(values.double().numpy())

    def error(cell: NDArray[np.float64]) -> float:
        level = 0.0 if (cell == 0).any() else cell.mean()
        return float(np.square(cell - level).sum())

    cuts = combinations(range(1, len(ordered)), min(levels, len(ordered)) - 1)
    return min(sum(map(error, np.split(ordered, each))) for each in cuts)


SMALL = st.floats(-1, 1, width=16, allow_subnormal=False)


@pytest.mark.slow
@given(st.lists(SMALL, min_size=1, max_size=11))
def test_kmeans_of_a_small_group_is_exact(values: list[float]) -> None:
    weight = torch.tensor([values])
    error = squared_error(weight, quantize_weight(weight, 2, scheme="kmeans"))
    assert error == pytest.approx(least_error(weight[0], 4), rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("zeros", [0, 40])
def test_kmeans_of_a_channel_is_exact(zeros: int) -> None:
    # A column of the table of dynamic programming after the other, every cell tried.
    weight = gaussian(20, 200)
    weight[:, :zeros] = 0
    error = squared_error(weight, quantize_weight(weight, 3, scheme="kmeans"))
    expected = 0.0
    for row in weight.double().numpy():
        ordered, table = np.sort(row), [0.0, *[np.inf] * len(row)]
        is_zero, sums, squares = (
            np.cumsum([0, *each]) for each in (ordered == 0, ordered, ordered**2)
        )
        low, high = np.triu_indices(len(row) + 1, 1)
        cost = np.full((len(row) + 1, len(row) + 1), np.inf)
        gain = np.square(sums[high] - sums[low]) / (high - low)
        gain[is_zero[high] > is_zero[low]] = 0
        cost[low, high] = squares[high] - squares[low] - gain
        for _ in range(8):
            table = (np.array(table)[:, None] + cost).min(axis=0)
        expected += table[-1]
    assert error == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_no_weight_changes_where_there_are_levels_enough(seed: int, bits: int) -> None:
    # Nine weights, as a depthwise channel has, are fewer than 16 levels.
    values = np.random.default_rng(seed).standard_normal((8, min(9, 2**bits)))
    weight = torch.from_numpy(values.astype(np.float32))
    assert torch.equal(dequantize(quantize_weight(weight, bits, scheme="kmeans")), weight)


def test_neighbors_in_float32_are_told_apart() -> None:
    first = torch.tensor(0.3)
    second = torch.nextafter(first, torch.tensor(1.0))
    for pair in ((first, second), (second, torch.nextafter(second, torch.tensor(1.0)))):
        weight = torch.stack(pair)[None]
        assert torch.equal(dequantize(quantize_weight(weight, 2, scheme="kmeans")), weight)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_kmeans_of_a_large_group_is_nearly_exact(
    monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    weight = gaussian(1, 70_000) ** 3
    found = squared_error(weight, quantize_weight(weight, bits, scheme="kmeans"))
    monkeypatch.setattr("trainers.quantization.codebook.EXACT_UP_TO", 1 << 30)
    least = squared_error(weight, quantize_weight(weight, bits, scheme="kmeans"))
    assert least <= found <= 1.01 * least


def test_a_level_that_loses_its_weights_is_placed_anew() -> None:
    groups = SortedGroups(torch.tensor([[-1.0, -0.9, 0.2, 0.3, 5.0]]))
    # Two of these four have no weight.
    start = torch.tensor([[-1.0, 0.25, 40.0, 50.0]], dtype=torch.float64)
    assert _settled(groups, start).tolist() == [pytest.approx([-1.0, -0.9, 0.25, 5.0])]
