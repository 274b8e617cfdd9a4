"""What a training begins with: its backbone, and what trainings of frozen ones share."""

from collections.abc import Hashable

import torch

from trainers.config import TrialConfig
from trainers.determinism import derive_seed
from trainers.networks.backbones import Backbone
from trainers.networks.narrowing import layer_sizes
from trainers.networks.network import Network
from trainers.networks.reuse import reused_backbone
from trainers.pruning.channels import remove_channels
from trainers.stages.keys import frozen_pruning


def backbone_of(config: TrialConfig) -> Backbone:
    """Build the backbone that a training begins with.

    >>> backbone_of(TrialConfig(backbone="digitnet", weights="scratch")).name
    'digitnet'
    """
    return reused_backbone(
        config.reuse,
        config.architecture,
        config.start_weights,
        seed=derive_seed(config.seed, "weights"),
        image_size=config.image_size,
        depth_start=config.depth_start,
    )


def narrow(
    network: Network, share: float, device: torch.device
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Remove a share of the channels of a network's backbone.

    Returns:
        The new sizes of the layers that changed, for `NetworkSpec.narrowed`.
    """
    before = layer_sizes(network.features)
    wanted = network.spec.input
    sample = torch.zeros((1, wanted.channels, wanted.height, wanted.width), device=device)
    remove_channels(network, sample, share=share, fixed=network.head)
    # What is left was copied into new tensors.
    network.lay_out()
    after = layer_sizes(network.features)
    return tuple((name, sizes) for name, sizes in after.items() if sizes != before[name])


def frozen_key(config: TrialConfig) -> Hashable | None:
    """Return a key of the features of a frozen backbone; None if they cannot be shared.

    They change if more than the head is trained. With quantization-aware training they are those
    of the quantized convolutions, which no other training has.

    >>> from dataclasses import replace
    >>> config = TrialConfig(backbone="digitnet", weights="bundled", tune="head")
    >>> frozen_key(config) == frozen_key(replace(config, learning_rate=0.1))
    True
    >>> frozen_key(replace(config, tune="all")) is None
    True
    """
    if config.tune != "head" or config.qat != "none":
        return None
    views = config.recipe.kept_views(config.tune, config.epochs)
    augmented = (*config.recipe.view_parameters().items(), views)
    weights = config.start_weights
    seed = config.seed if weights == "scratch" or config.recipe.augments else None
    kept = config.recipe.keeps_features
    start = (config.architecture, weights, config.depth_start, config.image_size, seed)
    pruning = tuple(frozen_pruning(config).items())
    return (*start, augmented, kept, pruning)
