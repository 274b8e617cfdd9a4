"""Ranges of evenly spaced levels: never worse than the plain one, zero exact, every code used."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainers.quantization.quantized import dequantize, lowest_code, top_code
from trainers.quantization.steps import uniform_levels
from trainers.quantization.weights import quantize_weight

SCHEMES = ("symmetric", "affine")


def gaussian(rows: int, count: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, count, generator=torch.Generator().manual_seed(seed))


def errors(weight: Tensor, bits: int, scheme: str, step: str) -> Tensor:
    quantized = quantize_weight(weight, bits, scheme=scheme, step=step)
    return (dequantize(quantized) - weight).double().square().sum(1)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@given(seed=st.integers(0, 99), bits=st.integers(2, 8), power=st.integers(1, 3))
def test_least_error_is_never_more_than_that_of_the_largest_weight(
    scheme: str, seed: int, bits: int, power: int
) -> None:
    weight = gaussian(3, 24, seed) ** power
    assert (
        errors(weight, bits, scheme, "mse") <= errors(weight, bits, scheme, "absmax") * (1 + 1e-5)
    ).all()


@pytest.mark.parametrize(("bits", "step"), [(2, 0.9957), (3, 0.5860), (4, 0.3352)])
def test_the_error_of_normal_weights_is_that_of_the_best_uniform_quantizer(
    bits: int, step: float
) -> None:
    # Max (1960), table II: mean squared errors 0.1188, 0.03744 and 0.01154 of 4, 8 and 16 levels.
    best = {2: 0.1188, 3: 0.03744, 4: 0.01154}[bits]
    weight = gaussian(1, 40_000)
    levels = uniform_levels(weight, bits, "symmetric", "mse")
    error = float(errors(weight, bits, "symmetric", "mse") / weight.numel())
    # With a level at zero, which the best one has not, the error is somewhat larger.
    assert best < error < 1.25 * best
    assert float(levels.scale) == pytest.approx(step, rel=0.2)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_lp_has_less_error_to_the_third_power_than_least_squares(scheme: str, bits: int) -> None:
    weight = gaussian(5, 60) ** 3
    cubes = {
        step: (dequantize(quantize_weight(weight, bits, scheme=scheme, step=step)) - weight)
        .abs()
        .double()
        .pow(3)
        .sum(1)
        for step in ("absmax", "mse", "lp")
    }
    for step in ("absmax", "mse"):
        assert (cubes["lp"] <= cubes[step] * (1 + 1e-5)).all()
    assert (cubes["lp"] < cubes["mse"] * 0.99).any()


def test_the_step_of_lp_is_the_best_of_all_by_brute_force() -> None:
    # One weight of 4 among eight of 1, two bits: levels are -2, -1, 0 and 1 steps.
    weight = torch.tensor([[-4.0] + [-1.0] * 8])
    found = uniform_levels(weight, 2, "symmetric", "lp").scale
    steps = torch.linspace(0.2, 4, 3801).unsqueeze(1)
    codes = (weight / steps).round().clamp(-2, 1)
    tried = (codes * steps - weight).abs().pow(3).sum(1)
    assert found is not None
    own = ((weight / found).round().clamp(-2, 1) * found - weight).abs().pow(3).sum()
    assert float(own) <= 1.05 * float(tried.min())


@pytest.mark.parametrize("step", ["mse", "percentile", "lp", "kl"])
def test_symmetric_levels_use_every_code(step: str) -> None:
    quantized = quantize_weight(gaussian(1, 4000), 3, step=step)
    assert quantized.codes.unique().tolist() == list(range(lowest_code(3), top_code(3) + 1))
    plain = quantize_weight(gaussian(1, 4000), 3)
    assert plain.codes.min() == lowest_code(3) + 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("step", ["absmax", "mse", "percentile", "lp", "kl"])
def test_zero_stays_zero_and_a_group_of_zeros_can_be_packed(scheme: str, step: str) -> None:
    weight = gaussian(3, 50)
    weight[:, ::3] = 0
    weight[1] = 0
    found = quantize_weight(weight, 3, scheme=scheme, step=step)
    assert (dequantize(found)[weight == 0] == 0).all()
    assert found.scale is not None
    assert (found.scale > 0).all()


def test_a_percentile_clips_one_weight_of_a_hundred() -> None:
    weight = torch.arange(1.0, 101.0).unsqueeze(0)
    levels = uniform_levels(weight, 8, "symmetric", "percentile")
    assert float(levels.scale * top_code(8)) == pytest.approx(99)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_percentile_counts_no_pruned_weights(scheme: str) -> None:
    kept = gaussian(2, 300)
    pruned = torch.zeros(2, 30_000)
    pruned[:, 50::100] = kept
    alone, among_zeros = (uniform_levels(each, 4, scheme, "percentile") for each in (kept, pruned))
    assert alone.scale is not None
    assert among_zeros.scale is not None
    assert torch.equal(alone.scale, among_zeros.scale)


def test_an_empty_weight_and_an_unknown_word() -> None:
    assert quantize_weight(torch.empty(2, 0), 4, step="mse").codes.shape == (2, 0)
    with pytest.raises(ValueError, match="step is 'max'; known are absmax, mse, percentile, lp"):
        quantize_weight(gaussian(1, 4), 4, step="max")
