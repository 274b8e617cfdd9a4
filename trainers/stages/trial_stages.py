"""The stages of one trial, as far as a cache has them."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainers.config import TrialConfig
from trainers.networks.network import Network
from trainers.networks.spec import NetworkSpec
from trainers.stages.backends import Content
from trainers.stages.cache import StageCache
from trainers.stages.keys import features_entry, packed_features_entry, training_entry
from trainers.stages.weights import content_digest

MakeFeatures = Callable[[str, slice], Tensor]
"""Computes float (n, n_features) of n neighbouring images of a subset."""

_FEATURES = "features"
# Images in an entry. Batches of 256 are the same in all of them as they are without a cache.
_BLOCK = 4 * 256


class TrialStages:
    """Takes the stages of a trial from a cache, and keeps there what the trial computes.

    Args:
        cache: Where other trials look.
        config: Of the trial.
        network: What is trained.
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
        self.taken = 0
        self.has_training = False
        self._backend = {"data": data, "device": _name(device)}
        given = {"weights": weights, **self._backend}
        self._training = training_entry(config, widths=network.widths, **given)
        self._features = features_entry(config, input_spec=network.input.as_mapping(), **given)

    def features(self, make: MakeFeatures, counts: Mapping[str, int]) -> dict[str, Tensor]:
        """What the frozen backbone makes of the images; made if nobody has.

        Args:
            make: Computes it.
            counts: How many images each subset has.

        Returns:
            By subset: float (N, n_features), on any device.
        """
        return self._in_blocks(self._features, make, counts)

    def packed_features(self, packed: Network, make: MakeFeatures, count: int) -> Tensor:
        """What a packed backbone makes of the validation images; made if nobody has.

        Args:
            packed: As it was read back from its file.
            make: Computes it.
            count: How many images there are.

        Returns:
            float (N, n_features), on any device.
        """
        name = packed_features_entry(
            packed.spec.backbone,
            input_spec=packed.spec.input.as_mapping(),
            weights=content_digest(packed.features),
            **self._backend,
        )
        return self._in_blocks(name, make, {"val": count})["val"]

    def training(self) -> Content | None:
        """What `keep_training` kept, of this trial's training or of an equal one."""
        found = self._cache.get(self._training)
        if found is not None:
            self.taken, self.has_training = self.taken + 1, True
        return found

    def keep_training(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Keep a finished training for other trials; whether it is kept."""
        return self._cache.put(self._training, tensors, facts)

    def _in_blocks(
        self, name: str, make: MakeFeatures, counts: Mapping[str, int]
    ) -> dict[str, Tensor]:
        """An entry for every few images, so that workers that need all of them share the work.

        Each goes through them in an order of its own: rarely do two want the same one at once.
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


def _named(make: MakeFeatures, subset: str, images: slice) -> dict[str, Tensor]:
    return {_FEATURES: make(subset, images)}


def _name(device: torch.device) -> str:
    """What computes: other hardware may give other bits, and takes other types."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
