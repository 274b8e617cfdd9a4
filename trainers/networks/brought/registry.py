"""Which backbones are brought along, and by what; importable without torch.

A name with a colon is a function or a class of a user's own (``module:name``) or a network of
timm (``timm:NAME``). Others are entry points of installed packages, in the group
``paretune.backbones``: names of functions or classes of theirs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainers.doors import is_reference, located
from trainers.doors import shipped as shipped_parts
from trainers.networks.brought.facts import BroughtError, BroughtFacts

if TYPE_CHECKING:
    from torch import nn

TIMM = "timm:"
WORDS = ("own", "pretrained")
"""Words that name weights of backbones that are brought along, beside ``scratch``."""


def shipped() -> Mapping[str, str]:
    """Return the backbones of installed packages: the reference of each, by its name.

    >>> "resnet18" in shipped()
    False
    """
    return shipped_parts("backbones")


def is_brought(name: str) -> bool:
    """Return whether a name is that of a backbone that is brought along.

    >>> is_brought("timm:resnet18"), is_brought("my_model:build"), is_brought("resnet18")
    (True, True, False)
    """
    return is_reference(name) or name in shipped()


def is_code(name: str) -> bool:
    """Return whether a name is that of code of a user's own, which is identified by content.

    >>> is_code("my_model:build"), is_code("timm:resnet18")
    (True, False)
    """
    return is_brought(name) and not name.startswith(TIMM)


def default_weights(name: str) -> str:
    """Return the weights of a backbone that is brought along, where none are named.

    >>> default_weights("my_model:build"), default_weights("timm:resnet18")
    ('own', 'pretrained')
    """
    return WORDS[0] if is_code(name) else WORDS[1]


def brought_facts(name: str) -> BroughtFacts:
    """Find out the facts of a backbone that is brought along; imports torch.

    Args:
        name: Resolved (`trainers.doors.resolved_reference`), or as its facts name it.

    Raises:
        DoorError: The code is missing, was changed since it was named, or breaks a promise.

    >>> brought_facts("torch.nn:Flatten").n_features
    150528
    """
    if name.startswith(TIMM):
        from trainers.networks.brought.timm_nets import timm_facts

        return timm_facts(name)
    from trainers.networks.brought.own import own_facts

    return own_facts(_reference(name))


def try_brought_step(name: str) -> None:
    """Try a step of training with a backbone of a user's own; others are not tried.

    Args:
        name: As of `brought_facts`.

    Raises:
        DoorError: It raises in train mode, or no gradient reaches its parameters.

    >>> try_brought_step("timm:resnet18")
    """
    if is_code(name):
        from trainers.networks.brought.own import try_own_step

        try_own_step(_reference(name))


def brought_features(source: str, *, seed: int, weights: str = "scratch") -> "nn.Module":
    """Build a backbone that is brought along, in float32 on the default device.

    Args:
        source: As `BroughtFacts.source`.
        seed: Of what is random.
        weights: A word of its facts. ``own`` and ``scratch`` differ in the seed alone.

    Raises:
        DoorError: As `brought_facts`, or the weights cannot be had.

    >>> brought_features("torch.nn:Flatten", seed=0)
    Flatten(start_dim=1, end_dim=-1)
    """
    if source.startswith(TIMM):
        from trainers.networks.brought.timm_nets import timm_features

        return timm_features(source, seed=seed, pretrained=weights == "pretrained")
    from trainers.networks.brought.own import own_features

    return own_features(source, seed=seed)


def brought_blocks(source: str, features: "nn.Module") -> "list[nn.Module]":
    """Return the blocks of a backbone that `brought_features` built, from input to output.

    Raises:
        DoorError: Blocks that are given do not hold each parameter once.

    >>> brought_blocks("torch.nn:Flatten", brought_features("torch.nn:Flatten", seed=0))
    []
    """
    if source.startswith(TIMM):
        from trainers.networks.brought.probing import found_blocks

        return found_blocks(features)
    from trainers.networks.brought.own import own_blocks

    return own_blocks(source, features)


def check_size(name: str, side: int) -> None:
    """Refuse a size of images at which a backbone gives another number of features, or none.

    Args:
        name: As `brought_facts` takes it.
        side: In pixels.

    Raises:
        DoorError: The message says what it gives.

    >>> check_size("torch.nn:Flatten", 224)
    >>> check_size("torch.nn:Flatten", 2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.networks.brought.facts.BroughtError: torch.nn:Flatten returns 12 features for ...
    """
    facts = brought_facts(name)
    if side == facts.image_size:
        return
    from trainers.networks.brought.probing import count_features

    features = brought_features(facts.source, seed=0)
    found = count_features(facts.source, features, len(facts.mean), side)
    if found != facts.n_features:
        raise BroughtError(
            f"{facts.source} returns {found} features for images of {side} by {side} pixels, and "
            f"{facts.n_features} for those of {facts.image_size}, which it sees by default: give "
            f"the module the attribute image_size = {side}, or end it with a global pool."
        )


def version_of(name: str) -> str:
    """Return the version of the package that builds a backbone, if its name does not fix it.

    >>> version_of("resnet18"), version_of("my_model:build#0123456789abcdef")
    ('', '')
    """
    if not name.startswith(TIMM):
        return ""
    from trainers.networks.brought.timm_nets import timm_version

    return f"timm {timm_version()}"


def _reference(name: str) -> str:
    """Return where the code is; a name with a digest is looked for."""
    name = shipped().get(name, name)
    return located(name, shipped().values()) if "#" in name else name
