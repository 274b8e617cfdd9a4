"""How precisely a number is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from orchestrator.analysis.statistics.validation import fraction, numbers, same_shape


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: Its confidence, in (0, 1).
    """

    low: float
    high: float
    level: float = 0.95


def accuracy_interval(correct: int, images: int, level: float = 0.95) -> Interval:
    """Where an accuracy lies of which `correct` of `images` were right (Wilson's interval).

    Raises:
        ValueError: There are no images, or more are right than there are.

    References:
        E. B. Wilson. Probable inference, the law of succession, and statistical inference. JASA
        22, 1927. https://doi.org/10.1080/01621459.1927.10502953
    """
    if images < 1 or not 0 <= correct <= images:
        raise ValueError(
            f"{correct} of {images} images right: at least 1 image is needed, and from 0 to all "
            f"of them right."
        )
    test = stats.binomtest(int(correct), int(images))
    found = test.proportion_ci(fraction(level, "level"), method="wilson")
    return Interval(float(found.low), float(found.high), level)


def bootstrap_interval(
    first: ArrayLike,
    second: ArrayLike | None = None,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 9_999,
) -> Interval:
    """Where a mean lies, or the mean difference of pairs (bias-corrected, accelerated bootstrap).

    Args:
        first: Numbers, at least two; one a seed or an image.
        second: The other of each pair, if the difference is asked for.
        seed: Of the resampling.
        level: Of the interval.
        resamples: How many.

    Raises:
        ValueError: There are fewer than two, they do not match, one is NaN, or all are equal:
            resampling them would give an interval of no width, which is no knowledge.

    References:
        B. Efron. Better bootstrap confidence intervals. JASA 82, 1987.
        https://doi.org/10.1080/01621459.1987.10478410
    """
    values = numbers(first, "first", least=2)
    if second is not None:
        other = numbers(second, "second", least=2)
        same_shape(values, other)
        # Pairs stay pairs: what is resampled is the difference within each.
        values = values - other
    if np.ptp(values) == 0:
        raise ValueError(
            f"all {len(values)} values are {values[0]:g}: a bootstrap of them would have no "
            f"width. For right and wrong answers there are accuracy_interval and "
            f"difference_interval."
        )
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=fraction(level, "level"),
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high), level)
