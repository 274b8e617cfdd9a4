"""The file of an archived sweep: a zip whose list of checksums says what it must hold.

```
manifest.json          format, version, name of the sweep, size and SHA-256 of each member
store.db               a store with this sweep alone, of the schema of its time
files/...              what the sweep's folder had, in the state folder
logs/...               the logs of its runs
storage/...            what the sweep's `storage` had
runs/runs.jsonl        its MLflow runs, one a line
runs/artifacts/ID/...  their artifacts
```
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.state_folder import check_sweep_name

FORMAT = 1
STORE, FILES, LOGS, STORED, RUNS = "store.db", "files", "logs", "storage", "runs"
_MANIFEST = "manifest.json"
_BLOCK = 2**20
# What is dense already is not compressed again: that costs more time than it saves space.
_DENSE = (".safetensors", ".zst", ".npz", ".npy", ".png", ".gz", ".zip")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        sweep: Name of the sweep.
        members: Size in bytes and SHA-256 of each member, by its name.
        paretune: The version that wrote it.
    """

    sweep: str
    members: Mapping[str, tuple[int, str]]
    paretune: str = ""

    def below(self, folder: str) -> list[str]:
        """Return the names of the members in a folder, without the folder."""
        mark = f"{folder}/"
        return [name.removeprefix(mark) for name in self.members if name.startswith(mark)]


def write_archive(file: Path, sweep: str, content: Mapping[str, Path]) -> Manifest:
    """Write files into a new archive.

    Args:
        file: The archive; it is overwritten.
        sweep: Name of the sweep.
        content: The files, by the names of the members that they become.
    """
    members: dict[str, tuple[int, str]] = {}
    with zipfile.ZipFile(file, "w") as archive:
        for name, path in content.items():
            kind = zipfile.ZIP_STORED if path.suffix in _DENSE else zipfile.ZIP_DEFLATED
            archive.write(path, name, kind)
            members[name] = (path.stat().st_size, _digest(path))
        manifest = Manifest(sweep, members, version("paretune"))
        archive.writestr(_MANIFEST, _as_json(manifest), zipfile.ZIP_DEFLATED)
    return manifest


def files_below(folder: Path) -> dict[str, Path]:
    """List all files in a folder and below it, by their paths in the folder, in order."""
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def read_manifest(file: Path) -> Manifest:
    """Read what an archive says of itself.

    Raises:
        UsageError: It is no archive of a sweep, or of a newer paretune.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            said = json.loads(archive.read(_MANIFEST))
        if said["format"] != FORMAT:
            raise UsageError(
                f"{file} has the format {said['format']}, and this paretune reads {FORMAT}. Use "
                f"paretune {said['paretune']} or newer: pip install --upgrade paretune"
            )
        members = {name: (int(size), str(sha)) for name, (size, sha) in said["members"].items()}
        name = check_sweep_name(said["sweep"])
        _check_inside(file, members)
        return Manifest(name, members, str(said["paretune"]))
    except FileNotFoundError:
        raise UsageError(f"There is no file {file}.") from None
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{file} is no whole archive of a sweep ({error}). `paretune archive NAME --to FILE` "
            f"writes one."
        ) from None


def extract(file: Path, manifest: Manifest, folder: Path) -> None:
    """Extract all members of an archive into a folder, and check them.

    Raises:
        OrchestratorError: A member is damaged, or the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for name, (size, sha256) in manifest.members.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                _extract(archive, name, path)
                if path.stat().st_size != size or _digest(path) != sha256:
                    raise zipfile.BadZipFile(f"{name} is not what was archived")
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise OrchestratorError(
            f"{file} is damaged, and nothing was restored from it: {error}."
        ) from None


def same_content(path: Path, other: Path) -> bool:
    """Return whether two files have the same bytes."""
    return path.stat().st_size == other.stat().st_size and _digest(path) == _digest(other)


def _extract(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    with archive.open(name) as source, path.open("wb") as target:
        for block in _blocks(source):
            target.write(block)


def _blocks(source: Any) -> Iterator[bytes]:
    while block := source.read(_BLOCK):
        yield block


def _check_inside(file: Path, members: Mapping[str, object]) -> None:
    for name in members:
        path = PurePosixPath(name)
        inside = path.parts[:1] in ((STORE,), (FILES,), (LOGS,), (STORED,), (RUNS,))
        if path.is_absolute() or ".." in path.parts or "\\" in name or not inside:
            raise UsageError(f"{file} names a file outside of an archive ({name!r}).")


def _as_json(manifest: Manifest) -> str:
    said = {
        "format": FORMAT,
        "paretune": manifest.paretune,
        "sweep": manifest.sweep,
        "members": manifest.members,
    }
    return json.dumps(said, indent=1)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
