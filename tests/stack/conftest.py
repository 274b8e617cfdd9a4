"""A real Ray cluster whose nodes share no disk: a head, and two raylets with file systems of
their own.

Each node is `ray start` in a mount namespace (which needs the right to make one: else the tests
skip and say so) where the folder of the driver's state is covered by an empty one. One start
serves all tests of this folder.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_START_S = 120.0
_SMALL = ["--num-gpus=0", "--object-store-memory=100000000", "--disable-usage-stats", "--block"]


@dataclass
class Nodes:
    """The cluster.

    Attributes:
        address: Of its head.
        state: A folder that no node but the driver's sees.
        folder: Holds everything else of the nodes.
    """

    address: str
    state: Path
    folder: Path
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def add(self, name: str, ip: str, *options: str, private: bool = True) -> None:
        """Start a node and do not wait for it."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, *_SMALL]
        command += [f"--node-ip-address={ip}"]
        if private:
            (self.folder / name).mkdir()
            script = (
                f"mount --make-rprivate / && mount -t tmpfs tmpfs {self.state} && "
                f'export TMPDIR={self.folder / name} && exec "$@"'
            )
            command = ["unshare", "--mount", "bash", "-c", script, "node", *command]
        log = (self.folder / f"{name}.log").open("wb")
        environment = os.environ | {"RAY_raylet_start_wait_time_s": "150"}
        self.running[name] = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd="/"
        )

    def end(self, name: str) -> None:
        """Kill a node and all of its processes: what a power cut is."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def said(self) -> str:
        """Return the logs."""
        return "\n".join(log.read_text() for log in self.folder.glob("*.log"))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _may_make_namespaces() -> bool:
    try:
        tried = ["unshare", "--mount", "mount", "--make-rprivate", "/"]
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A head without slots and two private nodes of one CPU each."""
    ray = pytest.importorskip("ray")
    if not _may_make_namespaces():
        pytest.skip("nodes without a shared disk need the right to make a mount namespace")
    port = _free_port()
    with TemporaryDirectory(prefix="pn") as folder:
        state = Path(folder, "state")
        state.mkdir()
        cluster = Nodes(f"127.0.0.1:{port}", state, Path(folder))
        head = ("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")
        try:
            cluster.add("head", "127.0.0.1", *head, f"--temp-dir={folder}/ray", private=False)
            _wait_for(cluster, ray, 1)
            for number in (2, 3):
                joined = (f"--address={cluster.address}", "--num-cpus=1")
                cluster.add(f"n{number}", f"127.0.0.{number}", *joined)
            _wait_for(cluster, ray, 3)
            yield cluster
        finally:
            for name in list(cluster.running):
                cluster.end(name)


def _wait_for(cluster: Nodes, ray: object, count: int) -> None:
    from orchestrator.execution.ray_address import ask_cluster

    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        answer = ask_cluster(cluster.address)
        found = answer.resources or {}
        alive = sum(name.startswith("node:") for name in found if "internal_head" not in name)
        if alive >= count:
            return
        time.sleep(0.5)
    raise RuntimeError(f"{count} nodes did not start: {cluster.said()}")
