"""Whether the kernel killed a process because memory ran out, from the only evidence it leaves.

Such a process leaves no message, and its parent sees a SIGKILL like any other. The kernel counts
these kills in each memory cgroup, and for the whole machine. A container sees its own cgroup.
"""

from pathlib import Path

ROOT = Path("/")


def out_of_memory_kills(root: Path = ROOT) -> int | None:
    """Count the processes that the kernel has killed for memory in this process's cgroup.

    Args:
        root: Where ``proc`` and ``sys`` are.

    Returns:
        A number that only grows, for the whole machine if there is no cgroup; None if the kernel
        has no such count (not Linux).

    >>> out_of_memory_kills(Path("absent")) is None
    True
    """
    for path in (*_cgroup_files(root), root / "proc/vmstat"):
        try:
            lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            continue
        for name, _, count in (line.partition(" ") for line in lines):
            if name == "oom_kill" and count.strip().isdecimal():
                return int(count)
    return None


def _cgroup_files(root: Path) -> list[Path]:
    """Files that may hold the count, the nearest cgroup first (cgroups(7), memory.events)."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    mounted = root / "sys/fs/cgroup"
    found = []
    for _, controllers, group in (line.split(":", maxsplit=2) for line in lines):
        # In a container the path is the host's, and the container's own cgroup is the mount's top.
        for own in dict.fromkeys((group.lstrip("/"), "")):
            if "memory" in controllers.split(","):
                found.append(mounted / "memory" / own / "memory.oom_control")
            elif not controllers:
                found.append(mounted / own / "memory.events")
    return found
