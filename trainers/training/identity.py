"""Which training a checkpoint belongs to."""

import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.networks.backbone_table import FIXED_WORDS
from trainers.stages.weights import weights_digest
from trainers.training.examples import batch_sizes


class TrainingIdentity:
    """The facts that a checkpoint must share with a training to be resumed by it.

    Args:
        config: Config of the training.
        data: Its images.
        features: Its backbone, before anything changed it.
    """

    def __init__(self, config: TrialConfig, data: ImageData, features: nn.Module) -> None:
        self._config, self._data = config, data
        self._weights = _weights_of_a_file(config, features)

    def facts(self) -> dict[str, str]:
        """Return the facts, as JSON values."""
        config = {**self._config.as_mapping(), "weights": self._weights}
        identity = {"config": json.dumps(config, sort_keys=True), "data": self._data.content()}
        images = len(self._data.train_labels)
        if batch_sizes(images, self._config.batch_size)[-1] > self._config.batch_size:
            # Earlier versions took a step with the last image alone.
            identity["last_image"] = "goes with the batch before"
        return identity

    def is_of(self, facts: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint with these facts is one of this training."""
        identity = self.facts()
        if all(facts.get(key) == value for key, value in identity.items()):
            return True
        # Earlier versions wrote the path of the weights and the name of the images.
        config = json.dumps(self._config.as_mapping(), sort_keys=True)
        identity |= {"config": config, "data": self._data.fingerprint()}
        return all(facts.get(key) == value for key, value in identity.items())


def _weights_of_a_file(config: TrialConfig, features: nn.Module) -> str:
    """Return a digest of weights read from a file; for others, the word that names them."""
    if config.start_weights in FIXED_WORDS:
        return config.start_weights
    return f"sha256 {weights_digest(config, features)}"
