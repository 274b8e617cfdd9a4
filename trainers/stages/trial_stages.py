"""The stages of one trial, as far as a cache has them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from trainers.config import TrialConfig
from trainers.network_spec import NetworkSpec
from trainers.networks import Network
from trainers.stages.cache import StageCache
from trainers.stages.keys import features_entry, packed_features_entry, training_entry
from trainers.stages.places import Content
from trainers.stages.weights import content_digest


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
        self._place = {"data": data, "device": _name(device)}
        self._network = network
        given = {"weights": weights, **self._place}
        self._training = training_entry(config, widths=network.widths, **given)
        self._features = features_entry(config, input_spec=network.input.as_mapping(), **given)

    def features(self, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What the frozen backbone makes of the images, on any device; made if nobody has."""
        (tensors, _), was_there = self._cache.made(self._features, make)
        self.taken += was_there
        return tensors

    def packed_features(self, packed: Network, make: Callable[[], Tensor]) -> Tensor:
        """What a packed backbone makes of the validation images; made if nobody has.

        Args:
            packed: As it was read back from its file.
            make: Computes float (N, n_features).

        Returns:
            Those features, on any device.
        """
        name = packed_features_entry(
            self._network.backbone,
            input_spec=self._network.input.as_mapping(),
            weights=content_digest(packed.features),
            **self._place,
        )
        (tensors, _), was_there = self._cache.made(name, lambda: {"val": make()})
        self.taken += was_there
        return tensors["val"]

    def training(self) -> Content | None:
        """What `keep_training` kept, of this trial's training or of an equal one."""
        found = self._cache.get(self._training)
        if found is not None:
            self.taken, self.has_training = self.taken + 1, True
        return found

    def keep_training(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Keep a finished training for other trials; whether it is kept."""
        return self._cache.put(self._training, tensors, facts)


def _name(device: torch.device) -> str:
    """What computes: other hardware may give other bits, and takes other types."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
