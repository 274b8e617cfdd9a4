"""The stages of one trial in a cache."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainers.config import TrialConfig
from trainers.networks.network import Network
from trainers.networks.spec import NetworkSpec
from trainers.quantization.activations import activation_levels
from trainers.stages.backends import Content
from trainers.stages.cache import StageCache
from trainers.stages.keys import (
    features_entry,
    packed_features_entry,
    rounding_entry,
    sensitivity_entry,
    training_entry,
)
from trainers.stages.weights import content_digest

MakeFeatures = Callable[[str, slice], Tensor]
"""Computes features, float (n, n_features), of a slice of n images of a subset."""

_FEATURES = "features"
# Images per entry: a multiple of the batch of 256, so that batches are the same without a cache.
_BLOCK = 4 * 256


class TrialStages:
    """Reads the stages of a trial from a cache, and stores there those that the trial computes.

    Args:
        cache: Cache that is shared with other trials.
        config: Config of the trial.
        network: Spec of the network that is trained.
        weights: Digest of the backbone's weights as they were loaded.
        data: Fingerprint of the images.
        device: Where the trial computes.

    Attributes:
        taken: How many stages came from the cache.
        has_training: Whether the finished training is one of them.
    """

    def __init__(
        self,
        cache: StageCache,
        config: TrialConfig,
        network: NetworkSpec,
        *,
        weights: str,
        data: str,
        device: torch.device,
    ) -> None:
        self._cache = cache
        self._config = config
        self.taken = 0
        self.has_training = False
        self._backend = {"data": data, "device": _name(device)}
        given = {"weights": weights, **self._backend}
        self._training = training_entry(config, widths=network.widths, **given)
        self._features = features_entry(config, input_spec=network.input.as_mapping(), **given)

    def features(self, make: MakeFeatures, counts: Mapping[str, int]) -> dict[str, Tensor]:
        """Return the features of a frozen backbone, computed if the cache does not have them.

        Args:
            make: Computes features.
            counts: How many images each subset has.

        Returns:
            By subset: float (N, n_features), on any device.
        """
        return self._in_blocks(self._features, make, counts)

    def packed_features(self, packed: Network, make: MakeFeatures, count: int) -> Tensor:
        """Return a packed backbone's features of the validation images, computed if not cached.

        Args:
            packed: The network as read back from its file.
            make: Computes features.
            count: How many images there are.

        Returns:
            float (N, n_features), on any device.
        """
        name = packed_features_entry(
            packed.spec.backbone,
            input_spec=packed.spec.input.as_mapping(),
            weights=_computed_by(packed),
            **self._backend,
        )
        return self._in_blocks(name, make, {"val": count})["val"]

    def rounding(
        self, trained: Network, config: TrialConfig, make: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return what rounding with a look at images gave, computed if not cached.

        Args:
            trained: The trained network.
            config: Config of the trial, with the bits of every layer.
            make: Rounds its weights.
        """
        weights = content_digest(trained)
        return self._made(rounding_entry(config, weights=weights, **self._backend), make)

    def sensitivity(
        self, trained: Network, make: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return how much each layer minds few bits, computed if not cached.

        Args:
            trained: The trained network.
            make: Measures it.
        """
        weights = content_digest(trained)
        return self._made(sensitivity_entry(self._config, weights=weights, **self._backend), make)

    def _made(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        (tensors, _), was_there = self._cache.made(name, make)
        self.taken += was_there
        return dict(tensors)

    def training(self) -> Content | None:
        """Return the finished training of this trial or of an equal one, if the cache has it."""
        found = self._cache.get(self._training) if self._cache.gives_trainings else None
        if found is not None:
            self.taken, self.has_training = self.taken + 1, True
        return found

    def keep_training(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Store a finished training for other trials; return whether it was stored."""
        return self._cache.put(self._training, tensors, facts)

    def _in_blocks(
        self, name: str, make: MakeFeatures, counts: Mapping[str, int]
    ) -> dict[str, Tensor]:
        """Read or compute one entry per block of images, so that workers share the work.

        Each worker visits the blocks in a random order: two rarely need the same one at once.
        """
        blocks = [
            (subset, slice(first, min(first + _BLOCK, count)))
            for subset, count in counts.items()
            for first in range(0, count, _BLOCK)
        ]
        found: dict[tuple[str, int], Tensor] = {}
        has_all = True
        for subset, images in random.SystemRandom().sample(blocks, len(blocks)):
            computed = partial(_named, make, subset, images)
            (tensors, _), was_there = self._cache.made(f"{name}-{subset}-{images.start}", computed)
            found[subset, images.start] = tensors[_FEATURES]
            has_all &= was_there
        self.taken += has_all
        return {
            subset: torch.cat([found[of, images.start] for of, images in blocks if of == subset])
            for subset in counts
        }


def _computed_by(packed: Network) -> str:
    """Return a digest of the weights of a backbone, and of the levels of its activations."""
    levels = activation_levels(packed)
    return content_digest(packed.features) + (repr(sorted(levels.items())) if levels else "")


def _named(make: MakeFeatures, subset: str, images: slice) -> dict[str, Tensor]:
    return {_FEATURES: make(subset, images)}


def _name(device: torch.device) -> str:
    """Name the hardware: another kind may give other last bits, and uses other types."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
