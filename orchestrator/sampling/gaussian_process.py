"""A Gaussian process for a few hundred points, in NumPy."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from orchestrator.columns import Floats

# Logarithms of the hyperparameters: where the search for them begins, and how far it may go.
_START = {"scale": math.log(0.5), "noise": math.log(0.05)}
_NOISE = (math.log(1e-3), math.log(1.0))
_SCALES = (math.log(1e-3), math.log(30.0))
# Weakly held beliefs, so that a handful of points decides nothing for good.
_SPREAD = 1.5
_STEPS = 25


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a fit found, from which the next one may begin.

    Attributes:
        log_weights: Shape ``(d,)``: how much each feature counts, as logarithms.
        log_noise: The noise's share of the variance, as a logarithm.
    """

    log_weights: Floats
    log_noise: float

    @classmethod
    def first(cls, features: int) -> "Hyperparameters":
        """Return where a search begins."""
        return cls(np.full(features, _START["scale"]), _START["noise"])


class GaussianProcess:
    """Predicts a value, with how uncertain it is.

    The kernel is Matern 5/2 of a distance that is the sum of the features' squared distances, each
    with a weight of its own. The weights and the noise maximize the posterior, by Rprop.

    Args:
        apart: Shape ``(n, n, d)``: squared distances of the points by feature.
        values: Shape ``(n,)``.
        begin: Hyperparameters to begin with.
        steps: How many steps to search them; 0 keeps those of `begin`.

    References:
        C. E. Rasmussen, C. K. I. Williams. Gaussian processes for machine learning. MIT Press,
        2006, sections 2.2, 4.2 and 5.4. http://gaussianprocess.org/gpml/

    Attributes:
        found: The hyperparameters.
    """

    def __init__(
        self,
        apart: Floats,
        values: Floats,
        begin: Hyperparameters | None = None,
        *,
        steps: int = _STEPS,
    ) -> None:
        self._mean = float(values.mean())
        self._spread = float(values.std()) or 1.0
        self._targets = (values - self._mean) / self._spread
        begin = begin or Hyperparameters.first(apart.shape[2])
        self.found = _searched(apart, self._targets, begin, steps)
        kernel = _kernel(apart @ np.exp(self.found.log_weights))
        kernel[np.diag_indices_from(kernel)] += math.exp(self.found.log_noise)
        self._factor = cho_factor(kernel, lower=True)
        self._weighted = cho_solve(self._factor, self._targets)

    def predict(self, apart: Floats) -> tuple[Floats, Floats]:
        """Predict the value at other points.

        Args:
            apart: Shape ``(c, n, d)``: squared distances from the points that are known.

        Returns:
            Mean and standard deviation of what would be measured, each of shape ``(c,)``. It
            includes the noise: a front is made of what was measured.

        >>> x = np.array([[0.0], [0.5], [1.0]])
        >>> apart = (x[:, None] - x[None]) ** 2
        >>> mean, deviation = GaussianProcess(apart, np.array([0.0, 1.0, 2.0])).predict(apart[:1])
        >>> bool(abs(mean[0]) < 0.5), bool(deviation[0] < 0.6)
        (True, True)
        """
        kernel = _kernel(apart @ np.exp(self.found.log_weights))
        mean = kernel @ self._weighted
        solved = solve_triangular(self._factor[0], kernel.T, lower=True, check_finite=False)
        noise = math.exp(self.found.log_noise)
        left = np.sqrt(np.maximum(1.0 - (solved**2).sum(axis=0), 0.0) + noise)
        return self._mean + self._spread * mean, self._spread * left


def _kernel(squared: Floats) -> Floats:
    root = np.sqrt(5.0 * squared)
    kernel: Floats = (1.0 + root + root**2 / 3.0) * np.exp(-root)
    return kernel


def _searched(
    apart: Floats, targets: Floats, begin: Hyperparameters, steps: int
) -> Hyperparameters:
    """Search by Rprop: only signs of the gradient count, so that no scale has to be known."""
    at = np.append(begin.log_weights, begin.log_noise)
    low = np.append(np.full(apart.shape[2], _SCALES[0]), _NOISE[0])
    high = np.append(np.full(apart.shape[2], _SCALES[1]), _NOISE[1])
    step, before = np.full(len(at), 0.3), np.zeros(len(at))
    best, best_loss = at, math.inf
    for _ in range(steps):
        loss, gradient = _loss(apart, targets, at)
        if loss < best_loss:
            best, best_loss = at, loss
        agrees = np.sign(gradient) * np.sign(before)
        step = np.clip(step * np.where(agrees > 0, 1.3, np.where(agrees < 0, 0.5, 1.0)), 1e-3, 1.0)
        at = np.clip(at - np.sign(gradient) * step, low, high)
        before = gradient
    return Hyperparameters(best[:-1], float(best[-1]))


def _loss(apart: Floats, targets: Floats, at: Floats) -> tuple[float, Floats]:
    """Negative logarithm of the posterior and its gradient (GPML, equations 5.8 and 5.9)."""
    weights, noise = np.exp(at[:-1]), math.exp(at[-1])
    squared = apart @ weights
    kernel = _kernel(squared)
    noisy = kernel + noise * np.eye(len(targets))
    factor = cho_factor(noisy, lower=True)
    inverse = cho_solve(factor, np.eye(len(targets)))
    solved = inverse @ targets
    start = np.append(np.full(apart.shape[2], _START["scale"]), _START["noise"])
    belief = (at - start) / _SPREAD
    loss = 0.5 * targets @ solved + np.log(np.diag(factor[0])).sum() + 0.5 * belief @ belief
    outer = 0.5 * (inverse - np.outer(solved, solved))
    # d kernel / d squared distance, of Matern 5/2.
    root = np.sqrt(5.0 * squared)
    slope = -5.0 / 6.0 * (1.0 + root) * np.exp(-root)
    by_weight = np.einsum("ij,ijd->d", outer * slope, apart, optimize=True) * weights
    by_noise = np.trace(outer) * noise
    return float(loss), np.append(by_weight, by_noise) + belief / _SPREAD
