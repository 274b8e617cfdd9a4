"""Who holds a lease, and whether that process is still there."""

import os
import socket
from pathlib import Path


def this_holder() -> str:
    """Return ``HOST:PID:START`` of this process; `START` tells apart two with the same PID.

    >>> this_holder().split(":")[1] == str(os.getpid())
    True
    """
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_start(pid)}"


def is_gone(holder: str) -> bool:
    """Return whether `holder` was a process of this machine that is known to have ended.

    A holder on another machine, or one that was not written by `this_holder`, is never considered
    gone: its lease has to expire. Machines are distinguished by host name alone; two that share a
    name and a database could take sweeps from each other, which the fencing token makes harmless.

    >>> is_gone(this_holder()), is_gone("another-machine:1:0")
    (False, False)
    """
    host, pid, start = _parts(holder)
    if host != socket.gethostname() or not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process, whose start time may be hidden
        return False
    return start != "" and _start(pid) != start


def _parts(holder: str) -> tuple[str, int, str]:
    host, _, rest = holder.rpartition(":")[0].rpartition(":")
    return (host, int(rest), holder.rpartition(":")[2]) if rest.isdecimal() else ("", 0, "")


def _start(pid: int) -> str:
    """When a process started, in clock ticks since boot; "" where there is no ``/proc``.

    A process that has ended and waits for its parent to notice (a zombie) counts as "ended".
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "" if not Path("/proc/self/stat").exists() else "ended"
    # The second field is the program's name in parentheses and may hold anything (proc(5)).
    fields = stat.rpartition(")")[2].split()
    return "ended" if fields[0] in "ZX" else fields[19]
