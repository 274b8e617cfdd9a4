"""Capacity: the search finds where fitting ends, and more width fits more."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.heads.capacity import head_capacity, largest_sample

Config = Callable[..., TrialConfig]


@given(st.integers(1, 5000), st.integers(0, 6000))
def test_the_search_ends_within_a_tenth_of_where_fitting_ends(total: int, limit: int) -> None:
    tried: list[int] = []

    def is_fitted(size: int) -> bool:
        tried.append(size)
        return size <= limit

    images, is_bounded = largest_sample(total, is_fitted)
    assert is_bounded == (limit < total)
    assert max(tried) <= total
    assert images <= limit
    if images:
        assert min(limit, total) <= 1.1 * images + 1
    else:
        assert limit < min(16, total)
    assert len(tried) < 20


@pytest.mark.slow
def test_a_wider_head_remembers_more_random_labels(bands: ImageData, make_config: Config) -> None:
    found = {
        width: head_capacity(
            make_config(weights="bundled", widths=(width,), epochs=60, learning_rate=1e-2),
            bands,
            random_labels=True,
        )
        for width in (1, 64)
    }
    assert found[1].images < found[64].images
    assert found[1].is_bounded
    assert found[64].parameters == 64 * 577 + 3 * 65
