"""Look at every node of a cluster and print what is there as JSON; a script, run on its own.

What runs on the nodes is sent to them whole, so that it works where paretune is not installed.
"""

import json
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_NODE_S = 60.0


def main(address: str, asked: Mapping[str, Any], seconds: int) -> None:
    """Print what was found on each node: a list of mappings.

    Args:
        address: As Ray takes it.
        asked: Has ``paths`` to look for, and ``storage``: a URL, or empty.
        seconds: After which the process ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(seconds)
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    looked = ray.remote(num_cpus=0)(look)
    found = []
    for node in (each for each in ray.nodes() if each["Alive"]):
        where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        try:
            ref = looked.options(scheduling_strategy=where).remote(asked["paths"])
            ray.get(ref, timeout=_NODE_S)  # starts the process, which takes its time
            found.append(_timed(looked.options(scheduling_strategy=where), asked["paths"]))
        except RayError as error:
            found.append({"problem": str(error).strip().splitlines()[0]})
        found[-1] |= {"address": node["NodeManagerAddress"], "resources": node["Resources"]}
    said = ""
    if asked["storage"]:
        said = _storage_problem(asked["storage"])
    sys.stdout.write(json.dumps({"nodes": found, "storage": said}) + "\n")
    sys.stdout.flush()


def look(paths: Sequence[str]) -> dict[str, Any]:
    """Return what this node has; imports nothing of ours.

    >>> look(["/absent"])["absent"]
    ['/absent']
    """
    import platform
    import shutil
    import tempfile
    import time
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    versions = {"Python": platform.python_version()}
    for package in ("ray", "paretune"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "missing"
    return {
        "versions": versions,
        "time": time.time(),
        "absent": [path for path in paths if not Path(path).exists()],
        "free": shutil.disk_usage(tempfile.gettempdir()).free,
    }


def _timed(remote: Any, paths: Sequence[str]) -> dict[str, Any]:
    """What a node has, and by how many seconds its clock is ahead of this one's, at least."""
    import time

    import ray

    began = time.time()
    found: dict[str, Any] = ray.get(remote.remote(paths), timeout=_NODE_S)
    ended = time.time()
    there = found.pop("time")
    found["ahead_s"] = min(there - began, 0.0) or max(there - ended, 0.0)
    return found


def _storage_problem(url: str) -> str:
    from orchestrator.errors import OrchestratorError
    from orchestrator.execution.ray_cluster import probe_storage

    try:
        probe_storage(url)
    except OrchestratorError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.stdin.read()), int(sys.argv[2]))
