"""Entropy of images: known values, another library's, and what must not change it."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from trainers.data import entropy
from trainers.data.entropy import image_entropies
from trainers.errors import DataError, PixelTypeError

SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, max_side=6)
IMAGES = arrays.arrays(np.uint8, SHAPES)
MB = 10**6


def flat(copies: int = 1) -> NDArray[np.uint8]:
    """One image in which every value occurs equally often."""
    return np.tile(np.arange(256, dtype=np.uint8), copies).reshape(1, 1, 16, 16 * copies)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_flat_histogram_has_the_most_entropy(copies: int) -> None:
    assert image_entropies(flat(copies)) == pytest.approx([math.log(256)], abs=1e-12)
    assert math.log(256) == pytest.approx(5.545, abs=5e-4)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_constant_image_has_none(value: int) -> None:
    (found,) = image_entropies(np.full((1, 3, 5, 7), value, dtype=np.uint8))
    assert found == 0
    assert not np.signbit(found)


def test_two_values_in_unequal_shares_are_worked_out_by_hand() -> None:
    image = np.array([[9, 9, 9, 200]], dtype=np.uint8)
    assert image_entropies(image) == pytest.approx([0.25 * math.log(4) + 0.75 * math.log(4 / 3)])


def test_channels_are_pooled() -> None:
    # Each channel is constant: entropies by channel would be 0.
    image = np.repeat(np.array([0, 100, 200], dtype=np.uint8), 16).reshape(1, 3, 4, 4)
    assert image_entropies(image) == pytest.approx([math.log(3)])
    grey = np.random.default_rng(0).integers(0, 9, (4, 1, 5, 5), dtype=np.uint8)
    assert image_entropies(np.repeat(grey, 3, axis=1)) == pytest.approx(image_entropies(grey))


def test_random_pixels_stay_below_the_ceiling_for_want_of_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    found = image_entropies(images)
    assert found.mean() == pytest.approx(5.504, abs=2e-3)
    assert found.mean() / math.log(2) == pytest.approx(7.940, abs=3e-3)


def by_scipy(image: NDArray[np.uint8]) -> float:
    """The entropy of one image by another library; base e, as scikit-image's with base=e."""
    return float(scipy.stats.entropy(np.unique(image, return_counts=True)[1]))


@pytest.mark.shared_data
@pytest.mark.parametrize("folder", ["cifar10_lossless", "imagenette160_subset"])
def test_real_images_have_the_entropy_of_another_library(shared_data: Path, folder: str) -> None:
    (archive,) = (shared_data / folder).glob("*.npz")
    with np.load(archive) as loaded:
        images = loaded["x_train"][:500]
    assert len(images) == 500
    assert image_entropies(images) == pytest.approx([by_scipy(each) for each in images], abs=1e-9)


@pytest.mark.slow
@given(IMAGES)
def test_it_agrees_with_another_library_on_any_image(images: NDArray[np.uint8]) -> None:
    expected = [by_scipy(each) for each in images]
    assert image_entropies(images) == pytest.approx(expected, abs=1e-12)


@given(IMAGES)
def test_it_is_between_none_and_what_so_many_pixels_can_have(images: NDArray[np.uint8]) -> None:
    found = image_entropies(images)
    assert found.shape == (len(images),)
    assert np.all(found >= 0)
    assert np.all(found <= math.log(min(256, images[0].size)) + 1e-12)


@given(IMAGES, st.integers(0, 2**32 - 1))
@pytest.mark.slow
def test_where_a_pixel_lies_does_not_matter(images: NDArray[np.uint8], seed: int) -> None:
    rows = images.reshape(len(images), -1)
    shuffled = np.random.default_rng(seed).permuted(rows, axis=1)
    assert np.array_equal(image_entropies(shuffled), image_entropies(images))


@pytest.mark.slow
@given(IMAGES, st.permutations(range(256)))
def test_which_value_is_which_does_not_matter(
    images: NDArray[np.uint8], values: list[int]
) -> None:
    renamed = np.array(values, dtype=np.uint8)[images]
    assert image_entropies(renamed) == pytest.approx(image_entropies(images), abs=1e-12)


@pytest.mark.slow
@given(IMAGES, st.integers(1, 4))
def test_copies_of_all_images_leave_the_mean_as_it_is(
    images: NDArray[np.uint8], copies: int
) -> None:
    found = image_entropies(np.repeat(images, copies, axis=0))
    assert found.mean() == pytest.approx(image_entropies(images).mean(), abs=1e-12)


@pytest.mark.slow
@given(IMAGES)
def test_it_does_not_depend_on_how_many_are_counted_at_once(images: NDArray[np.uint8]) -> None:
    whole = image_entropies(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy, "_AT_ONCE", 2)
        assert np.array_equal(image_entropies(images), whole)


def test_layouts_that_are_not_contiguous_are_counted_alike() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    expected = image_entropies(images)
    assert np.array_equal(image_entropies(images.transpose(0, 3, 1, 2)), expected)
    images.setflags(write=False)
    assert np.array_equal(image_entropies(images[::-1]), expected[::-1])


# Large and small images, and one that is larger than what is counted at once.
@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4_000, 3, 64, 64), (200_000, 1, 2, 2), (1, 3, 2_000, 2_000)])
def test_it_takes_some_megabytes_however_many_images_there_are(shape: tuple[int, ...]) -> None:
    images = np.broadcast_to(np.uint8(3), shape)
    tracemalloc.start()
    try:
        found = image_entropies(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.all(found == 0)
    assert peak < 60 * MB


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    images = np.zeros((9_000, 1, 2, 2), dtype=np.uint8)
    image_entropies(images, progress=lambda done, total: told.append((done, total)))
    assert told == [(4_096, 9_000), (8_192, 9_000), (9_000, 9_000)]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.int8, np.bool_])
def test_other_types_are_refused_with_the_reason(kind: type) -> None:
    with pytest.raises(PixelTypeError, match=r"of type \w+.*nearly every value is unique.*uint8"):
        image_entropies(np.zeros((2, 3, 4, 4), dtype=kind))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0), (5,), ()])
def test_no_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="at least one pixel"):
        image_entropies(np.zeros(shape, dtype=np.uint8))
