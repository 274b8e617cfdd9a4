"""Levels of codebooks as integers: within half a step, refitted, and never worse for that."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.quantization import entries
from trainers.quantization.codebook import codebook_codes, kmeans_codebook
from trainers.quantization.entries import TOP_ENTRY, with_integer_levels
from trainers.quantization.quantized import Levels, dequantize
from trainers.quantization.weights import quantize_weight

SEEDS = st.integers(0, 99)


def weights(seed: int, rows: int = 3, count: int = 60, power: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, count, generator=generator) ** power


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", ["kmeans", "entropy"])
@settings(max_examples=20)
@given(seed=SEEDS, bits=st.integers(2, 8), power=st.integers(1, 3))
def test_every_level_is_an_integer_times_the_step_of_its_group(
    quantizer: str, seed: int, bits: int, power: int
) -> None:
    found = quantize_weight(weights(seed, power=power), bits, scheme=quantizer, codebook_bits=8)
    levels = found.levels
    assert levels.entries is not None
    assert levels.entries.abs().max() <= TOP_ENTRY
    again = levels.entries * levels.entry_step.unsqueeze(1)
    # Bit for bit, the sign of zero included: it is what a file gives back.
    assert torch.equal(again.view(torch.int32), levels.codebook.view(torch.int32))
    assert (levels.codebook.diff(dim=1) >= 0).all()


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=SEEDS, bits=st.integers(2, 8))
def test_a_weight_has_its_nearest_level(seed: int, bits: int) -> None:
    weight = weights(seed)
    found = quantize_weight(weight, bits, scheme="kmeans", codebook_bits=8)
    every = (weight.unsqueeze(2) - found.codebook.unsqueeze(1)).abs()
    distance = (dequantize(found) - weight).abs()
    torch.testing.assert_close(distance, every.amin(dim=2))


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=SEEDS, bits=st.integers(2, 6), power=st.integers(1, 3))
def test_fitting_again_is_never_worse_than_rounding_alone(
    seed: int, bits: int, power: int
) -> None:
    weight = weights(seed, power=power)
    exact = kmeans_codebook(weight, bits)
    fitted = with_integer_levels(weight, exact)
    step = fitted.levels.entry_step.unsqueeze(1)
    rounded = (exact.levels.codebook / step).round() * step

    def error(levels: Tensor) -> Tensor:
        return (weight.unsqueeze(2) - levels.unsqueeze(1)).abs().amin(dim=2).square().sum(dim=1)

    assert (error(fitted.levels.codebook) <= error(rounded) * (1 + 1e-5)).all()
    assert (error(exact.levels.codebook) <= error(fitted.levels.codebook) * (1 + 1e-5)).all()


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", ["kmeans", "entropy"])
@settings(max_examples=20)
@given(seed=SEEDS, bits=st.integers(2, 8))
def test_zero_stays_zero(quantizer: str, seed: int, bits: int) -> None:
    weight = weights(seed)
    weight[:, ::3] = 0
    weight[1] = 0
    found = quantize_weight(weight, bits, scheme=quantizer, codebook_bits=8)
    assert (dequantize(found)[weight == 0] == 0).all()


def test_groups_are_fitted_the_same_whether_all_at_once_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = weights(0, rows=7, power=3)
    exact = kmeans_codebook(weight, 3)
    whole = with_integer_levels(weight, exact)
    monkeypatch.setattr(entries, "_VALUES_AT_ONCE", 130)
    parts = with_integer_levels(weight, exact)
    assert torch.equal(whole.levels.codebook, parts.levels.codebook)
    assert torch.equal(codebook_codes(weight, whole), codebook_codes(weight, parts))


def test_empty_and_tiny_groups_have_a_step() -> None:
    assert quantize_weight(torch.empty(2, 0), 3, scheme="kmeans", codebook_bits=8).codes.shape == (
        2,
        0,
    )
    found = quantize_weight(torch.full((1, 4), 1e-40), 3, scheme="kmeans", codebook_bits=8)
    assert found.levels.entry_step.tolist() == [1.0]


def test_evenly_spaced_levels_have_no_entries() -> None:
    levels = quantize_weight(weights(0), 4, codebook_bits=8).levels
    assert levels.entry_step is None
    assert levels.entries is None
    with pytest.raises(ValueError, match="lack what decodes them"):
        Levels(4, "symmetric", scale=torch.ones(1), entry_step=torch.ones(1))
