"""Build a backbone of which some layers are reused, and tell which of them are not trained."""

from torch import nn

from trainers.errors import WeightsError
from trainers.networks.backbones.building import Backbone, build_backbone
from trainers.networks.conv_layers import conv_layers, transplant
from trainers.networks.reuse_config import JUDGED, NONE, ReuseConfig
from trainers.networks.variants import split_variant


def reused_backbone(
    reuse: ReuseConfig,
    name: str,
    weights: str,
    *,
    seed: int,
    image_size: int | None = None,
    depth_start: str = "prefix",
) -> Backbone:
    """Build a backbone; layers that are not reused are drawn at random by the seed.

    Args:
        reuse: Which layers are reused.
        name: As `build_backbone` takes it.
        weights: The same.
        seed: The same.
        image_size: The same.
        depth_start: The same.

    Raises:
        ValueError: As `build_backbone`, or the verdict is of another architecture.
        WeightsError: As `build_backbone`.

    >>> without = reused_backbone(ReuseConfig("none"), "digitnet", "bundled", seed=0)
    >>> drawn = build_backbone("digitnet", "scratch", seed=0).features.state_dict()
    >>> all(bool((drawn[n] == t).all()) for n, t in without.features.state_dict().items())
    True
    """
    start = "scratch" if reuse.policy == NONE else weights
    backbone = build_backbone(
        name, start, seed=seed, image_size=image_size, depth_start=depth_start
    )
    if reuse.policy == JUDGED:
        check_layers(reuse, backbone.features, name)
        drawn = build_backbone(name, "scratch", seed=seed).features.state_dict()
        for layer in conv_layers(backbone.features):
            if layer.name in reuse.drawn_anew:
                transplant(backbone.features, drawn, layer.tensors)
    return backbone


def frozen_modules(features: nn.Module, reuse: ReuseConfig) -> tuple[str, ...]:
    """Return the names of the modules of a backbone that are not trained, norms included.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3))
    >>> frozen_modules(net, ReuseConfig("judged", {"0": "freeze", "2": "tune"}))
    ('0', '1')
    """
    kept = [layer for layer in conv_layers(features) if layer.name in reuse.frozen]
    return tuple(name for layer in kept for name in layer.modules)


def check_layers(reuse: ReuseConfig, features: nn.Module, backbone: str) -> None:
    """Reject a verdict that does not name every layer of a backbone, and no other.

    The verdict of the full network also serves one that is cut in depth, whose layers are some of
    the full one's.

    Raises:
        WeightsError: The message names a few.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3))
    >>> check_layers(ReuseConfig("judged", {"0": "freeze", "2": "tune"}), net, "small")
    >>> check_layers(ReuseConfig("judged", {"0": "freeze"}), net, "small")
    Traceback (most recent call last):
        ...
    trainers.errors.WeightsError: the verdict is not of small: it names 1 layers...
    """
    names = {layer.name for layer in conv_layers(features)}
    is_cut = split_variant(backbone)[1] is not None
    wrong = sorted(names - reuse.layers.keys() if is_cut else names ^ reuse.layers.keys())
    if wrong:
        raise WeightsError(
            f"the verdict is not of {backbone}: it names {len(reuse.layers)} layers, the backbone "
            f"has {len(names)}; not in both are {', '.join(wrong[:4])}"
            f"{' and more' if len(wrong) > 4 else ''}. Judge this backbone."
        )
