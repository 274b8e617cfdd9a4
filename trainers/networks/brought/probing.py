"""What is found out of a module by looking at it: its blocks, its features, its channels."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainers.determinism import borrowed_generators
from trainers.doors import FOREIGN_ERRORS, say_if_slow, shown_error
from trainers.networks.brought.facts import BroughtError

_IMAGES = 2
# Modules whose children stand in their place: they only list them.
_LISTS = (nn.Sequential, nn.ModuleList)


@contextmanager
def built_here(seed: int) -> Iterator[None]:
    """Build modules in this context on the CPU, whatever the default device; random by a seed.

    Code of others may read what it has just drawn, which the meta device does not allow.

    >>> with torch.device("meta"), built_here(0):
    ...     nn.Linear(1, 1).weight.device.type
    'cpu'
    """
    with borrowed_generators(), torch.device("cpu"):
        torch.manual_seed(seed)
        yield


def on_default_device(model: nn.Module) -> nn.Module:
    """Return a copy in float32 on the default device, which may be the meta device.

    >>> with torch.device("meta"):
    ...     on_default_device(nn.Linear(1, 1, device="cpu")).weight.device.type
    'meta'
    """
    device = torch.empty(0).device
    return copy.deepcopy(model).to(device=device, dtype=torch.float32)


def count_features(name: str, model: nn.Module, channels: int, side: int) -> int:
    """Count the features of an image by running two.

    Args:
        name: For the messages.
        model: On the CPU; its mode stays as it is.
        channels: Of the images.
        side: In pixels.

    Raises:
        BroughtError: It raises, or returns anything but a vector for each image.

    >>> count_features("flat", nn.Flatten(), 3, 2)
    12
    >>> count_features("a map", nn.Identity(), 1, 4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.networks.brought.facts.BroughtError: a map returns a tensor of shape (2, 1, 4, 4)...
    """
    called = f"{name} was called with {_IMAGES} images of {channels}x{side}x{side}"
    was_training = model.training
    try:
        with say_if_slow(called), built_here(0), torch.inference_mode():
            found = model.eval()(torch.rand(_IMAGES, channels, side, side))
    except FOREIGN_ERRORS as error:
        raise BroughtError(
            f"{called}, and raised {shown_error(error)}. Attributes of the module say "
            f"what it sees: image_size (in pixels), mean and std (a number for each channel)."
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(found, Tensor):
        raise BroughtError(f"{called}, and returned a {type(found).__name__}; a tensor is needed.")
    if found.ndim != 2 or len(found) != _IMAGES or not found.shape[1]:
        raise BroughtError(
            f"{name} returns a tensor of shape {tuple(found.shape)} for {_IMAGES} images; a flat "
            f"vector of features for each is needed: let the module end with "
            f"nn.AdaptiveAvgPool2d(1) and nn.Flatten(), and without a classifier."
        )
    if found.dtype != torch.float32:
        raise BroughtError(
            f"{called}, and returned features of {found.dtype}; torch.float32 is needed: let the "
            f"module end with .float()."
        )
    if not found.isfinite().all():
        raise BroughtError(f"{called}, and returned NaN or infinity; finite features are needed.")
    return int(found.shape[1])


def try_step(name: str, model: nn.Module, channels: int, side: int) -> None:
    """Run two images through a module in train mode and back, as the training of all of it does.

    Raises:
        BroughtError: It raises, or no gradient reaches its parameters.

    >>> try_step("net", nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten()), 1, 2)
    >>> try_step("flat", nn.Flatten(), 1, 2)
    """
    called = f"{name} was called in train mode with {_IMAGES} images of {channels}x{side}x{side}"
    trained = [each for each in model.parameters() if each.requires_grad]
    try:
        with say_if_slow(called), built_here(0):
            found = model.train()(torch.rand(_IMAGES, channels, side, side))
            if found.requires_grad:
                found.sum().backward()
    except FOREIGN_ERRORS as error:
        raise BroughtError(f"{called}, and raised {shown_error(error)}") from error
    if trained and all(each.grad is None for each in trained):
        raise BroughtError(
            f"{called}, and no gradient reaches its parameters, which tune names for training: "
            f"leave out detach() and no_grad(), or write tune: head."
        )


def input_channels(model: nn.Module) -> int:
    """Return how many channels the first convolution sees; 3 without one.

    >>> input_channels(nn.Sequential(nn.ReLU(), nn.Conv2d(1, 4, 3)))
    1
    """
    convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d))
    return next((layer.in_channels for layer in convolutions), 3)


def found_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the parts of a module that ``last_blocks:N`` counts, from input to output.

    They are its children, and those of its lists of layers; a norm belongs to the block before
    it, and what no child holds to the first. A module with a single child is that child.

    >>> layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 2))
    >>> [len(list(block.parameters())) for block in found_blocks(layers)]
    [4, 2]
    """
    parts = _with_parameters(model)
    while len(parts) == 1 and not list(model.parameters(recurse=False)):
        model, parts = parts[0], _with_parameters(parts[0])
    expanded: list[nn.Module] = []
    for part in parts:
        inner = _with_parameters(part) if isinstance(part, _LISTS) else []
        expanded += inner or [part]
    groups: list[list[nn.Module]] = []
    for part in expanded:
        if groups and _is_norm(part):
            groups[-1].append(part)
        else:
            groups.append([part])
    blocks = [group[0] if len(group) == 1 else nn.Sequential(*group) for group in groups]
    own = dict(model.named_parameters(recurse=False))
    if not own:
        return blocks
    first = blocks[:1] or [nn.Module()]
    return [_with_own(first[0], own), *blocks[1:]]


