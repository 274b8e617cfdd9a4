"""Files of a user's own code, carried to machines that do not see its folder."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from trainers.doors.references import ENDING, is_reference, use_copy
from trainers.files.whole_file import whole_file

_MOST_FILES, _MOST_BYTES = 500, 4_000_000


def read_code(references: Iterable[str]) -> dict[str, bytes]:
    """Read the files that references name, and the modules and packages beside them.

    Where there are too many beside a file, 500 or 4 MB, it is taken alone. Modules of installed
    packages are not read, and a missing file is left out: the code that needs it will say so.

    Args:
        references: Resolved; what is no reference to a file is passed over.

    Returns:
        The content of each file by its absolute path.

    >>> read_code(["statistics:fmean", "digitnet"])
    {}
    """
    found: dict[str, bytes] = {}
    for reference in references:
        path = Path(reference.rpartition(":")[0])
        if not is_reference(reference) or not path.name.endswith(ENDING):
            continue
        found |= _read([path]) or {}
        found |= _read(_modules(path.parent)) or {}
    return found


def write_code(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what was read elsewhere into a folder of this machine, and use it from there.

    Files that are here, with the same content at the same path, are used where they are.

    Args:
        files: As `read_code` returns them.
        folder: Its content is named by that of the files, so that many processes may write it.

    Raises:
        OSError: The folder cannot be written to.

    >>> write_code({}, Path("/nowhere"))
    """
    if all(_is_here(Path(path), content) for path, content in files.items()):
        return
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path} {len(content)}\n".encode() + content)
    root = folder / digest.hexdigest()[:16]
    for path, content in files.items():
        copy = root / Path(path).relative_to(Path(path).anchor)
        if not _is_here(copy, content):
            copy.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(copy) as file:
                file.write(content)
        use_copy(Path(path), copy)


def _is_here(path: Path, content: bytes) -> bool:
    with suppress(OSError):
        return path.read_bytes() == content
    return False


def _modules(folder: Path) -> Iterator[Path]:
    """Yield the modules of a folder, and those of the packages in it."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if path.suffix == ENDING and path.is_file():
                yield path
            elif path.is_dir() and (path / f"__init__{ENDING}").is_file():
                yield from _modules(path)


def _read(paths: Iterable[Path]) -> dict[str, bytes] | None:
    """Read files; None if they are too many."""
    found: dict[str, bytes] = {}
    for path in paths:
        with suppress(OSError):
            found[str(path)] = path.read_bytes()
        if len(found) > _MOST_FILES or sum(map(len, found.values())) > _MOST_BYTES:
            return None
    return found
