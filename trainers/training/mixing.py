"""MixUp and CutMix, each pair drawn from the seed, the epoch and the image alone.

An image is mixed with the one that follows it in the epoch's order, whichever batch that is in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainers.determinism import derive_seed
from trainers.recipes.config import RecipeConfig
from trainers.training.examples import Draw
from trainers.training.loop import Batch


@dataclass(frozen=True, slots=True)
class Mixer:
    """Mixes images and their labels.

    With a share `s` of its own, drawn from Beta(alpha, alpha), MixUp takes `s` of an image's
    pixels and `1 - s` of the other's; CutMix replaces a rectangle of `1 - s` of the area by the
    other's. The label is shared accordingly: by the area that is really replaced.

    Attributes:
        recipe: Its `mixup` and `cutmix`.
        seed: Seed of the training.
        classes: Number of classes.

    References:
        H. Zhang et al. mixup: beyond empirical risk minimization. 2018, section 2.
        https://arxiv.org/abs/1710.09412
        S. Yun et al. CutMix. 2019, equations 1 and 2. https://arxiv.org/abs/1905.04899
    """

    recipe: RecipeConfig
    seed: int
    classes: int

    def mixed(self, own: Batch, others: Batch, draws: Sequence[Draw]) -> Batch:
        """Mix images with others.

        Args:
            own: Float pixels (N, C, H, W) and int64 labels (N,).
            others: What each is mixed with, in the same form.
            draws: What the share of each image is drawn from.

        Returns:
            Pixels, and the share of each class: float (N, classes).
        """
        (images, labels), (other_images, other_labels) = own, others
        size = (images.shape[2], images.shape[3])
        shares = [self._share(draw, size) for draw in draws]
        share = torch.stack([each.expand(size) for each in shares])[:, None].to(images)
        kept = torch.stack([each.mean() for each in shares])[:, None].to(images)
        own_targets, other_targets = self._one_hot(labels, kept), self._one_hot(other_labels, kept)
        targets = kept * own_targets + (1 - kept) * other_targets
        return share * images + (1 - share) * other_images, targets

    def _one_hot(self, labels: Tensor, like: Tensor) -> Tensor:
        return functional.one_hot(labels, self.classes).to(like)

    def _share(self, draw: Draw, size: tuple[int, int]) -> Tensor:
        """Draw the share of each of an image's pixels that is its own: float (H, W) or (1, 1)."""
        rng = np.random.default_rng(derive_seed(self.seed, "mix", *draw))
        mixup, cutmix = self.recipe.mixup, self.recipe.cutmix
        cuts = cutmix > 0 and (not mixup or rng.random() < 0.5)
        kept = rng.beta(cutmix, cutmix) if cuts else rng.beta(mixup, mixup)
        if not cuts:
            return torch.full((1, 1), kept)
        share = torch.ones(size)
        rows, columns = (_span(rng, side, kept) for side in size)
        share[rows, columns] = 0
        return share


def _span(rng: np.random.Generator, side: int, kept: float) -> slice:
    """Draw where a rectangle of a share `1 - kept` of the area lies along one side."""
    half = side * np.sqrt(1 - kept) / 2
    centre = rng.uniform(0, side)
    return slice(max(0, round(centre - half)), min(side, round(centre + half)))
