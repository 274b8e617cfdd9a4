"""timm's networks without their classifiers, named ``timm:NAME``; timm is an optional extra."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from torch import nn

from trainers.networks.brought.facts import BroughtError, BroughtFacts
from trainers.networks.brought.probing import (
    built,
    count_features,
    found_blocks,
    on_default_device,
)

PREFIX = "timm:"
WORDS = ("pretrained", "scratch")


@lru_cache(maxsize=64)
def timm_facts(name: str) -> BroughtFacts:
    """Build a network of timm once, without its weights, and run two images through it.

    The number of features is that of what comes before the classifier; size and normalisation
    of images are those of timm's weights of that name.

    Args:
        name: ``timm:`` and a name of timm, with or without the tag of its weights.

    Raises:
        BroughtError: timm is not installed, knows no such network, or the network cannot be used.
    """
    model = _built(name, pretrained=False, seed=0)
    from timm.data.config import resolve_model_data_config

    config = resolve_model_data_config(model)
    channels, height, width = config["input_size"]
    if height != width:
        raise BroughtError(
            f"{name} sees images of {width} by {height} pixels; squares are needed."
        )
    return BroughtFacts(
        name=name,
        source=name,
        n_features=count_features(name, model, channels, height),
        n_blocks=len(found_blocks(model)),
        parameters=sum(p.numel() for p in model.parameters()),
        image_size=height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        words=WORDS,
    )


def timm_features(name: str, *, seed: int, pretrained: bool = False) -> nn.Module:
    """Build a network of timm in float32 on the default device, without its classifier.

    Args:
        name: As for `timm_facts`.
        seed: Of random weights.
        pretrained: Whether timm loads its weights, and downloads them where its cache lacks them.

    Raises:
        BroughtError: As `timm_facts`, or the weights cannot be had.
    """
    return on_default_device(_built(name, pretrained=pretrained, seed=seed))


def timm_version() -> str:
    """Return timm's version; empty where it is not installed.

    >>> timm_version() == "" or timm_version()[0].isdigit()
    True
    """
    try:
        return version("timm")
    except PackageNotFoundError:
        return ""


def _built(name: str, *, pretrained: bool, seed: int) -> nn.Module:
    if find_spec("timm") is None:
        raise BroughtError(
            f"{name} is a network of timm, which is not installed: pip install 'paretune[timm]'."
        )
    import timm

    inner = name.removeprefix(PREFIX)
    if not timm.is_model(inner):
        near = timm.list_models(f"*{inner.partition('.')[0].replace('-', '').replace('_', '')}*")
        hint = f" It has {', '.join(near[:4])}." if near else ""
        raise BroughtError(f"timm {timm_version()} has no network {inner!r}.{hint}")

    def make() -> Any:
        return timm.create_model(inner, pretrained=pretrained, num_classes=0)

    return built(name, make, seed)