def checked_blocks(name: str, model: nn.Module, given: Sequence[object]) -> list[nn.Module]:
    """Check blocks that were given: modules that hold each parameter of a model once.

    Raises:
        BroughtError: They do not; the message names the parameters.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 2))
    >>> len(checked_blocks("net", net, list(net)))
    2
    >>> checked_blocks("net", net, [net[0]])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.networks.brought.facts.BroughtError: the blocks of net leave out 1.weight, 1.bias...
    """
    blocks = [block for block in given if isinstance(block, nn.Module)]
    if len(blocks) != len(given):
        raise BroughtError(f"the blocks of {name} are not all modules: {given!r:.200}.")
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    held = [id(parameter) for block in blocks for parameter in block.parameters()]
    left_out = [key for each, key in names.items() if each not in held]
    twice = [key for each, key in names.items() if held.count(each) > 1]
    for what, keys in (("leave out", left_out), ("hold more than once", twice)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise BroughtError(
                f"the blocks of {name} {what} {', '.join(keys[:3])}{more}: together they hold "
                f"each parameter of the module once. Without the attribute blocks they are found."
            )
    return [block for block in blocks if any(True for _ in block.parameters())]


def built(name: str, make: Callable[[], object], seed: int) -> nn.Module:
    """Call what builds a module, on the CPU.

    Raises:
        BroughtError: It raises, or returns anything else.

    >>> built("net", lambda: nn.Linear(2, 1), seed=0).out_features
    1
    """
    try:
        with say_if_slow(name), built_here(seed):
            model = make()
    except FOREIGN_ERRORS as error:
        raise BroughtError(
            f"{name} was called to build a backbone, and raised {shown_error(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise BroughtError(
            f"{name} was called to build a backbone, and returned a {type(model).__name__}; a "
            f"torch.nn.Module is needed."
        )
    return model


def _with_parameters(model: nn.Module) -> list[nn.Module]:
    return [child for child in model.children() if any(True for _ in child.parameters())]


def _is_norm(module: nn.Module) -> bool:
    """Whether a module has only vectors as parameters: a norm, a scale."""
    return all(parameter.ndim < 2 for parameter in module.parameters())


def _with_own(block: nn.Module, own: dict[str, nn.Parameter]) -> nn.Module:
    """Return a block that also holds parameters that belong to no child of the model."""
    group = nn.Sequential()
    for name, parameter in own.items():
        group.register_parameter(name, parameter)
    group.append(block)
    return group
