"""What travels with a job: the sweep file, the user's own modules, and small data.

A relative path in a sweep file is sent; an absolute one is a path on the cluster, and is not.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.quantities import human
from orchestrator.spec.sweep_spec import SweepSpec

MOST_BYTES = 100_000_000
"""Bytes that travel with a job; more belongs on the cluster, or into a bucket."""


def sent_files(file: Path, document: Mapping[str, Any], spec: SweepSpec) -> list[Path]:
    """List the files that a job needs, relative to the folder of the sweep file.

    Args:
        file: The sweep file.
        document: Its content, with paths as they are written there.
        spec: The same, with absolute paths.

    Raises:
        UsageError: A path leads out of the folder, is missing, or the files are too large.

    >>> from orchestrator.spec.files import load_sweep
    >>> file = Path("examples/sweeps/digits.yaml")
    >>> sent_files(file, {}, load_sweep(file))
    [PosixPath('digits.yaml')]
    """
    folder, written = file.parent.resolve(), set(_strings(document))
    found = {file.resolve()}
    for text in _strings(spec.model_dump(mode="json")):
        code, colon, _ = text.rpartition(":")
        path = Path(code if colon and code.endswith(".py") else text)
        if path.is_absolute() and text not in written and str(path) not in written:
            found.update(_inside(path, folder))
            if path.suffix == ".py":
                found.update(_modules(folder))
    for place in (("space",), ("backbone", "verdict"), ("quantization", "sensitivity")):
        found.update(_read_beside(document, place, folder))
    size = sum(path.stat().st_size for path in found)
    if size > MOST_BYTES:
        raise UsageError(
            f"{file.name} would send {human('disk_bytes', size)} with the job, and at most "
            f"{human('disk_bytes', MOST_BYTES)} are sent. Copy the data to where all nodes see "
            f"it, and name it by its absolute path."
        )
    return sorted(path.relative_to(folder) for path in found)


def copy_files(files: list[Path], source: Path, target: Path) -> None:
    """Copy files to `target`, under the same relative paths.

    Raises:
        OSError: One cannot be read or written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     copy_files([Path("digits.yaml")], Path("examples/sweeps"), Path(folder))
    ...     [path.name for path in Path(folder).iterdir()]
    ['digits.yaml']
    """
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)


def _read_beside(
    document: Mapping[str, Any], place: tuple[str, ...], folder: Path
) -> Iterator[Path]:
    """Find a file that the spec holds the content of, and not the path."""
    value: Any = document
    for key in place:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str) and not Path(value).expanduser().is_absolute():
        path = folder / value
        if path.is_file():
            yield from _inside(path.resolve(), folder)


def _inside(path: Path, folder: Path) -> Iterator[Path]:
    if not path.is_relative_to(folder):
        raise UsageError(
            f"{path} is not sent with a job: it lies outside {folder}, the folder of the sweep "
            f"file. Move it there, or, if the cluster has it, name it by its absolute path."
        )
    if not path.exists():
        raise UsageError(
            f"{path} is not there, so that it cannot be sent with the job. Correct the path in "
            f"the sweep file; one that only the cluster has must be absolute."
        )
    files = path.rglob("*") if path.is_dir() else iter((path,))
    yield from (each for each in files if each.is_file())


def _modules(folder: Path) -> Iterator[Path]:
    """Find what code beside the sweep file may import: modules, and packages of modules."""
    yield from folder.glob("*.py")
    for package in folder.glob("*/__init__.py"):
        yield from package.parent.rglob("*.py")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)
