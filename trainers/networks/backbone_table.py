"""Facts of each backbone: the one door to all of them.

Those of the table are known without torch; tests compare them with the networks. Those of others,
which are brought along (`trainers.networks.brought`), are found by building them once.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from trainers.doors import DoorError
from trainers.errors import WeightsError, did_you_mean
from trainers.networks.brought.facts import BroughtError
from trainers.networks.brought.registry import (
    WORDS,
    brought_facts,
    is_brought,
    shipped,
)
from trainers.networks.variants import split_variant, variant_facts, variant_name

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
# Of the training images of Fashion-MNIST, on which the weights that ship were trained.
_FASHION_MEAN = (0.2860,)
_FASHION_STD = (0.3530,)
WEIGHT_ENDINGS = (".safetensors", ".pth", ".pt", ".th", ".pth.tar", ".pt.tar")
"""Endings, in any case, of the files that weights are read from; the first is no pickle."""
_ALIASES = {"resnext50": "resnext50_32x4d"}

FIXED_WORDS = ("imagenet", "bundled", "scratch")
"""Words that decide the weights of a backbone of the table."""
WEIGHT_WORDS = (*FIXED_WORDS, *WORDS)
"""Words that name weights without a path; anything else is a path."""


@dataclass(frozen=True)
class BackboneInfo:
    """Facts of one backbone.

    Attributes:
        name: As in a sweep file, and in torchvision if it is one of its networks; of a variant,
            see `trainers.networks.variants`.
        n_features: Inputs of the first fully connected layer.
        n_blocks: How many blocks `last_blocks:N` can count.
        parameters: Learnable parameters of the full network, the head not counted.
        image_size: Side in pixels at which the pre-trained weights were measured.
        min_image_size: The smallest side that is accepted.
        reference_widths: Hidden widths of the full-size head. AlexNet and VGG: those of their
            papers. digitnet: its own. Networks that pool globally have no hidden layer; theirs is
            synthetic, (n_features, n_features // 2), so that there is something to be sized.
        mean: Of each input channel, pixels in [0, 1].
        std: As `mean`.
        bundled: Whether pre-trained weights ship with this package.
        imagenet: Whether torchvision has the network, and its weights for ImageNet.
        depth: Blocks that a stage keeps, at most; None if the network is not cut.
        width: Multiplier of its channels.
        source: What builds it, if it is brought along: `trainers.networks.brought`.
        brought_words: The words that name its weights then.
    """

    name: str
    n_features: int
    n_blocks: int
    parameters: int
    image_size: int = 224
    min_image_size: int = 32
    reference_widths: tuple[int, ...] = ()
    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD
    bundled: bool = False
    imagenet: bool = True
    depth: int | None = None
    width: float = 1.0
    source: str = ""
    brought_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the synthetic reference head where no reference widths are given."""
        if not self.reference_widths:
            widths = (self.n_features, self.n_features // 2)
            object.__setattr__(self, "reference_widths", widths)

    @property
    def base(self) -> str:
        """Name of the network that was cut or scaled; `name` if none was."""
        return split_variant(self.name)[0]

    @property
    def weights(self) -> tuple[str, ...]:
        """The words that name weights of this backbone; a path is accepted too."""
        if self.brought_words:
            return self.brought_words
        words = {"imagenet": self.imagenet, "bundled": self.bundled, "scratch": True}
        return tuple(word for word, is_there in words.items() if is_there)

    @property
    def has_synthetic_head(self) -> bool:
        """Whether the full-size head is synthetic, because the network itself pools globally."""
        return self.reference_widths == (self.n_features, self.n_features // 2)


_FULL = (4096, 4096)


def _cifar_resnet(layers: int, parameters: int) -> BackboneInfo:
    # Normalised with ImageNet's values, as the weights that are published for them were trained.
    return BackboneInfo(
        f"cifar_resnet{layers}",
        n_features=64,
        n_blocks=1 + (layers - 2) // 2,
        parameters=parameters,
        image_size=32,
        min_image_size=8,
        imagenet=False,
    )


_INFOS = (
    BackboneInfo(
        "digitnet",
        n_features=576,
        n_blocks=3,
        parameters=71_792,
        image_size=28,
        min_image_size=28,
        reference_widths=(256, 128),
        mean=_FASHION_MEAN,
        std=_FASHION_STD,
        bundled=True,
        imagenet=False,
    ),
    _cifar_resnet(20, 269_072),
    _cifar_resnet(32, 463_504),
    _cifar_resnet(44, 657_936),
    _cifar_resnet(56, 852_368),
    BackboneInfo("alexnet", 9216, 5, 2_469_696, min_image_size=63, reference_widths=_FULL),
    BackboneInfo("vgg11", 25088, 5, 9_220_480, reference_widths=_FULL),
    BackboneInfo("vgg16", 25088, 5, 14_714_688, reference_widths=_FULL),
    BackboneInfo("vgg11_bn", 25088, 5, 9_225_984, reference_widths=_FULL),
    BackboneInfo("vgg16_bn", 25088, 5, 14_723_136, reference_widths=_FULL),
    BackboneInfo("resnet18", 512, 9, 11_176_512),
    BackboneInfo("resnet34", 512, 17, 21_284_672),
    BackboneInfo("resnet50", 2048, 17, 23_508_032),
    BackboneInfo("mobilenet_v2", 1280, 19, 2_223_872),
    BackboneInfo("mobilenet_v3_small", 576, 13, 927_008),
    BackboneInfo("mobilenet_v3_large", 960, 17, 2_971_952),
    BackboneInfo("efficientnet_b0", 1280, 9, 4_007_548),
    BackboneInfo("efficientnet_b1", 1280, 9, 6_513_184, image_size=240),
    BackboneInfo("efficientnet_b2", 1408, 9, 7_700_994, image_size=288),
    BackboneInfo("densenet121", 1024, 5, 6_953_856),
    BackboneInfo("resnext50_32x4d", 2048, 17, 22_979_904),
    BackboneInfo("squeezenet1_0", 512, 9, 735_424),
    BackboneInfo("squeezenet1_1", 512, 9, 722_496),
    BackboneInfo("convnext_tiny", 768, 8, 27_820_128),
    BackboneInfo("regnet_x_400mf", 400, 5, 5_094_976),
    BackboneInfo("regnet_y_400mf", 440, 5, 3_903_144),
    BackboneInfo("mnasnet0_5", 1280, 20, 937_512),
    BackboneInfo("mnasnet1_0", 1280, 20, 3_102_312),
    BackboneInfo("shufflenet_v2_x0_5", 1024, 18, 341_792),
    BackboneInfo("shufflenet_v2_x1_0", 1024, 18, 1_253_604),
)
BACKBONES = {info.name: info for info in _INFOS}


def is_weights_file(name: str) -> bool:
    """Return whether a name or a path has the extension of a file with weights.

    >>> is_weights_file("resnet18.PTH"), is_weights_file("imagenet")
    (True, False)
    """
    return name.lower().endswith(WEIGHT_ENDINGS)


def backbone_names() -> tuple[str, ...]:
    """Return the names that `build_backbone` accepts, without aliases.

    Those of installed packages are among them, code of a user's own and timm's networks are not.

    >>> "digitnet" in backbone_names()
    True
    """
    return tuple(dict.fromkeys((*BACKBONES, *shipped())))


def backbone_info(name: str) -> BackboneInfo:
    """Return the facts of the backbone of that name, alias or variant, or of one brought along.

    >>> backbone_info("resnext50").name
    'resnext50_32x4d'
    >>> backbone_info("cifar_resnet20[depth=2,width=1.5]").n_features
    96

    Raises:
        ValueError: There is none, the message lists the names and the closest one; or code that
            is brought along is missing or breaks a promise.
    """
    if is_brought(name) and name not in BACKBONES:
        return _brought(name)
    base, depth, width = split_variant(name)
    info = BACKBONES.get(_ALIASES.get(base, base))
    if info is None:
        hint = did_you_mean(name, BACKBONES)
        raise ValueError(
            f"there is no backbone named {name!r}. Known: {', '.join(BACKBONES)}.{hint}"
        )
    full_name = variant_name(info.name, depth, width)
    if full_name == info.name:
        return info
    n_features, n_blocks = variant_facts(info, depth, width)
    return replace(
        info,
        name=full_name,
        n_features=n_features,
        n_blocks=n_blocks,
        depth=split_variant(full_name)[1],
        width=split_variant(full_name)[2],
        reference_widths=() if info.has_synthetic_head else info.reference_widths,
    )


def _brought(name: str) -> BackboneInfo:
    try:
        facts = brought_facts(name)
    except BroughtError:
        raise
    except DoorError as error:
        raise BroughtError(str(error)) from error
    return BackboneInfo(
        facts.name,
        n_features=facts.n_features,
        n_blocks=facts.n_blocks,
        parameters=facts.parameters,
        image_size=facts.image_size,
        min_image_size=1,
        mean=facts.mean,
        std=facts.std,
        imagenet=False,
        source=facts.source,
        brought_words=facts.words,
    )


def bundled_file(name: str) -> Path:
    """Return the path of the bundled weights of a backbone; the file need not exist.

    >>> bundled_file("digitnet").name, bundled_file("vgg16").exists()
    ('digitnet.safetensors', False)
    """
    return Path(__file__).parent / "backbones" / "weights" / f"{name}.safetensors"


def refuse_unknown(info: BackboneInfo, weights: str) -> None:
    """Refuse a word for weights that a backbone does not have.

    Raises:
        WeightsError: There are none; the message lists the accepted words.

    >>> refuse_unknown(backbone_info("digitnet"), "bundled")
    >>> refuse_unknown(backbone_info("digitnet"), "imagenet")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.WeightsError: there are no imagenet weights of digitnet. Use weights: ...
    """
    if weights in WEIGHT_WORDS and weights not in info.weights:
        raise WeightsError(
            f"there are no {weights} weights of {info.name}. Use weights: "
            f"{', '.join(info.weights)}, or the path of a .safetensors file."
        )
