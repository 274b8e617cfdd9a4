"""How alike the hidden features of two networks are: linear centred kernel alignment (CKA)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.stages.cache import StageCache
from trainers.training.beginnings import frozen_key
from trainers.training.finetune import FineTuning

_BATCH = 256


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Compute linear CKA of two sets of features of the same inputs.

    `||Y^T X||^2 / (||X^T X|| ||Y^T Y||)` of centred features, in Frobenius norms: 1 for features
    that are equal up to a rotation and a factor, near 0 for unrelated ones of many inputs.

    Args:
        first: `X`, float (N, a).
        second: `Y`, float (N, b).

    Returns:
        In [0, 1]; NaN where all inputs have the same features.

    References:
        S. Kornblith et al. Similarity of neural network representations revisited. ICML 2019,
        section 3. https://arxiv.org/abs/1905.00414

    >>> features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    >>> rotated = 3 * features[:, [2, 0, 3, 1]] + 5
    >>> round(linear_cka(features, rotated), 6)
    1.0
    """
    own, other = (each.double() - each.double().mean(0) for each in (first, second))
    # By the kernels of the inputs where there are more features than inputs.
    if len(own) < max(own.shape[1], other.shape[1]):
        kernels = own @ own.t(), other @ other.t()
        together = (kernels[0] * kernels[1]).sum()
        return float(together / (kernels[0].norm() * kernels[1].norm()))
    together = (other.t() @ own).square().sum()
    return float(together / ((own.t() @ own).norm() * (other.t() @ other).norm()))


def joined_cka(parts: Sequence[Tensor], other: Tensor) -> float:
    """Compute linear CKA of several sets of features, side by side, and another set.

    >>> features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    >>> round(joined_cka([features[:, :1], features[:, 1:]], features), 6)
    1.0
    """
    return linear_cka(torch.cat(list(parts), 1), other)


def trained_head(
    config: TrialConfig,
    data: ImageData,
    *,
    like: FineTuning | None = None,
    cache: StageCache | None = None,
) -> FineTuning:
    """Train a head on a frozen backbone.

    Args:
        config: With ``tune: head``.
        data: The images.
        like: A training on the same images, whose features are shared if they are the same.
        cache: Where a finished training is looked for, and kept.
    """
    shares = like is not None and frozen_key(config) == frozen_key(like.config)
    shared = like if shares else None
    training = FineTuning(config, data, device=torch.device("cpu"), like=shared, cache=cache)
    while not training.finished:
        training.run_epoch()
    training.keep()
    return training


@torch.inference_mode()
def hidden_features(training: FineTuning) -> Tensor:
    """Return what the last layer of a head reads, for the validation images: float (N, width)."""
    network = training.network.eval()
    hidden = network.head[:-1]
    # A training that came from the cache has kept no features.
    vectors = (lambda inputs: inputs) if training.on_features else network.feature_vectors
    batches = training.val.batches(_BATCH)
    return torch.cat([hidden(vectors(inputs)) for inputs, _ in batches])
