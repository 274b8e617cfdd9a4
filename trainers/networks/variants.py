"""Backbones that are cut in depth or scaled in width: their names and facts, without torch.

A variant is a backbone with a name such as ``cifar_resnet56[depth=3,width=1.5]``. The name says
all that its layers depend on, so that whatever refers to a backbone by name (the artifact, cache
keys, sizes known before training) refers to a variant in the same way.

``depth`` is a number of blocks: each stage keeps its first `depth` blocks, and a stage that has
fewer keeps all. ``width`` multiplies the channels of every convolution, those of the image aside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.networks.matched_widths import MATCHED

if TYPE_CHECKING:
    from trainers.networks.backbone_table import BackboneInfo

WIDTH_WORDS = ("none", "match_params", "match_macs")
"""Multipliers by name: 1, and those that give the cut network the full one's size again."""
NARROWEST, WIDEST = 0.125, 8.0
DEPTH_STARTS = ("prefix", "fused")
"""How a cut network begins: with the weights of the layers that are kept, or with fused ones."""

_VARIANT = re.compile(r"([^\[\]]+)\[(?:depth=([0-9]+))?,?(?:width=([0-9.e+-]+))?\]", re.ASCII)
_GROWTH = 32  # channels that a layer of DenseNet-121 adds


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a backbone that can be cut.

    Attributes:
        blocks: Blocks of each stage, from input to output. A block is a convolution with what
            follows it (VGG, digitnet), a layer of a dense block, or a residual block.
        convolutions: Convolution layers of a block, at most; those of squeeze-and-excitation do
            not count.
        positions: Pixels whose channels are the features: 1 with a global pool.
        grain: Channels are multiples of it at any width: of groups, or because layers concatenate.
        are_counted: Whether `last_blocks:N` counts blocks; otherwise it counts stages.
    """

    blocks: tuple[int, ...]
    convolutions: int
    positions: int = 1
    grain: int = 1
    are_counted: bool = False

    @property
    def most(self) -> int:
        """Blocks of the longest stage: the depth of the full network."""
        return max(self.blocks)

    def dropped(self, depth: int) -> int:
        """Count the blocks that a cut drops, in all stages together."""
        return sum(max(0, count - depth) for count in self.blocks)

    def depth_under(self, cap: int) -> int:
        """Return the largest depth with at most `cap` convolution layers a stage; 0 if none."""
        return min(self.most, cap // self.convolutions)


_VGG11, _VGG16 = Stages((1, 1, 2, 2, 2), 1, 49), Stages((2, 2, 3, 3, 3), 1, 49)
_RESNET50 = (3, 4, 6, 3)
_EFFICIENT = Stages((2, 3, 3, 4, 4, 5, 2), 3)

STAGES: Mapping[str, Stages] = {
    "digitnet": Stages((2, 2, 2), 1, 9),
    **{f"cifar_resnet{6 * n + 2}": Stages((n,) * 3, 2, are_counted=True) for n in (3, 5, 7, 9)},
    "vgg11": _VGG11,
    "vgg16": _VGG16,
    "vgg11_bn": _VGG11,
    "vgg16_bn": _VGG16,
    "resnet18": Stages((2, 2, 2, 2), 2, are_counted=True),
    "resnet34": Stages((3, 4, 6, 3), 2, are_counted=True),
    "resnet50": Stages(_RESNET50, 3, are_counted=True),
    "resnext50_32x4d": Stages(_RESNET50, 3, grain=32, are_counted=True),
    "densenet121": Stages((6, 12, 24, 16), 2, grain=_GROWTH),
    "mobilenet_v2": Stages((1, 2, 3, 4, 3, 3, 1), 3, are_counted=True),
    "efficientnet_b0": Stages((1, 2, 2, 3, 3, 4, 1), 3),
    "efficientnet_b1": _EFFICIENT,
    "efficientnet_b2": _EFFICIENT,
}
"""The backbones that can be cut and scaled."""
MOST_DEPTH = max(stages.most for stages in STAGES.values())


def scaled(base: str, channels: int, width: float) -> int:
    """Compute how many channels a layer has at another width, at least one.

    DenseNet concatenates, so that its numbers must add up: each is 32 times what it is in units
    of the growth rate. ResNeXt has 32 groups, which must divide them.

    >>> scaled("cifar_resnet20", 16, 1.5), scaled("densenet121", 96, 0.5)
    (24, 48)
    """
    grain = STAGES[base].grain
    if base == "densenet121":
        return channels // grain * max(1, round(grain * width))
    return grain * max(1, round(channels * width / grain))


def split_variant(name: str) -> tuple[str, int | None, float]:
    """Split a name into backbone, depth and width.

    >>> split_variant("vgg16[width=0.5]"), split_variant("vgg16")
    (('vgg16', None, 0.5), ('vgg16', None, 1.0))
    """
    match = _VARIANT.fullmatch(name)
    if match is None:
        return name, None, 1.0
    return match[1], int(match[2]) if match[2] else None, float(match[3] or 1)


def variant_name(base: str, depth: int | None = None, width: float | str = "none") -> str:
    """Name a variant; equal networks have equal names.

    >>> variant_name("cifar_resnet56", 3, "match_params"), variant_name("cifar_resnet56", 9)
    ('cifar_resnet56[depth=3,width=1.782]', 'cifar_resnet56')

    Args:
        base: Name of the backbone, not an alias.
        depth: Blocks a stage; None is all.
        width: Multiplier, or a word of `WIDTH_WORDS`.

    Raises:
        ValueError: The backbone cannot be cut like this; the message says how far it can.
    """
    check_depth(base, depth)
    stages = STAGES.get(base)
    if stages is not None and depth == stages.most:
        depth = None
    if isinstance(width, str):
        by = WIDTH_WORDS.index(width)
        width = 1.0 if depth is None or not by else MATCHED[base][depth - 1][by - 1]
    if width != 1 and stages is None:
        raise ValueError(_not_cut(base, "width_multiplier", width))
    width = float(f"{width:.6g}")
    said = [f"depth={depth}"] if depth is not None else []
    said += [f"width={width:g}"] if width != 1 else []
    return f"{base}[{','.join(said)}]" if said else base


def check_depth(base: str, depth: int | None, cap: int | None = None) -> None:
    """Reject a depth or a cap that a backbone cannot have.

    Args:
        base: Name of the backbone.
        depth: Blocks a stage; None is all.
        cap: Convolution layers a stage, at most; None is no cap.

    Raises:
        ValueError: With the numbers that it can have.

    >>> check_depth("cifar_resnet20", 3)
    >>> check_depth("cifar_resnet20", 4)
    Traceback (most recent call last):
        ...
    ValueError: depth is 4, but the stages of cifar_resnet20 have 3, 3, 3 blocks...
    """
    stages = STAGES.get(base)
    for key, given in (("depth", depth), ("depth_cap", cap)):
        if given is not None and stages is None:
            raise ValueError(_not_cut(base, key, given))
    if stages is None:
        return
    blocks = ", ".join(map(str, stages.blocks))
    if depth is not None and not 1 <= depth <= stages.most:
        raise ValueError(
            f"depth is {depth}, but the stages of {base} have {blocks} blocks: depth, the most "
            f"blocks that a stage keeps, goes from 1 to {stages.most}."
        )
    if cap is None:
        return
    allowed = stages.depth_under(cap)
    if not allowed:
        raise ValueError(
            f"depth_cap is {cap}, but a block of {base} has {stages.convolutions} convolution "
            f"layers and a stage keeps one block at least: depth_cap is {stages.convolutions} or "
            f"more for it."
        )
    if depth is not None and depth > allowed:
        raise ValueError(
            f"depth is {depth}, but depth_cap {cap} allows {base} {allowed} blocks a stage, of "
            f"{stages.convolutions} convolution layers each: lower the one or raise the other."
        )


def capped_depth(base: str, depth: int | None, cap: int | None) -> int | None:
    """Return the depth of a trial under a cap: as given, else the largest that it allows.

    >>> capped_depth("cifar_resnet56", None, 6), capped_depth("cifar_resnet56", 2, 6)
    (3, 2)

    Raises:
        ValueError: As `check_depth`.
    """
    check_depth(base, depth, cap)
    return depth if depth is not None or cap is None else STAGES[base].depth_under(cap)


def can_fuse(base: str) -> bool:
    """Return whether the layers of a backbone can be fused: those of plain stacks can.

    Residual and dense blocks would be a sum of two branches, which no block of one size can hold.

    >>> can_fuse("vgg16"), can_fuse("resnet18")
    (True, False)
    """
    return base == "digitnet" or base.startswith("vgg")


def check_start(info: "BackboneInfo", weights: str, depth_start: str) -> None:
    """Reject a way to begin that a network does not have.

    Args:
        info: The network that is built.
        weights: What its training begins with.
        depth_start: A word of `DEPTH_STARTS`.

    Raises:
        ValueError: The message says why not, and what to write.

    >>> from trainers.networks.backbone_table import backbone_info
    >>> check_start(backbone_info("vgg16"), "imagenet", "fused")
    >>> check_start(backbone_info("vgg16"), "scratch", "fused")
    Traceback (most recent call last):
        ...
    ValueError: depth_start is fused, but the network begins from scratch...
    """
    if depth_start not in DEPTH_STARTS:
        raise ValueError(f"depth_start is {depth_start!r}; known are {', '.join(DEPTH_STARTS)}.")
    if depth_start == "prefix":
        return
    if not can_fuse(info.base):
        fusable = ", ".join(name for name in STAGES if can_fuse(name))
        raise ValueError(
            f"depth_start is fused, but the layers of {info.base} cannot be fused, because its "
            f"blocks have branches; those of {fusable} can. Write depth_start: prefix."
        )
    if weights == "scratch":
        raise ValueError(
            "depth_start is fused, but the network begins from scratch, where there is nothing to "
            "fuse: no weights are given, or width_multiplier asks for a width that they do not "
            "fit. Write depth_start: prefix."
        )


def variant_facts(info: "BackboneInfo", depth: int | None, width: float) -> tuple[int, int]:
    """Compute the number of features and of blocks of a variant.

    Args:
        info: The full network.
        depth: Blocks a stage; None is all.
        width: Multiplier of the channels.

    >>> from trainers.networks.backbone_table import backbone_info
    >>> full = backbone_info("cifar_resnet20")
    >>> variant_facts(full, None, 1.0), variant_facts(full, 1, 2.0)
    ((64, 10), (128, 4))
    """
    stages = STAGES[info.name]
    channels, n_blocks = info.n_features // stages.positions, info.n_blocks
    if depth is not None:
        if info.name == "densenet121":
            channels -= _GROWTH * max(0, stages.blocks[-1] - depth)
        n_blocks -= stages.dropped(depth) if stages.are_counted else 0
    features = scaled(info.name, channels, width) * stages.positions
    return features, n_blocks


def _not_cut(base: str, key: str, given: object) -> str:
    return (
        f"{key} is {given}, but {base} cannot be cut or scaled here: leave it out, or use one of "
        f"{', '.join(STAGES)}."
    )
