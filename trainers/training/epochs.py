"""The batches of each epoch of a training, as its recipe draws, augments and mixes them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.determinism import derive_seed
from trainers.errors import TrainerError
from trainers.training.examples import Draw, Examples, steps_of
from trainers.training.loop import Batch
from trainers.training.mixing import Mixer

if TYPE_CHECKING:
    from trainers.training.augmenting import Augmenter


class EpochBatches:
    """Gives the training batches of an epoch, the same whenever they are asked for.

    Args:
        config: Its seed, batch size and recipe.
        data: Its training images.

    Raises:
        TrainerError: These images cannot be trained on by this recipe.
    """

    def __init__(self, config: TrialConfig, data: ImageData) -> None:
        self._config = config
        self._images, labels = data.subset("train")
        recipe = config.recipe
        channels, classes = self._images.shape[1], len(data.classes)
        if problem := recipe.problem(channels=channels, classes=classes):
            raise TrainerError(problem)
        self._augmenter = _augmenter(config, self._images.shape[1:]) if recipe.augments else None
        self._mixer = Mixer(recipe, config.seed, classes) if recipe.mixes else None
        self._views = config.recipe.kept_views(config.tune, config.epochs)
        self._chances = _balanced(labels) if recipe.balanced_sampling else None

    def of(self, epoch: int, examples: Examples) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 1.
            examples: The training images, or features of the view that `view` names.
        """
        order = self._order(epoch)
        steps = steps_of(np.arange(len(order)), self._config.batch_size)
        if examples.inputs is not self._images or not (self._augmenter or self._mixer):
            yield from (examples.at(order[positions]) for positions in steps)
            return
        repeats = np.zeros(len(order), int) if self._chances is None else _repeats(order)
        for positions in steps:
            if self._mixer is None:
                yield self._views_at(examples, order[positions], repeats[positions], epoch)
                continue
            # With the image that follows the last one: each is mixed with its successor.
            positions = np.append(positions, (positions[-1] + 1) % len(order))
            chosen, again = order[positions], repeats[positions]
            images, labels = self._views_at(examples, chosen, again, epoch)
            draws = _draws(epoch, chosen[:-1], again[:-1])
            yield self._mixer.mixed((images[:-1], labels[:-1]), (images[1:], labels[1:]), draws)

    def view(self, epoch: int) -> int:
        """Return the number of the view of each image that an epoch sees."""
        return (epoch - 1) % self._views + 1 if self._views else epoch

    def of_view(self, view: int, examples: Examples, size: int, which: slice) -> Iterator[Batch]:
        """Yield one view of a slice of the training images, whose features are to be kept."""
        chosen = np.arange(examples.count)[which]
        for first in range(0, len(chosen), size):
            images = chosen[first : first + size]
            yield self._views_at(examples, images, np.zeros_like(images), view)

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(derive_seed(self._config.seed, "order", epoch))
        if self._chances is None:
            return rng.permutation(len(self._images))
        return rng.choice(len(self._images), len(self._images), p=self._chances)

    def _views_at(
        self, examples: Examples, chosen: np.ndarray, repeats: np.ndarray, epoch: int
    ) -> Batch:
        augmenter = self._augmenter
        if augmenter is None:
            return examples.at(chosen)
        # A kept view has one form, however often it is drawn.
        again = np.zeros_like(repeats) if self._views else repeats
        draws = _draws(self.view(epoch), chosen, again)

        def change(images: Tensor) -> Tensor:
            return augmenter.views(images, draws)

        return examples.at(chosen, change)


def _augmenter(config: TrialConfig, image_shape: tuple[int, ...]) -> "Augmenter":
    # Imported here: torchvision's transforms take seconds to load.
    from trainers.training.augmenting import Augmenter

    return Augmenter(config.recipe, config.seed, image_shape)


def _draws(epoch: int, chosen: np.ndarray, repeats: np.ndarray) -> Sequence[Draw]:
    return [
        (epoch, int(index), int(again)) if again else (epoch, int(index))
        for index, again in zip(chosen, repeats, strict=True)
    ]


def _balanced(labels: np.ndarray) -> np.ndarray:
    """Return the probability of each image with which every class is drawn equally often."""
    chances: np.ndarray = 1 / np.bincount(labels)[labels]
    return np.asarray(chances / chances.sum())


def _repeats(order: np.ndarray) -> np.ndarray:
    """Count how often each image of an order occurred before.

    >>> _repeats(np.array([3, 1, 3, 3])).tolist()
    [0, 0, 1, 2]
    """
    seen: dict[int, int] = {}
    found = np.empty(len(order), int)
    for position, index in enumerate(order.tolist()):
        found[position] = seen.get(index, 0)
        seen[index] = found[position] + 1
    return found
