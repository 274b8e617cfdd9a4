"""Shannon entropy of images: how evenly the 256 values of a pixel are used."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.errors import DataError, PixelTypeError

WHY_UINT8 = (
    "The entropy counts how often each of the 256 values of a pixel occurs. In images in floating "
    "point, or normalised already, nearly every value is unique, and it would be the logarithm of "
    "the number of values whatever the images show; give the pixels as uint8, as they were before "
    "normalisation."
)
"""Why other types are refused."""

_VALUES = 256
# Each takes 8 bytes while it is counted, and each of an image's 256 counts takes 8 bytes too.
_AT_ONCE = 2**20


def image_entropies(
    images: NDArray[Any], *, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float64]:
    """Compute the Shannon entropy of each image in nats, over all its channels.

    H = - sum_v p_v ln p_v, where p_v is the share of the image's values that equal v. It lies
    between 0 (a constant image) and ln 256 = 5.545 (every value equally often), and does not
    depend on the position of a pixel. It needs a few megabytes, however many images there are.

    Args:
        images: uint8, the first axis counts the images; of any layout.
        progress: Called from time to time with the numbers of finished and of all images.

    Returns:
        float64 (N,).

    Raises:
        PixelTypeError: They are not uint8.
        DataError: There is no image, or no pixel.

    >>> constant, checkered = np.zeros((2, 2)), np.array([[0, 255], [255, 0]])
    >>> image_entropies(np.array([constant, checkered], dtype=np.uint8)).round(3).tolist()
    [0.0, 0.693]
    """
    if images.dtype != np.uint8:
        raise PixelTypeError(f"the images are of type {images.dtype}. {WHY_UINT8}")
    if images.ndim < 2 or 0 in images.shape:
        raise DataError(
            f"the images are an array of shape {images.shape}; wanted is at least one image with "
            f"at least one pixel, the first axis counting the images."
        )
    count, pixels = len(images), images[0].size
    found = np.empty(count)
    step = max(1, _AT_ONCE // max(pixels, _VALUES))
    for start in range(0, count, step):
        part = images[start : start + step]
        found[start : start + step] = _entropies(_histograms(part.reshape(len(part), pixels)))
        if progress is not None:
            progress(min(start + step, count), count)
    return found


def _histograms(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count each value in each row: int64 (N, 256)."""
    count, pixels = rows.shape
    counts = np.zeros((count, _VALUES), dtype=np.int64)
    first_bins = np.arange(count)[:, None] * _VALUES
    step = _AT_ONCE // count
    for start in range(0, pixels, step):
        bins = rows[:, start : start + step] + first_bins
        found = np.bincount(bins.ravel(), minlength=count * _VALUES)
        counts += found.reshape(count, _VALUES)
    return counts


def _entropies(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy of each row; `abs`, because for a single value the sum is -0.0."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    found: NDArray[np.float64] = np.abs((shares * logarithms).sum(axis=1))
    return found
