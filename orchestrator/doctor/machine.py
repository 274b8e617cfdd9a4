"""This machine: processors, shared memory, and the folder that holds the state."""

import os
import re
import shutil
from pathlib import Path

from orchestrator.doctor.finding import Finding, fine, wrong

_GIB = 2**30
_LEAST_FREE = _GIB
# Containers get 64 MiB unless configured otherwise, and Ray then spills its objects to disk.
_LEAST_SHARED = _GIB // 2
_SHARED = Path("/dev/shm")  # noqa: S108 - looked at, not written to
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|fuse\.sshfs|afs|9p|ceph|lustre|(fuse\.)?glusterfs"
)


def examine_machine(state: Path) -> list[Finding]:
    """Check the processors, the shared memory, and that the state folder is writable.

    Args:
        state: The state folder; it need not exist yet.
    """
    cpus = len(os.sched_getaffinity(0))
    findings = [fine("processors", f"{cpus} CPUs for this process")]
    if _SHARED.is_dir():
        findings.append(examine_shared_memory(shutil.disk_usage(_SHARED).total))
    return [*findings, *examine_state_folder(state)]


def examine_shared_memory(total: int) -> Finding:
    """Check whether Ray can keep images in shared memory.

    Args:
        total: Size of the file system for shared memory, in bytes.

    >>> examine_shared_memory(2**26).ok, examine_shared_memory(2**34).ok
    (False, True)
    """
    detail = f"{total / _GIB:.2f} GiB in {_SHARED}"
    if total >= _LEAST_SHARED:
        return fine("shared memory", detail)
    return wrong(
        "shared memory",
        f"{detail}: Ray would keep the images on the disk",
        f"Give the container at least {_LEAST_SHARED / _GIB:.1f} GiB: docker run --shm-size=2g",
    )


def examine_state_folder(state: Path) -> list[Finding]:
    """Check whether the state folder can be created and written to, and has room."""
    existing = next(each for each in (state, *state.parents) if each.exists())
    name = "state folder"
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        detail = f"{state}: {existing} is not a folder that you may write to"
        fix = "Set PARETUNE_HOME to a folder that you may write to."
        return [wrong(name, detail, fix)]
    free = shutil.disk_usage(existing).free
    room = f"{free / _GIB:.1f} GiB free for {state}"
    fix = f"Free at least {_LEAST_FREE / _GIB:g} GiB, or set PARETUNE_HOME to a larger disk."
    return [
        fine(name, f"{state} can be written to"),
        fine("free disk", room) if free >= _LEAST_FREE else wrong("free disk", room, fix),
    ]


def network_file_system(path: Path, mounts: str) -> str | None:
    """Return the type of the network file system of a path; None for a local disk.

    Args:
        path: Absolute, without symbolic links; it need not exist.
        mounts: Content of ``/proc/mounts``; of two mounts at one point the later one counts.

    >>> network_file_system(Path("/data/sweeps"), "server:/x /data nfs4 rw 0 0")
    'nfs4'
    >>> network_file_system(Path("/home/me"), "server:/x /data nfs4 rw 0 0") is None
    True
    """
    kind, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        # A blank in a name is written as \040 (proc_mounts(5)).
        point = Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1]))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = fields[2], len(point.parts)
    return kind if _NETWORK.fullmatch(kind) else None
