"""Augmented training images, each drawn from the seed, the epoch and the image alone.

So a batch may be made again, of another size or in another process, and every image in it is the
same to the last bit.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torchvision.transforms import v2

from trainers.determinism import derive_seed
from trainers.recipes.augmentations import augmentations
from trainers.recipes.config import RecipeConfig
from trainers.training.examples import Draw

_MID_GREY = 128


class Augmenter:
    """Draws augmented views of images.

    Args:
        recipe: Its `augment` and `erasing`.
        seed: Seed of the training.
        image_shape: (C, H, W) of an image.
    """

    def __init__(self, recipe: RecipeConfig, seed: int, image_shape: tuple[int, ...]) -> None:
        self._seed = seed
        size = (image_shape[1], image_shape[2])
        made = [_MADE[name](amount, size) for name, amount in augmentations(recipe.augment)]
        if recipe.erasing:
            made.append(v2.RandomErasing(recipe.erasing, value=_MID_GREY))
        self._transform: Callable[[Tensor], Tensor] = v2.Compose(made)

    def views(self, images: Tensor, draws: Sequence[Draw]) -> Tensor:
        """Draw one view of each image.

        Args:
            images: uint8 (N, C, H, W).
            draws: What the view of each image is drawn from.

        Returns:
            uint8 (N, C, H, W).
        """
        # The transforms draw from torch's global generator, which is left as it was found.
        with torch.random.fork_rng(devices=[]):
            return torch.stack(
                [
                    self._drawn(image, derive_seed(self._seed, "augment", *draw))
                    for image, draw in zip(images, draws, strict=True)
                ]
            )

    def _drawn(self, image: Tensor, seed: int) -> Tensor:
        # Not `torch.manual_seed`, which looks for a GPU each time and takes longer than a crop.
        torch.default_generator.manual_seed(seed)
        return self._transform(image)


Size = tuple[int, int]


def _crop(share: float, size: Size) -> v2.Transform:
    return v2.RandomCrop(size, padding=max(1, round(share * min(size))) if share else None)


def _jitter(amount: float, size: Size) -> v2.Transform:
    del size
    return v2.ColorJitter(amount, amount, amount, amount / 10)


def _trivial(probability: float, size: Size) -> v2.Transform:
    del size
    return v2.RandomApply([v2.TrivialAugmentWide()], probability)


def _plain(make: Callable[[float], v2.Transform], amount: float, size: Size) -> v2.Transform:
    del size
    return make(amount)


def _jpeg(quality: float, size: Size) -> v2.Transform:
    del size
    return v2.JPEG((round(quality), 100))


_MADE: Mapping[str, Callable[[float, Size], v2.Transform]] = {
    "flip": partial(_plain, v2.RandomHorizontalFlip),
    "vertical_flip": partial(_plain, v2.RandomVerticalFlip),
    "crop": _crop,
    "resized_crop": lambda area, size: v2.RandomResizedCrop(size, (area, 1.0), antialias=True),
    "rotation": partial(_plain, v2.RandomRotation),
    "color_jitter": _jitter,
    "grayscale": partial(_plain, v2.RandomGrayscale),
    "negative": partial(_plain, v2.RandomInvert),
    "jpeg": _jpeg,
    "trivial": _trivial,
    "randaugment": partial(_plain, lambda magnitude: v2.RandAugment(magnitude=int(magnitude))),
}
