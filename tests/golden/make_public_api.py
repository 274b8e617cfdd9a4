"""Write the public names of this project with their signatures, one a line.

Run: python tests/golden/make_public_api.py > tests/golden/public_api.txt
"""

import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel

import orchestrator.testing

PROMISED = ("orchestrator", "search_spaces")
# Of values whose text differs from process to process, and of modules, which may move.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_MODULE = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")


def lines() -> Iterator[str]:
    """Every promise, in no particular order."""
    for name in PROMISED:
        module = import_module(name)
        for public in sorted(module.__all__, reverse=True):
            yield from described(f"{name}.{public}", getattr(module, public))
    for found in pkgutil.iter_modules(orchestrator.testing.__path__, "orchestrator.testing."):
        suite = import_module(found.name)
        for public, value in vars(suite).items():
            if getattr(value, "__module__", "") == found.name and not public.startswith("_"):
                yield from described(f"{found.name}.{public}", value)


def described(name: str, value: Any) -> Iterator[str]:
    """One line for a function or a value, and one more for each public member of a class."""
    if isinstance(value, ModuleType):
        raise TypeError(f"{name} is a module; its name hides what was promised under it.")
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        if issubclass(value, BaseModel):
            yield f"class {name}({bases})"
            yield from _keys("sweep", value)
        else:
            yield f"class {name}({bases}){_signature(value)}"
        for member, item in vars(value).items():
            # A suite promises what it asks of a subclass; its tests are free to grow.
            if not member.startswith(("_", "model_", "test_")):
                yield from _member(f"{name}.{member}", item)
    elif callable(value) and hasattr(value, "__name__"):
        yield f"def {name}{_signature(value)}"
    else:
        yield f"{name} = {_plain(str(value))}"


def _keys(path: str, model: type[BaseModel]) -> Iterator[str]:
    """The keys of a sweep file with their defaults, section by section."""
    for key, field in model.model_fields.items():
        sections = [part for part in _parts(field.annotation) if _is_section(part)]
        is_needed = field.is_required() or sections
        yield f"key {path}.{key}" + ("" if is_needed else f" = {field.default!r}")
        for section in sections:
            yield from _keys(f"{path}.{key}", section)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _is_section(part: Any) -> bool:
    return inspect.isclass(part) and issubclass(part, BaseModel)


def _member(name: str, item: Any) -> Iterator[str]:
    if isinstance(item, cached_property):
        item = property(item.func)
    if isinstance(item, property) and item.fget is not None:
        returned = inspect.signature(item.fget).return_annotation
        yield f"property {name} -> {_plain(inspect.formatannotation(returned))}"
    elif isinstance(item, classmethod | staticmethod):
        yield f"{type(item).__name__} {name}{_signature(item.__func__)}"
    elif inspect.isfunction(item):
        yield f"def {name}{_signature(item)}"


def _signature(value: Any) -> str:
    try:
        return _plain(str(inspect.signature(value)))
    except (TypeError, ValueError):  # An enumeration, or a class written in C.
        return ""


def _plain(text: str) -> str:
    return _MODULE.sub("", _ADDRESS.sub("", text))


if __name__ == "__main__":
    sys.stdout.write("\n".join(sorted(set(lines()))) + "\n")
