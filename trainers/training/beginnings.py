"""What a training begins with: its backbone, and what trainings of frozen ones share."""

from collections.abc import Hashable
from dataclasses import replace

import torch
from torch import nn

from trainers.config import TrialConfig, teacher_of
from trainers.determinism import derive_seed
from trainers.methods.reparametrizing import adapters, adjoin, reparametrize
from trainers.networks.backbone_table import backbone_info
from trainers.networks.backbones import Backbone, build_backbone
from trainers.networks.heads import build_head
from trainers.networks.narrowing import layer_sizes
from trainers.networks.narrowing import narrow as cut_to
from trainers.networks.network import Network
from trainers.networks.reuse import reused_backbone
from trainers.networks.sharing import share_kernels
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
    network: Network, config: TrialConfig, device: torch.device
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Remove channels of a network's backbone, and draw it anew on `restart`.

    Returns:
        The new sizes of the layers that changed, for `NetworkSpec.narrowed`.
    """
    before = layer_sizes(network.features)
    wanted = network.spec.input
    sample = torch.zeros((1, wanted.channels, wanted.height, wanted.width), device=device)
    pruning = config.pruning
    remove_channels(
        network,
        sample,
        share=pruning.sparsity,
        fixed=network.head,
        criterion=pruning.criterion,
        threshold=pruning.threshold,
    )
    # What is left was copied into new tensors.
    network.lay_out()
    after = layer_sizes(network.features)
    narrowed = tuple((name, sizes) for name, sizes in after.items() if sizes != before[name])
    if pruning.restart:
        seed = derive_seed(config.seed, "restart")
        fresh = build_backbone(
            config.architecture, "scratch", seed=seed, image_size=config.image_size
        )
        cut_to(fresh.features, dict(narrowed))
        network.features.load_state_dict(fresh.features.state_dict())
    return narrowed


def share(network: Network) -> None:
    """Let the convolutions of a network share kernels, and note it in its spec.

    >>> from trainers.networks.network import build_network
    >>> network = build_network("cifar_resnet20", weights="scratch", widths=(), classes=10)
    >>> share(network)
    >>> network.spec.shared_kernels, len(list(network.features.parameters()))
    (True, 44)
    """
    share_kernels(network.features)
    network.spec = replace(network.spec, shared_kernels=True)
    network.lay_out()


def reparametrized(network: Network, config: TrialConfig) -> list[nn.Parameter]:
    """Give a network's weights the forms in which they are trained; return added adapters.

    >>> from trainers.networks.network import build_network
    >>> network = build_network("digitnet", weights="scratch", widths=(8,), classes=10)
    >>> reparametrized(network, TrialConfig(backbone="digitnet", weights="scratch"))
    []
    """
    seed, device = derive_seed(config.seed, "weights"), next(network.parameters()).device
    reparametrize(network.features, network.head, config.methods, seed=seed)
    if config.methods.adjoined:
        spec = network.spec
        widths = backbone_info(config.architecture).reference_widths
        full = build_head(spec.n_features, widths, spec.classes, seed=seed).to(device)
        adjoin(network.head, full)
    return adapters(network.features)


def keeps_features(config: TrialConfig) -> bool:
    """Return whether the features of a frozen backbone are computed once, and then kept.

    A network that teaches must have the same ones, since it only sees these.

    >>> from trainers.methods import MethodsConfig
    >>> config = TrialConfig(backbone="digitnet", weights="bundled")
    >>> keeps_features(config)
    True
    >>> from dataclasses import replace
    >>> keeps_features(replace(config, methods=MethodsConfig(adversarial="pgd")))
    False
    """
    if config.tune != "head" or not config.recipe.keeps_features or config.methods.needs_pixels:
        return False
    if not config.methods.distillation:
        return True
    key = frozen_key(config)
    return key is not None and key == frozen_key(teacher_of(config))


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
    if config.tune != "head" or config.qat != "none" or config.methods.needs_pixels:
        return None
    views = config.recipe.kept_views(config.tune, config.epochs)
    augmented = (*config.recipe.view_parameters().items(), views)
    weights = config.start_weights
    seed = config.seed if weights == "scratch" or config.recipe.augments else None
    kept = config.recipe.keeps_features
    start = (config.architecture, weights, config.depth_start, config.image_size, seed)
    pruning = tuple(frozen_pruning(config).items())
    return (*start, augmented, kept, pruning)
