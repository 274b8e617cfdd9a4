"""Data sets that weights were trained on, and whether a sweep measures on the same images.

Importable without torch.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from trainers.data.config import DataConfig
from trainers.networks.backbone_table import backbone_info

_BUNDLED = Path(__file__).parent / "weights"
_IMAGENET, _CIFAR = "ImageNet", "CIFAR"
# Published checkpoints by SHA-256. Their file names end in its first digits.
_PUBLISHED = {
    "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8": "cifar10",
    "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850": "cifar10",
    "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4": "cifar10",
    "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367": "cifar10",
}
_LARGEST_PUBLISHED = 4_000_000
# Longer names first: one may be part of another. STL-10's labelled images come from ImageNet.
_FAMILIES = {
    "fashionmnist": "fashion_mnist",
    "cifar100": "cifar100",
    "cifar10": "cifar10",
    "imagenet": _IMAGENET,
    "imagewoof": _IMAGENET,
    "stl10": _IMAGENET,
}
_MOST_METADATA = 10_000_000


@dataclass(frozen=True)
class _Origin:
    """The data set that weights were trained on.

    Attributes:
        data: Name of the data set.
        is_certain: Whether it is known from the file itself, rather than assumed from the
            weights that are published for its backbone.
        seed: Seed of the split that they were trained on, if `paretune pretrain` made them.
    """

    data: str
    is_certain: bool = True
    seed: int | None = None


def seen_before(backbone: str, weights: str, data: DataConfig) -> str | None:
    """Return a warning if weights were trained on the images that a sweep measures on.

    Args:
        backbone: Name of the backbone.
        weights: As `build_backbone` takes them; a file that does not exist is judged by its name.
        data: The images of the sweep.

    Returns:
        Sentences without a full stop at the end; None if no such overlap is known.

    >>> seen_before("digitnet", "scratch", DataConfig(name="mnist")) is None
    True
    """
    origin = _origin(backbone, weights)
    if origin is None or not _is_same(origin.data, data):
        return None
    if not origin.is_certain:
        of = f"the weights that are published for {backbone}"
    elif weights in ("bundled", "imagenet"):
        of = f"the {weights} weights of {backbone}"
    else:
        of = f"the weights in {weights}"
    said = f"{of} were trained on {origin.data}, to which these images belong"
    if _is_split_alike(origin, data):
        return f"{said}. With this seed and val_fraction the validation images were held out then"
    if origin.data == _IMAGENET:
        return f"{said}: values on validation and on test may be too good. Take other weights"
    return (
        f"{said}: values on validation may be too good. Judge by the official test set ('paretune "
        f"front NAME --set test'), or take other weights"
    )


def _origin(backbone: str, weights: str) -> _Origin | None:
    if weights == "scratch":
        return None
    if weights == "imagenet":
        return _Origin(_IMAGENET)
    if weights == "pretrained":
        # Nearly all of timm's are.
        return _Origin(_IMAGENET, is_certain=False)
    path = Path(weights).expanduser()
    if weights == "bundled":
        path = _BUNDLED / f"{backbone_info(backbone).name}.safetensors"
    return _written_origin(path) or _published_origin(backbone, path)


def _written_origin(path: Path) -> _Origin | None:
    """Read the origin from the metadata of a safetensors file, or look a file up by its digest.

    Errors in the file are ignored here; loading it reports them.
    """
    try:
        if path.suffix.lower() != ".safetensors":
            if path.stat().st_size > _LARGEST_PUBLISHED:
                return None
            found = _PUBLISHED.get(hashlib.sha256(path.read_bytes()).hexdigest())
            return _Origin(found) if found else None
        with path.open("rb") as file:
            length = min(int.from_bytes(file.read(8), "little"), _MOST_METADATA)
            origin = json.loads(json.loads(file.read(length))["__metadata__"]["origin"])
        return _Origin(str(origin["data"]), seed=int(origin["seed"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _published_origin(backbone: str, path: Path) -> _Origin | None:
    """Guess the origin from the path or from what is published for the backbone."""
    named = _family(path)
    if named is not None:
        return _Origin(named, is_certain=False)
    if backbone.startswith("cifar_resnet"):
        return _Origin(_CIFAR, is_certain=False)
    return _Origin(_IMAGENET, is_certain=False) if backbone_info(backbone).imagenet else None


def _is_same(origin: str, data: DataConfig) -> bool:
    place = Path(data.folder or data.npz or "")
    family = _family(Path(data.name)) if data.name else _family(place)
    if origin == _CIFAR:
        return family in ("cifar10", "cifar100")
    return origin in (family, data.name, place.stem)


def _family(path: Path) -> str | None:
    """Return the well-known data set that the last two parts of a path name, if any."""
    for part in (path.name, path.parent.name):
        plain = re.sub(r"[^a-z0-9]", "", part.lower())
        for word, family in _FAMILIES.items():
            if word in plain:
                return family
    return None


def _is_split_alike(origin: _Origin, data: DataConfig) -> bool:
    """Return whether `paretune pretrain` held out the same validation images."""
    plain = DataConfig(
        name=data.name, folder=data.folder, npz=data.npz, dataset=data.dataset, root=data.root
    )
    same = (
        data.val_fraction == plain.val_fraction
        and data.test_fraction == plain.test_fraction
        and data.limit is None
    )
    return same and origin.seed is not None and origin.seed == data.seed
