"""The features that a frozen backbone computes once: of training views and validation images."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainers.networks.network import Network
from trainers.training.epochs import EpochBatches
from trainers.training.examples import Examples

_BATCH = 256
_VAL = "val"


class FrozenFeatures:
    """Computes features, and makes examples of them.

    Args:
        network: Its backbone is frozen.
        batches: Augments the training images.
        views: How many views of a training image are kept; 1 without augmentation.
        train: Training images.
        val: Validation images.

    Attributes:
        counts: How many images there are, by the name of what their features are kept under.
    """

    def __init__(
        self, network: Network, batches: EpochBatches, views: int, train: Examples, val: Examples
    ) -> None:
        self._network, self._batches = network, batches
        self._train, self._val = train, val
        # The first has the name that features had before there was augmentation.
        names = ("train", *(f"view-{number}" for number in range(2, views + 1)))
        self._views = {name: number for number, name in enumerate(names, start=1)}
        self.counts = {**dict.fromkeys(names, train.count), _VAL: val.count}

    @property
    def n_bytes(self) -> int:
        """Memory that all the features take."""
        return 4 * self._network.spec.n_features * sum(self.counts.values())

    def of(self, name: str, images: slice) -> Tensor:
        """Compute the features of a slice of the images that a name of `counts` stands for."""
        if name == _VAL:
            return self._val.mapped(self._network.feature_vectors, _BATCH, images)
        batches = self._batches.of_view(self._views[name], self._train, _BATCH, images)
        with torch.inference_mode():
            return torch.cat([self._network.feature_vectors(batch) for batch, _ in batches])

    def examples(self, features: Mapping[str, Tensor]) -> tuple[tuple[Examples, ...], Examples]:
        """Make examples of all features, by the names of `counts`.

        Returns:
            One for each training view, and those for validation.
        """
        views = tuple(self._train.replaced(features[name]) for name in self._views)
        return views, self._val.replaced(features[_VAL])
