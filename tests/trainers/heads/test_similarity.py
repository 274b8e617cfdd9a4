"""CKA: what leaves it as it is, and its two ways to the same number."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.heads.similarity import linear_cka


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(3, 20), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_rotation_a_factor_and_a_shift_change_nothing(
    inputs: int, width: int, other: int, seed: int
) -> None:
    first, second = drawn(seed, inputs, width), drawn(seed + 1000, inputs, other)
    rotation = torch.linalg.qr(drawn(seed + 2000, width, width)).Q
    found = linear_cka(first, second)
    assert 0 <= found <= 1 + 1e-9
    assert linear_cka(first @ rotation * 3 + 2, second) == pytest.approx(found, abs=1e-9)
    assert linear_cka(second, first) == pytest.approx(found, abs=1e-9)
    assert linear_cka(first, first) == pytest.approx(1)


def test_both_ways_are_the_definition() -> None:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with centred linear kernels, by hand."""
    for inputs in (5, 50):
        first, second = drawn(0, inputs, 8), drawn(1, inputs, 3)
        centre = torch.eye(inputs, dtype=torch.float64) - 1 / inputs
        kernels = [centre @ each @ each.t() @ centre for each in (first, second)]
        hsic = [[float((one * other).sum()) for other in kernels] for one in kernels]
        expected = hsic[0][1] / (hsic[0][0] * hsic[1][1]) ** 0.5
        assert linear_cka(first, second) == pytest.approx(expected)


def test_unrelated_features_of_many_inputs_have_little_in_common() -> None:
    assert linear_cka(drawn(0, 5000, 4), drawn(1, 5000, 4)) < 0.01
