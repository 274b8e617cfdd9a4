"""References to code of a user's own: found, imported, and identified by content."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from trainers.doors.foreign import FOREIGN_ERRORS, say_if_slow, shown_error
from trainers.doors.imports import imported_files
from trainers.errors import TrainerError

ENDING = ".py"
# Files of code that came from another machine: where each is here, by its path there.
_COPIES: dict[Path, Path] = {}
# Of a digest in a name: two contents that share them are not met by chance.
_DIGITS = 16
# Files that are being imported.
_RUNNING: set[Path] = set()
# Where code of a content was seen by this process. The content is compared each time.
_LOCATED: dict[str, str] = {}


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
    if module.endswith(ENDING) and Path(module).is_absolute():
        return reference
    if not (colon and name.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise ValueError(
            f"{reference!r} is not code: write a module and a name in it, as in 'my_metric:size' "
            f"for the function size of my_metric.py beside the sweep file."
        )
    path = folder.joinpath(*module.split(".")).with_suffix(ENDING)
    return f"{path.resolve()}:{name}" if path.is_file() else reference


def code_reference(code: object) -> str:
    """Return the resolved reference of a function or a class, by which every worker finds it.

    Raises:
        ValueError: It is not at the top level of a module with a file, or the module has another
            object of that name.

    >>> from statistics import fmean
    >>> code_reference(fmean).rpartition("/")[2]
    'statistics.py:fmean'
    >>> code_reference(lambda: None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: <function <lambda> at ...> cannot be found again by a worker: give a function ...
    """
    name, module = getattr(code, "__qualname__", ""), inspect.getmodule(code)
    if not name.isidentifier() or getattr(module, name, None) is not code:
        file = None
    else:
        file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        raise ValueError(
            f"{code!r} cannot be found again by a worker: give a function or a class at the top "
            f"level of a module that has a file."
        )
    return f"{Path(file).resolve()}:{name}"


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
        with say_if_slow(f"The import of {module}"):
            loaded = _from_file(Path(module)) if module.endswith(ENDING) else _installed(module)
    except DoorError:
        raise
    except FOREIGN_ERRORS as error:
        raise DoorError(
            f"{module} cannot be imported: {shown_error(error)}. It must be importable by "
            f"itself, on every machine that runs trials."
        ) from error
    if not hasattr(loaded, name):
        raise DoorError(f"{module} has no {name!r}; the sweep file names it.")
    return getattr(loaded, name)


def reference_digest(reference: str) -> str:
    """Compute the SHA-256 of the code that a resolved reference names.

    It covers the file, and what the file imports of its own folder, as `imported_files` finds it;
    of an installed module the file alone.

    Raises:
        DoorError: The file is missing.

    >>> reference_digest("statistics:fmean") == reference_digest("statistics:median")
    False
    """
    path, found = _begun_digest(reference)
    is_own = reference.rpartition(":")[0].endswith(ENDING) and not _is_library(path.parent)
    for module, file in (imported_files(path) if is_own else {}).items():
        content = file.read_bytes()
        found.update(f"\n{module} {len(content)}\n".encode() + content)
    return found.hexdigest()


def file_digest(reference: str) -> str:
    """Compute the digest that earlier versions had: of the file, and not of what it imports.

    Raises:
        DoorError: The file is missing.

    >>> file_digest("statistics:fmean") == reference_digest("statistics:fmean")
    True
    """
    return _begun_digest(reference)[1].hexdigest()


def _begun_digest(reference: str) -> tuple[Path, "hashlib._Hash"]:
    module, _, name = reference.rpartition(":")
    path = _here(Path(module)) if module.endswith(ENDING) else _origin(module)
    if not path.is_file():
        raise _missing(str(path))
    return path, hashlib.sha256(name.encode() + b"\n" + path.read_bytes())


def is_reference(text: str) -> bool:
    """Return whether a text is written like a reference, whatever it names.

    >>> is_reference("my_model:build"), is_reference("resnet18")
    (True, False)
    """
    return ":" in text


def content_name(reference: str) -> str:
    """Name code by module, name and content, wherever its file is; `located` is the inverse.

    Args:
        reference: Resolved.

    Raises:
        DoorError: The file is missing.

    >>> content_name("statistics:fmean").partition("#")[0]
    'statistics:fmean'
    """
    module, _, name = reference.rpartition(":")
    stem = Path(module).stem if module.endswith(ENDING) else module
    found = f"{stem}:{name}#{reference_digest(reference)[:_DIGITS]}"
    _LOCATED[found] = reference
    return found


def take_note(reference: str) -> None:
    """Remember where code is, so that `located` finds it by its content; nothing is imported.

    >>> take_note("/no/such/my_model.py:build")
    """
    with suppress(DoorError):
        content_name(reference)


def located(name: str, installed: Iterable[str] = ()) -> str:
    """Find the code that `content_name` named: where it was last seen, else where Python looks.

    Nothing is imported, so that code of another content is never run. Modules that belong to
    Python or to installed packages are looked at only if this process was told of them: a name
    may come from a file of a stranger.

    Args:
        name: As `content_name` made it.
        installed: References to code of installed packages that may be meant.

    Raises:
        DoorError: It is not there, or has another content by now.

    >>> located(content_name("statistics:fmean"))
    'statistics:fmean'
    >>> located("os:abort#0123456789abcdef")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.doors.references.DoorError: The code os:abort is needed, and os.py is neither ...
    """
    reference, _, digest = name.partition("#")
    found = [_LOCATED[name]] if name in _LOCATED else []
    found += [each for each in installed if each == reference]
    places = [Path(), *map(Path, sys.path)]
    beside = (resolved_reference(reference, place) for place in places if not _is_library(place))
    found += [each for each in beside if each != reference]
    others = []
    for each in dict.fromkeys(found):
        try:
            now = reference_digest(each)[:_DIGITS]
        except DoorError:
            continue
        # An earlier version named the file without what it imports.
        if digest in (now, file_digest(each)[:_DIGITS]):
            return each
        others.append(f"{each.rpartition(':')[0]} has {now}")
    if others:
        raise DoorError(
            f"{reference} was changed: the digest of its file began with {digest}, and "
            f"{', '.join(others)}. Restore the file as it was."
        )
    raise DoorError(
        f"The code {reference} is needed, and {reference.rpartition(':')[0]}{ENDING} is neither "
        f"in this folder nor where Python looks for modules: work in the folder that has it, or "
        f"name that folder in PYTHONPATH."
    )


class _AsWritten(SourceFileLoader):
    """Compile what the file contains now.

    Python's bytecode cache takes a file for unchanged if its size and its second are those of the
    cached one; the digest of a reference would then name other code than the one that runs.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def use_copy(path: Path, copy: Path) -> None:
    """Read code of another machine from a copy on this one.

    >>> use_copy(Path("/elsewhere/my_model.py"), Path("/here/my_model.py"))

    Args:
        path: Its path there, which references have.
        copy: Its path here.
    """
    _COPIES[path] = copy


def _is_library(folder: Path) -> bool:
    """Whether a folder holds Python's own modules or those of installed packages."""
    own = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    here = folder.resolve()
    return here in own or here.name in ("site-packages", "dist-packages", "lib-dynload")


def _here(path: Path) -> Path:
    return _COPIES.get(path, path)


def _from_file(path: Path) -> ModuleType:
    path = _here(path)
    if not path.is_file():
        raise _missing(str(path))
    name = f"paretune_door_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsWritten(name, str(path)))
    if spec is None or spec.loader is None:
        raise DoorError(f"{path} is no Python module.")
    if path in _RUNNING:
        raise DoorError(
            f"{path} is imported for what it has, and itself begins with that import: put what "
            f"it runs under if __name__ == '__main__', which workers that import it leave out."
        )
    module = importlib.util.module_from_spec(spec)
    _forget_others(path)
    _RUNNING.add(path)
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        _RUNNING.discard(path)
        sys.path.remove(str(path.parent))
    return module


def _forget_others(path: Path) -> None:
    """Let a file import the modules beside it, and not those of these names of other folders."""
    for name, file in imported_files(path).items():
        known = getattr(sys.modules.get(name), "__file__", None)
        if known is not None and Path(known) != file:
            del sys.modules[name]


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
