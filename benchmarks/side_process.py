"""Every side of a benchmark has a process and a folder of its own."""

import os
from pathlib import Path


def environment(folder: Path, *, threads: int = 1) -> dict[str, str]:
    """The environment of a side's process.

    Args:
        folder: Where a sweep's state goes.
        threads: Of torch in each process.
    """
    return {
        **os.environ,
        "PARETUNE_HOME": str(folder / "state"),
        # Else Ray waits for the cluster that somebody last started here, dead or alive.
        "RAY_ADDRESS": "local",
        "OMP_NUM_THREADS": str(threads),
    }
