"""What logits say beyond accuracy: of each class alike, and of how sure the network is.

Written out on arrays, because importing scikit-learn's metrics takes a second in every worker; the
tests compare them with scikit-learn's.
"""

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]

TOP = 5
"""Largest logits that count for `top5_accuracy`."""

_BINS = 15


def class_metrics(logits: Logits, labels: Labels) -> dict[str, float]:
    """Measure a classifier by its logits.

    >>> logits = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]], np.float32)
    >>> found = class_metrics(logits, np.array([0, 0, 1]))
    >>> found["balanced_accuracy"], round(found["macro_f1"], 3)
    (0.5, 0.4)

    Args:
        logits: float (N, classes) without NaN; N of at least 1.
        labels: int64 (N,), the true classes.

    Returns:
        ``balanced_accuracy``: mean over the classes that occur of the fraction of their images
        that is classified correctly. ``macro_f1``: mean over the same classes of the harmonic mean
        of precision and recall. ``nll``: mean of minus the logarithm of the probability of the
        true class. ``ece``: expected calibration error in 15 bins of equal width; both are left
        out if a probability is zero or not a number. ``top5_accuracy``: the fraction whose true
        class has one of the five largest logits; left out if there are five classes or fewer.

    References:
        K. Brodersen et al. The balanced accuracy and its posterior distribution. 2010.
        https://doi.org/10.1109/ICPR.2010.764
        C. Guo et al. On calibration of modern neural networks. 2017, equation 3.
        https://arxiv.org/abs/1706.04599
    """
    values = _by_class(logits.argmax(1), labels, logits.shape[1])
    # An infinite logit gives NaN here, and infinity where a probability is zero.
    with np.errstate(all="ignore"):
        log_probabilities = _log_softmax(logits.astype(np.float64))
    nll = -log_probabilities[np.arange(len(labels)), labels].mean()
    if np.isfinite(nll):
        values["nll"] = float(nll)
        values["ece"] = _calibration_error(np.exp(log_probabilities), labels)
    if logits.shape[1] > TOP:
        largest = np.argpartition(-logits, TOP - 1, axis=1)[:, :TOP]
        values["top5_accuracy"] = float((largest == labels[:, None]).any(1).mean())
    return values


def _by_class(predicted: Labels, labels: Labels, classes: int) -> dict[str, float]:
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predicted), 1)
    of_class, as_class, right = counts.sum(1), counts.sum(0), counts.diagonal()
    occurs = of_class > 0
    recall = right[occurs] / of_class[occurs]
    f1 = 2 * right[occurs] / (of_class + as_class)[occurs]
    return {"balanced_accuracy": float(recall.mean()), "macro_f1": float(f1.mean())}


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def _calibration_error(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Weigh the difference of confidence and accuracy in each bin by its share of the images."""
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, confidence - correct, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))
