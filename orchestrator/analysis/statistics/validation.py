"""Reject empty input, NaN, and unpaired samples."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def numbers(values: ArrayLike, what: str, *, least: int = 1) -> Floats:
    """Convert values to float64 (n,), or reject them.

    Args:
        values: The values given.
        what: Their name in messages.
        least: How many are needed.

    Raises:
        ValueError: There are fewer, they have another shape, or one is NaN or infinite.

    >>> numbers([0.9, float("nan")], "accuracies")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: accuracies holds 1 values that are NaN or infinite: ...
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(
            f"{what} has shape {array.shape}; a list of at least {least} "
            f"number{'s' if least > 1 else ''} is needed."
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{what} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite: "
            f"leave out what was not measured, on both sides of a pair."
        )
    return array


def outcomes(values: ArrayLike, what: str) -> Bools:
    """Convert outcomes, right or wrong, to bool (n,) or (seeds, n), or reject them.

    Raises:
        ValueError: There are none, or they are not bool (predictions given by mistake).

    >>> outcomes([True, False], "candidate").tolist()
    [True, False]
    >>> outcomes([3, 7], "candidate")
    Traceback (most recent call last):
    ValueError: candidate has the type int64; outcomes are bools: predictions == labels.
    """
    array = np.asarray(values)
    if array.size == 0 or array.ndim not in (1, 2):
        raise ValueError(
            f"{what} has shape {array.shape}; outcomes of at least 1 image are needed, as (n,) "
            f"or (seeds, n)."
        )
    if array.dtype != np.bool_:
        raise ValueError(
            f"{what} has the type {array.dtype}; outcomes are bools: predictions == labels."
        )
    return array


def same_shape(first: NDArray[np.generic], second: NDArray[np.generic]) -> None:
    """Reject two arrays that cannot be paired one by one.

    Raises:
        ValueError: The shapes differ.

    >>> same_shape(np.zeros(3), np.zeros(2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: pairs are needed, but the sides have shapes (3,) and (2,): ...
    """
    if first.shape != second.shape:
        raise ValueError(
            f"pairs are needed, but the sides have shapes {first.shape} and {second.shape}: "
            f"measure both on the same images and seeds."
        )


def fraction(value: float, what: str) -> float:
    """Reject a margin, level or alpha outside of (0, 1), and NaN.

    Raises:
        ValueError: The value is outside.

    >>> fraction(0.05, "alpha")
    0.05
    >>> fraction(5, "alpha")
    Traceback (most recent call last):
    ValueError: alpha is 5; a fraction above 0 and below 1 is needed.
    """
    if not 0 < value < 1:
        raise ValueError(f"{what} is {value!r}; a fraction above 0 and below 1 is needed.")
    return value
