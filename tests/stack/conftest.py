"""A real Ray cluster whose nodes share no disk: a head, and two raylets with file systems of
their own.

Each node is `ray start` in a network namespace with an address of its own (Ray 2.60 replaces
loopback addresses by the machine's) and in a mount namespace where the folder of the driver's
state is covered by an empty one. Without the right to make them the tests skip and say so. One
start serves all tests of this folder.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_START_S = 300.0
_SMALL = ["--num-gpus=0", "--object-store-memory=100000000", "--disable-usage-stats", "--block"]


@dataclass
class Nodes:
    """The cluster.

    Attributes:
        address: Of its head.
        state: A folder that no node but the driver's sees.
        folder: Holds everything else of the nodes.
        token: What nodes and drivers must know.
    """

    address: str
    state: Path
    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the cluster needs in its environment."""
        auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        # Nodes start in "/", where the package would not be found.
        path = {"PYTHONPATH": str(Path(__file__).parents[2])}
        return {**os.environ, **auth, **path, "RAY_raylet_start_wait_time_s": "150"}

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
            command = [
                "ip",
                "netns",
                "exec",
                f"pn{ip.rpartition('.')[2]}",
                "unshare",
                "--mount",
                "bash",
                "-c",
                script,
                "node",
                *command,
            ]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
                cwd="/",
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


_NET, _BRIDGE = "10.79.0", "pnbr0"


@contextmanager
def _network(numbers: Sequence[int]) -> Iterator[None]:
    """A bridge with the first address of the network, and a namespace for each further number."""
    made = f"link add {_BRIDGE} type bridge; addr add {_NET}.1/24 dev {_BRIDGE}; "
    made += f"link set {_BRIDGE} up"
    ended = [f"link del {_BRIDGE}"]
    for n in numbers:
        made += (
            f"; netns add pn{n}; link add pnv{n} type veth peer name eth0 netns pn{n}"
            f"; link set pnv{n} master {_BRIDGE} up; -n pn{n} addr add {_NET}.{n}/24 dev eth0"
            f"; -n pn{n} link set eth0 up; -n pn{n} link set lo up"
        )
        ended.append(f"netns del pn{n}")
    try:
        try:
            tried = ["unshare", "--mount", "mount", "--make-rprivate", "/"]
            subprocess.run(tried, capture_output=True, check=True)
            for words in made.split("; "):
                subprocess.run(["ip", *words.split()], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"nodes need the right to make network and mount namespaces: {error}")
        yield
    finally:
        for words in ended:
            subprocess.run(["ip", *words.split()], capture_output=True, check=False)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A head without slots and two private nodes of one CPU each."""
    pytest.importorskip("ray")
    port = _free_port()
    with _network((2, 3)), TemporaryDirectory(prefix="pn") as folder:
        state = Path(folder, "state")
        state.mkdir()
        cluster = Nodes(f"{_NET}.1:{port}", state, Path(folder))
        head = ("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")
        try:
            cluster.add("head", f"{_NET}.1", *head, f"--temp-dir={folder}/ray", private=False)
            _wait_for(cluster, 1)
            for number in (2, 3):
                joined = (f"--address={cluster.address}", "--num-cpus=1")
                cluster.add(f"n{number}", f"{_NET}.{number}", *joined)
            _wait_for(cluster, 3)
            yield cluster
        finally:
            for name in list(cluster.running):
                cluster.end(name)


def _wait_for(cluster: Nodes, count: int) -> None:
    from orchestrator.execution.ray_address import ask_cluster

    until = time.monotonic() + _START_S
    answer = None
    while time.monotonic() < until:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in cluster.environment.items():
                patch.setenv(name, value)
            answer = ask_cluster(cluster.address)
        if len(answer.nodes or ()) >= count:
            return
        time.sleep(2)  # Each question imports Ray, on processors that the nodes need.
    raise RuntimeError(f"{count} nodes did not start ({answer}): {cluster.said()}")
