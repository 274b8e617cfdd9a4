"""Where Ray keeps its session on this machine: the paths of its sockets must be short.

Ray is not imported here, so that `check` and `doctor` can use this too.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 107  # bytes of a socket's path on Linux (unix(7)): 108 with the zero at its end
# What Ray (2.60) puts below its folder; a process has at most seven digits.
_BELOW = "/session_2026-01-31_23-59-59_999999_4194304/sockets/plasma_store"
_NAME = "ray"
_SHORT = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - for a link of our own
_FIX = (
    "Set RAY_TMPDIR to a folder in which you may write, with a path of at most "
    f"{_LONGEST - len(_BELOW) - len(_NAME) - 1} bytes."
)


@dataclass(frozen=True, slots=True)
class RayFolder:
    """Where Ray would keep its session.

    Attributes:
        path: The folder that Ray chooses: in ``RAY_TMPDIR``, else ``TMPDIR``, else ``/tmp``.
        detour: A folder with a short path for a link to it, where `path` is too long for sockets.
        problem: Why Ray cannot start there; empty if it can.
        fix: What to do about it, as a sentence.
    """

    path: Path
    detour: Path | None = None
    problem: str = ""
    fix: str = _FIX


def find_ray_folder() -> RayFolder:
    """Find where Ray would keep its session; creates nothing."""
    root = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
    path = Path(root).absolute() / _NAME
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not _is_writable(existing):
        return RayFolder(path, problem=f"you may not write to {existing}, where Ray keeps {path}")
    if (needed := len(os.fsencode(path)) + len(_BELOW)) <= _LONGEST:
        return RayFolder(path)
    detour = next((each for each in _SHORT if _is_writable(each)), None)
    if detour is not None:
        return RayFolder(path, detour)
    problem = (
        f"{path} is too long for Ray's sockets ({needed} bytes with their names, where "
        f"{_LONGEST} fit), and no link to it can be made in {', '.join(map(str, _SHORT))}"
    )
    return RayFolder(path, problem=problem)


def make_link(folder: RayFolder) -> Path:
    """Make a short link to a folder; the caller removes the folder that holds the link.

    Args:
        folder: Has a detour.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    # A folder with a random name: another user could already own a predictable one.
    link = Path(tempfile.mkdtemp(prefix="ray-", dir=folder.detour)) / _NAME
    link.symlink_to(folder.path, target_is_directory=True)
    return link


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
