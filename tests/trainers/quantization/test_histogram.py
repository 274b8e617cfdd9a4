"""Ranges by the divergence of histograms, against the definition in plain Python."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.quantization import histogram
from trainers.quantization.histogram import Histogram
from trainers.quantization.quantized import Levels
from trainers.quantization.steps import BINS_A_LEVEL, uniform_levels

SCHEMES = ("symmetric", "affine")


def by_definition(row: list[float], levels: Levels, bins: int) -> float:
    """KL(P || Q) of one group, one bin after the other."""
    assert levels.scale is not None
    step, zero = float(levels.scale), int(levels.zero_point or 0)
    low, high = min(0.0, *row), max(0.0, *row)
    width = (high - low) / bins
    counts = [0] * bins
    for weight in row:
        if weight != 0:
            counts[min(bins - 1, int((weight - low) / width))] += 1
    place = [(low + (n + 0.5) * width) / step + zero for n in range(bins)]
    ends = levels.first_code, (1 << (levels.bits - 1)) - 1
    within = [n for n in range(bins) if ends[0] - 0.5 <= place[n] <= ends[1] + 0.5]
    p = [0] * bins
    for n in range(bins):
        p[min(max(n, within[0]), within[-1])] += counts[n]
    unclipped, held = dict[int, int](), dict[int, int]()
    for n in within:
        code = round(place[n])
        unclipped[code] = unclipped.get(code, 0) + counts[n]
        held[code] = held.get(code, 0) + (p[n] > 0)
    mass = dict[int, float]()
    for n in within:
        if p[n]:
            mass[n] = max(1e-4, unclipped[round(place[n])] / held[round(place[n])])
    if not sum(unclipped.values()):
        return math.inf
    shares = {n: (p[n] / sum(p), q / sum(mass.values())) for n, q in mass.items()}
    return sum(each * math.log(each / q) for each, q in shares.values())


def weights(seed: int, count: int, power: int = 1) -> Tensor:
    return torch.randn(1, count, generator=torch.Generator().manual_seed(seed)) ** power


def test_a_divergence_computed_by_hand() -> None:
    # Eight bins of 0.5 from -2 to 2. Levels -1, 0 and 1 clip beyond 1.5: the bins 1 to 6 stay.
    row = torch.tensor([[-2.0, -1.2, -1.1, -0.7, 0.1, 0.2, 0.8, 2.0]])
    found = Histogram(row, bins=8)
    assert found.counts.tolist() == [[1, 2, 1, 0, 2, 1, 0, 1]]
    levels = Levels(2, "symmetric", scale=torch.tensor([1.0]))
    # P = 3, 1, 0, 2, 1, 1 of 8 in the bins 1 to 6. Without what is clipped the level -1 has three
    # weights in two bins, 0 has two in one and 1 has one in two (bin 6 holds the clipped one):
    # Q = 1.5, 1.5, 0, 2, 0.5, 0.5 of 6.
    p = np.array([3, 1, 2, 1, 1]) / 8
    q = np.array([1.5, 1.5, 2, 0.5, 0.5]) / 6
    assert float(found.divergence(levels)) == pytest.approx((p * np.log(p / q)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 99),
    bits=st.integers(2, 4),
    power=st.integers(1, 3),
    share=st.floats(0.15, 1.0),
)
def test_a_divergence_is_what_its_definition_says(
    scheme: str, seed: int, bits: int, power: int, share: float
) -> None:
    row = weights(seed, 40, power)
    plain = uniform_levels(row, bits, scheme, "absmax")
    levels = Levels(
        bits,
        scheme,
        plain.scale * share,
        plain.zero_point,
        full_range=scheme == "symmetric",
    )
    expected = by_definition(row[0].tolist(), levels, BINS_A_LEVEL << bits)
    assert float(Histogram(row, BINS_A_LEVEL << bits).divergence(levels)) == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_range_is_the_best_of_all_that_are_tried(scheme: str, bits: int) -> None:
    row = weights(3, 200, power=3)
    plain = uniform_levels(row, bits, scheme, "absmax")
    found = uniform_levels(row, bits, scheme, "kl")

    def lost(scale: Tensor) -> float:
        is_full = scheme == "symmetric"
        levels = Levels(bits, scheme, scale, plain.zero_point, full_range=is_full)
        return by_definition(row[0].tolist(), levels, BINS_A_LEVEL << bits)

    tried = [lost(plain.scale * share) for share in torch.linspace(0.15, 1.0, 35)]
    assert lost(found.scale) == pytest.approx(min(tried), abs=1e-9)
    assert lost(found.scale) < lost(plain.scale)


def test_many_weights_are_clipped_where_few_are_far_away() -> None:
    row = torch.cat([weights(0, 5000), torch.tensor([[40.0]])], dim=1)
    wide, narrow = (uniform_levels(row, 4, "symmetric", step) for step in ("absmax", "kl"))
    assert float(narrow.scale) < 0.3 * float(wide.scale)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pruned_weights_do_not_count(scheme: str) -> None:
    kept = weights(0, 300)
    pruned = torch.zeros(1, 30_000)
    pruned[:, 50::100] = kept
    alone, among_zeros = (uniform_levels(each, 4, scheme, "kl") for each in (kept, pruned))
    assert torch.equal(alone.scale, among_zeros.scale)


def test_a_large_group_is_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.cat([weights(0, 1000), weights(1, 1000)])
    whole = Histogram(rows, 64).counts
    monkeypatch.setattr(histogram, "_VALUES_AT_ONCE", 14)
    assert torch.equal(Histogram(rows, 64).counts, whole)
    assert whole.sum(dim=1).tolist() == [1000, 1000]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_groups_without_a_range_keep_a_step_that_can_be_packed(scheme: str) -> None:
    rows = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [1e-44, 0.0, -1e-44]])
    scale = uniform_levels(rows, 3, scheme, "kl").scale
    assert (scale > 0).all()
    assert scale.isfinite().all()
