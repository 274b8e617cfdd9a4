"""Parts of a user's own, or of an installed package, where ours have a word: a quantizer, say."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import entry_points
from inspect import Parameter, signature
from types import MappingProxyType
from typing import Any

from trainers.doors.foreign import FOREIGN_ERRORS, shown_error
from trainers.doors.references import (
    DoorError,
    content_name,
    is_reference,
    load_reference,
    located,
)

KINDS = (
    *("backbones", "datasets", "functions", "quantizers", "criteria", "attacks"),
    *("samplers", "schedulers", "callbacks"),
)
"""What a package can ship: each is the entry point group `paretune.KIND`."""


@cache
def shipped(kind: str) -> Mapping[str, str]:
    """Return what installed packages ship of a kind: the reference of each, by its name.

    Args:
        kind: One of `KINDS`.

    >>> "symmetric" in shipped("quantizers")
    False
    """
    found = {each.name: each.value for each in entry_points(group=f"paretune.{kind}")}
    return MappingProxyType(found)


def is_part(kind: str, name: str) -> bool:
    """Return whether a name is that of code, and not a word of ours.

    >>> is_part("quantizers", "my_quantizer:levels"), is_part("quantizers", "kmeans")
    (True, False)
    """
    return is_reference(name) or name in shipped(kind)


def part_name(kind: str, name: str) -> str:
    """Name a part by the content of its code; a word of ours stays as it is.

    So does code that is missing here: its first use will say so.

    >>> part_name("quantizers", "kmeans"), part_name("quantizers", "no_such_module:levels")
    ('kmeans', 'no_such_module:levels')
    >>> part_name("quantizers", "statistics:fmean").partition("#")[0]
    'statistics:fmean'
    """
    reference = shipped(kind).get(name, name)
    if is_reference(reference) and "#" not in reference:
        with suppress(DoorError):
            return content_name(reference)
    return reference


def load_part(kind: str, name: str) -> Any:
    """Import a part of a user's own, once for each content.

    Args:
        kind: One of `KINDS`.
        name: As `part_name` returns it.

    Raises:
        DoorError: It is missing, was changed, or cannot be imported.

    >>> load_part("quantizers", part_name("quantizers", "statistics:fmean"))([1, 2])
    1.5
    """
    return _loaded(kind, name) if "#" in name else load_reference(name)


def call_part(name: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call code of a user's own with those of the named values that it has parameters for.

    Args:
        name: Of the code, for the message.
        function: The code.
        given: What it must take, in this order.
        named: What it may take.

    Raises:
        DoorError: It cannot be called so, or raises.

    >>> call_part("my:double", lambda x, times: x * times, 3, times=2, seed=0)
    6
    >>> call_part("my:double", lambda: 1, 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.doors.references.DoorError: my:double was called, and raised TypeError: ...
    """
    try:
        taken = signature(function).parameters
        if all(each.kind is not Parameter.VAR_KEYWORD for each in taken.values()):
            named = {key: value for key, value in named.items() if key in taken}
        return function(*given, **named)
    except FOREIGN_ERRORS as error:
        shapes = [str(tuple(each.shape)) for each in given if hasattr(each, "shape")]
        tensors = f" with tensors of the shapes {' and '.join(shapes)}" if shapes else ""
        raise DoorError(f"{name} was called{tensors}, and raised {shown_error(error)}") from error


@lru_cache(maxsize=64)
def _loaded(kind: str, name: str) -> Any:
    return load_reference(located(name, shipped(kind).values()))
