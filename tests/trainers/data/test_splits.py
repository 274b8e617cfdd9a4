import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.data.splits import split_indices, stratified_choice
from trainers.errors import DataError

COUNTS = st.lists(st.integers(3, 60), min_size=2, max_size=6)
FRACTIONS = st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45))
ANY_FRACTIONS = st.tuples(st.floats(0.01, 0.98), st.floats(0.01, 0.98)).filter(
    lambda f: sum(f) < 1
)


def labels_of(counts: list[int]) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


def names_of(counts: list[int]) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(len(counts)))


@given(COUNTS, ANY_FRACTIONS, st.integers(0, 2**32))
def test_parts_are_disjoint_complete_and_hold_every_class(
    counts: list[int], fractions: tuple[float, float], seed: int
) -> None:
    labels = labels_of(counts)
    parts = split_indices(labels, names_of(counts), fractions, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for part in parts:
        assert set(labels[part]) == set(range(len(counts)))


@given(st.lists(st.integers(20, 60), min_size=2, max_size=6), FRACTIONS)
def test_each_class_is_shared_out_in_the_asked_proportion(
    counts: list[int], fractions: tuple[float, float]
) -> None:
    labels = labels_of(counts)
    parts = split_indices(labels, names_of(counts), fractions, 0)
    for part, fraction in zip(parts, fractions, strict=False):
        for label, count in enumerate(counts):
            assert abs((labels[part] == label).sum() - max(1, count * fraction)) <= 0.5


def test_the_seed_alone_decides() -> None:
    labels = labels_of([40, 40])
    first, again, other = (split_indices(labels, ("a", "b"), (0.3,), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_class_with_too_few_images_is_named(count: int) -> None:
    labels = labels_of([9, count])
    with pytest.raises(DataError, match=rf"'class 1' has {count} image.*3 are needed"):
        split_indices(labels, ("class 0", "class 1"), (0.2, 0.2), 0)


@given(COUNTS, st.integers(1, 100), st.integers(0, 9))
def test_a_choice_keeps_the_proportions_and_the_number(
    counts: list[int], count: int, seed: int
) -> None:
    labels = labels_of(counts)
    chosen = stratified_choice(labels, count, seed)
    assert len(set(chosen)) == len(chosen) == min(count, len(labels))
    for label, size in enumerate(counts):
        share = size * len(chosen) / len(labels)
        assert abs((labels[chosen] == label).sum() - share) <= len(counts) / 2 + 0.5


def test_a_larger_choice_contains_the_smaller_one() -> None:
    labels = labels_of([30, 20, 10])
    assert set(stratified_choice(labels, 12, 0)) < set(stratified_choice(labels, 30, 0))
