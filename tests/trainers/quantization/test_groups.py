"""Neighboring output channels that share levels: as if each group were a weight of its own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.quantization.config import QUANTIZERS, group_count
from trainers.quantization.quantized import dequantize, groups_of_channels
from trainers.quantization.rounding.grid import grid_of
from trainers.quantization.weights import encode, quantize_weight

KINDS = [(quantizer, 32) for quantizer in QUANTIZERS] + [("kmeans", 8), ("entropy", 8)]


@settings(max_examples=20)
@given(channels=st.integers(1, 300), size=st.integers(2, 70))
def test_groups_are_neighbors_and_as_equal_as_can_be(channels: int, size: int) -> None:
    groups = group_count(f"channels:{size}", channels)
    found = groups_of_channels(groups, channels)
    assert (found.diff() >= 0).all()
    counts = found.bincount(minlength=groups)
    assert counts.max() <= size
    assert counts.max() - counts.min() <= 1
    assert counts.min() > 0
    # With one group fewer some group would be larger than asked for.
    assert groups == 1 or size * (groups - 1) < channels


@pytest.mark.slow
@pytest.mark.parametrize(("quantizer", "codebook_bits"), KINDS)
@settings(max_examples=20)
@given(channels=st.integers(1, 9), size=st.integers(2, 10), bits=st.integers(2, 5))
def test_a_group_is_quantized_like_a_weight_of_its_own(
    quantizer: str, codebook_bits: int, channels: int, size: int, bits: int
) -> None:
    weight = torch.randn(channels, 2, 3, 3, generator=torch.Generator().manual_seed(channels))
    how = {"scheme": quantizer, "step": "percentile", "codebook_bits": codebook_bits}
    found = quantize_weight(weight, bits, scope=f"channels:{size}", **how)
    groups = groups_of_channels(group_count(f"channels:{size}", channels), channels)
    assert found.levels.groups == int(groups[-1]) + 1
    for group in range(found.levels.groups):
        alone = quantize_weight(weight[groups == group], bits, scope="layer", **how)
        assert torch.equal(found.codes[groups == group], alone.codes)
        assert torch.equal(dequantize(found)[groups == group], dequantize(alone))


@pytest.mark.parametrize(("quantizer", "codebook_bits"), KINDS)
@pytest.mark.parametrize("scope", ["channel", "channels:3", "channels:4", "layer"])
def test_the_grid_of_a_rounding_has_the_values_of_the_levels(
    quantizer: str, codebook_bits: int, scope: str
) -> None:
    weight = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    found = quantize_weight(
        weight, 3, scheme=quantizer, scope=scope, step="percentile", codebook_bits=codebook_bits
    )
    grid = grid_of(found.levels, 8)
    columns = found.codes.long() - grid.codes(torch.zeros((), dtype=torch.long)).long()
    assert torch.equal(grid.at(columns), dequantize(found))


def test_levels_that_were_found_encode_other_weights_of_the_same_shape() -> None:
    weight = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    found = quantize_weight(weight, 4, scheme="affine", scope="channels:4", step="mse")
    assert found.levels.groups == 3
    assert torch.equal(encode(weight, found.levels).codes, found.codes)
    # One group to a channel of three, four and three channels; neighbors have the same step.
    assert found.scale.flatten().unique_consecutive().numel() == 3


@pytest.mark.parametrize("scope", ["channels", "channels:1", "channels:04", "channels:x"])
def test_other_words_are_refused(scope: str) -> None:
    with pytest.raises(ValueError, match="known are channel, layer, global and channels:N"):
        quantize_weight(torch.ones(2, 2), 4, scope=scope)
