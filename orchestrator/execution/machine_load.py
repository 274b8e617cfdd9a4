"""How busy this machine is."""

import os

# At ten times the load that the machine can handle, the wait is five times as long.
_MOST = 5.0


def patience() -> float:
    """Return how many times longer than usual to wait for processes of this machine: 1 to 5.

    >>> 1.0 <= patience() <= 5.0
    True
    """
    return min(max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0))), _MOST)
