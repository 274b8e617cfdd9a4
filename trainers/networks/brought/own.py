"""Backbones that a function or a class of a user's own builds, named ``module:name``."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import nn

from trainers.doors import content_name, load_reference
from trainers.networks.brought.facts import BroughtError, BroughtFacts, check_channels
from trainers.networks.brought.probing import (
    built,
    checked_blocks,
    count_features,
    found_blocks,
    input_channels,
    on_default_device,
    try_step,
)

WORDS = ("own", "scratch")
_SIDE = 224
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_GREY = ((0.5,), (0.5,))


def own_facts(reference: str) -> BroughtFacts:
    """Build a backbone once, look at it, and run two images through it.

    Args:
        reference: Resolved; see `trainers.doors`.

    Raises:
        DoorError: The code is missing or cannot be imported.
        BroughtError: It cannot be built, or breaks a promise.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_model.py")
    ...     _ = file.write_text("from torch.nn import Flatten")
    ...     facts = own_facts(f"{file}:Flatten")
    >>> facts.name.partition("#")[0], facts.n_features, facts.words
    ('my_model:Flatten', 150528, ('own', 'scratch'))
    """
    return _facts(reference, content_name(reference))


def try_own_step(reference: str) -> None:
    """Do with two images what a training of the whole backbone does.

    Raises:
        DoorError: As `own_facts`.
        BroughtError: It raises in train mode, or no gradient reaches its parameters.

    >>> try_own_step("torch.nn:Flatten")
    """
    facts = own_facts(reference)
    model = built(reference, _maker(reference, facts.name), 0)
    try_step(reference, model, len(facts.mean), facts.image_size)


def own_features(reference: str, *, seed: int) -> nn.Module:
    """Build a backbone in float32 on the default device; what is random in it follows the seed.

    Raises:
        DoorError: As `own_facts`.

    >>> own_features("torch.nn:Flatten", seed=0)
    Flatten(start_dim=1, end_dim=-1)
    """
    make = _maker(reference, content_name(reference))
    return on_default_device(built(reference, make, seed))


def own_blocks(reference: str, features: nn.Module) -> list[nn.Module]:
    """Return the blocks of a backbone: its list ``blocks``, else what is found.

    Raises:
        BroughtError: Blocks that are given do not hold each parameter once.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 2))
    >>> net.blocks = [nn.Sequential(net[0], net[1])]
    >>> len(own_blocks("my_model:build", net)), len(own_blocks("my_model:build", net[0]))
    (1, 1)
    """
    given = features.__dict__.get("blocks")
    if isinstance(given, list | tuple):
        return checked_blocks(reference, features, given)
    return found_blocks(features)


@lru_cache(maxsize=64)
def _facts(reference: str, name: str) -> BroughtFacts:
    model = built(reference, _maker(reference, name), 0)
    default = _GREY if input_channels(model) == 1 else _IMAGENET
    mean, std = check_channels(
        reference, getattr(model, "mean", default[0]), getattr(model, "std", default[1])
    )
    side = getattr(model, "image_size", _SIDE)
    if not isinstance(side, int) or side < 1:
        raise BroughtError(f"{reference} has image_size {side!r}; a number of pixels is needed.")
    n_features = count_features(reference, model, len(mean), side)
    said = getattr(model, "num_features", n_features)
    if said != n_features:
        raise BroughtError(
            f"{reference} has num_features {said!r}, and returns {n_features} features for an "
            f"image: correct the attribute, or leave it out."
        )
    return BroughtFacts(
        name=name,
        source=reference,
        n_features=n_features,
        n_blocks=len(own_blocks(reference, model)),
        parameters=sum(p.numel() for p in model.parameters()),
        image_size=side,
        mean=mean,
        std=std,
        words=WORDS,
    )


@lru_cache(maxsize=64)
def _maker(reference: str, name: str) -> Callable[[], Any]:
    """Import what builds a backbone, once for each content."""
    make = load_reference(reference)
    if not callable(make):
        raise BroughtError(
            f"{reference} is {make!r:.100}; a function or a class that can be called "
            f"without arguments is needed."
        )
    found: Callable[[], Any] = make
    return found
