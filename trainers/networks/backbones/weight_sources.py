"""Which weights a backbone would get, and whether they fit, before anything trains.

torch is imported only where it is needed: words that name no file do not need it.
"""

from dataclasses import dataclass
from pathlib import Path

from trainers.networks.backbone_table import (
    BackboneInfo,
    backbone_info,
    bundled_file,
    refuse_unknown,
)
from trainers.networks.brought.registry import WORDS


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Source of the weights of one backbone.

    Attributes:
        backbone: Its name.
        weights: The word or the path that was given.
        path: The file; None if weights are drawn at random, or come from a function or a package.
        url: URL that a run downloads it from; empty if nothing is to be downloaded.
        bytes: Size of the file or of the download; None if it is not known.
    """

    backbone: str
    weights: str
    path: Path | None = None
    url: str = ""
    bytes: int | None = None


def check_weights(backbone: str, weights: str) -> WeightsSource:
    """Find weights, and try to load local ones into the backbone; nothing is downloaded.

    Args:
        backbone: One of `backbone_names()` or an alias.
        weights: As for `build_backbone`.

    Raises:
        ValueError: There is no such backbone.
        WeightsError: They are absent, broken or of another architecture.

    >>> check_weights("digitnet", "bundled").path.name
    'digitnet.safetensors'
    """
    source = find_weights(backbone, weights)
    is_ours = weights == "bundled" and source.bytes is not None
    is_local = source.path is not None and not source.url
    if weights == "own" or (is_local and not is_ours):
        from trainers.networks.backbones.building import build_backbone

        build_backbone(backbone, weights)
    return source


def find_weights(backbone: str, weights: str) -> WeightsSource:
    """Find weights without reading them.

    Raises:
        ValueError: There is no such backbone.
        WeightsError: It has no such weights.

    >>> find_weights("digitnet", "scratch").path is None
    True
    >>> find_weights("digitnet", "mine.safetensors").bytes is None  # there is no such file
    True
    """
    info = backbone_info(backbone)
    refuse_unknown(info, weights)
    if weights in ("scratch", *WORDS):
        return WeightsSource(info.name, weights)
    if weights == "imagenet":
        return _imagenet(info)
    path = bundled_file(info.name) if weights == "bundled" else Path(weights)
    path = path.expanduser()
    return WeightsSource(info.name, weights, path, bytes=_size(path))


def _imagenet(info: BackboneInfo) -> WeightsSource:
    from trainers.networks.backbones.torchvision_nets import imagenet_file

    path, url, megabytes = imagenet_file(info.name)
    if path.is_file():
        return WeightsSource(info.name, "imagenet", path, bytes=_size(path))
    size = None if megabytes is None else round(megabytes * 2**20)
    return WeightsSource(info.name, "imagenet", path, url, size)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
