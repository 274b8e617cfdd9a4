"""Code of a user's own, named in a sweep file as ``module:name``; importable without torch."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from trainers.errors import TrainerError

_ENDING = ".py"


class DoorError(TrainerError):
    """Code of a user's own cannot be found, imported or run; the text names it."""


def resolved_reference(reference: str, folder: Path) -> str:
    """Turn ``package.module:name`` into ``file:name`` if the folder contains the module.

    Others are modules of installed packages, and stay as they are.

    >>> resolved_reference("no_such_module:size", Path())
    'no_such_module:size'

    Args:
        reference: As in a sweep file.
        folder: The folder of the sweep file.

    Raises:
        ValueError: It is not a module and a name with a colon between them.
    """
    module, colon, name = reference.rpartition(":")
    if module.endswith(_ENDING) and Path(module).is_absolute():
        return reference
    if not (colon and name.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise ValueError(
            f"{reference!r} is not code: write a module and a name in it, as in 'my_metric:size' "
            f"for the function size of my_metric.py beside the sweep file."
        )
    path = folder.joinpath(*module.split(".")).with_suffix(_ENDING)
    return f"{path.resolve()}:{name}" if path.is_file() else reference


def load_reference(reference: str) -> Any:
    """Import what a resolved reference names.

    Modules beside a file can be imported by it.

    Raises:
        DoorError: The file or the module is missing, cannot be imported, or lacks the name.

    >>> load_reference("statistics:fmean")([1, 2])
    1.5
    """
    module, _, name = reference.rpartition(":")
    try:
        loaded = _from_file(Path(module)) if module.endswith(_ENDING) else _installed(module)
    except DoorError:
        raise
    except Exception as error:
        raise DoorError(
            f"{module} cannot be imported: {type(error).__name__}: {error}. It must be importable "
            f"by itself, on every machine that runs trials."
        ) from error
    if not hasattr(loaded, name):
        raise DoorError(f"{module} has no {name!r}; the sweep file names it.")
    return getattr(loaded, name)


def reference_digest(reference: str) -> str:
    """Compute the SHA-256 of the file that a resolved reference names, but not of its imports.

    Raises:
        DoorError: The file is missing.

    >>> reference_digest("statistics:fmean") == reference_digest("statistics:median")
    False
    """
    module, _, name = reference.rpartition(":")
    path = Path(module) if module.endswith(_ENDING) else _origin(module)
    if not path.is_file():
        raise _missing(str(path))
    return hashlib.sha256(name.encode() + b"\n" + path.read_bytes()).hexdigest()


def call_measure(reference: str, network: Any, images: Any, labels: Any) -> float:
    """Call a function that measures a network.

    Args:
        reference: Resolved; names ``function(network, images, labels)``.
        network: An `nn.Module` in eval mode, from float pixels in [0, 1] to logits.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).

    Returns:
        A finite number.

    Raises:
        DoorError: It cannot be imported or called, raises, or returns anything else.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_metric.py")
    ...     _ = file.write_text("share = lambda net, images, labels: sum(labels) / len(images)")
    ...     call_measure(f"{file}:share", None, ["an image", "another"], [0, 1])
    0.5
    """
    function: Callable[..., Any] = load_reference(reference)
    called = f"{reference} was called with a network, {len(images)} images and their labels"
    try:
        answer = function(network, images, labels)
    except Exception as error:
        raise DoorError(f"{called}, and raised {type(error).__name__}: {error}") from error
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise DoorError(f"{called}, and returned {answer!r}; a number is needed.") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise DoorError(f"{called}, and returned {value}; a finite number is needed.")
    return value


class _AsWritten(SourceFileLoader):
    """Compile what the file contains now.

    Python's bytecode cache takes a file for unchanged if its size and its second are those of the
    cached one; the digest of a reference would then name other code than the one that runs.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise _missing(str(path))
    name = f"paretune_door_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsWritten(name, str(path)))
    if spec is None or spec.loader is None:
        raise DoorError(f"{path} is no Python module.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


def _installed(module: str) -> ModuleType:
    _origin(module)
    return importlib.import_module(module)


def _origin(module: str) -> Path:
    """Find the file of an installed module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise _missing(module)
    return Path(spec.origin)


def _missing(what: str) -> DoorError:
    return DoorError(
        f"There is no {what}, which the sweep file names: put it beside the sweep file, or "
        f"install the package that has it, on every machine that runs trials."
    )
