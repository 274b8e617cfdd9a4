"""A Ray cluster whose nodes share no disk: each in a network and a mount namespace of its own.

Each node is `ray start` at an address of its own (Ray 2.60 replaces loopback addresses by the
machine's); in its mount namespace the folder of the driver's state is covered by an empty one.
Making them takes root and iproute2.
"""

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.ray_nodes import PATIENT, asked
from tests.servers import free_port

START_S = 300.0
_SMALL = [
    "--num-gpus=0",
    "--object-store-memory=100000000",
    "--disable-usage-stats",
    "--block",
    "--include-log-monitor=false",
]
_NET, _NAME = "10.79.0", "pn"
_BRIDGE = f"{_NAME}br0"
# The driver's machine, and the head's.
HOST = f"{_NET}.1"


def address_of(number: int) -> str:
    """Return the address of the node of this number."""
    return f"{_NET}.{number}"


class NamespaceError(Exception):
    """This process may not make namespaces, or there is no iproute2."""


@dataclass
class PrivateNodes:
    """A cluster: the head beside the driver, and nodes apart.

    Attributes:
        state: A folder that no node but the driver's sees.
        folder: Holds everything else of the nodes. Short, for a socket's path has 107 bytes.
        given: Variables that the nodes get beside their own.
        token: What nodes and drivers must know.
    """

    state: Path
    folder: Path
    given: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _commands: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Pick a port for the head; it keeps it when it starts again."""
        self.port, self._heads = free_port(), 0
        self._dashboard, self._agent = free_port(), free_port()

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{HOST}:{self.port}"

    @property
    def jobs(self) -> str:
        """Address of the head's job server."""
        return f"http://{HOST}:{self._dashboard}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the cluster needs in its environment."""
        auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        # Nodes start in "/", where the package would not be found.
        own = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        path = {"PYTHONPATH": os.pathsep.join(filter(None, own))}
        return {**os.environ, **auth, **path, **PATIENT, **self.given}

    def start_head(self, *, jobs: bool = False) -> None:
        """Start a head without slots; returns when it answers.

        Args:
            jobs: Also start its job server, which takes the package `ray[default]`.
        """
        self._heads += 1
        where = (f"--port={self.port}", f"--temp-dir={self.folder}/ray{self._heads}")
        dashboard = [f"--include-dashboard={str(jobs).lower()}"]
        if jobs:
            dashboard += [f"--dashboard-host={HOST}", f"--dashboard-port={self._dashboard}"]
            dashboard += [f"--dashboard-agent-listen-port={self._agent}"]
        self._start("head", [*_ray(HOST), "--head", "--num-cpus=0", *where, *dashboard])
        self.wait_for(1)

    def add(self, number: int) -> None:
        """Start the node of this number, of one CPU, and do not wait for it.

        A node that is started again has lost its disk.
        """
        name, own = f"n{number}", self.folder / f"{number}-{len(list(self.folder.iterdir()))}"
        own.mkdir()
        script = (
            f"mount --make-rprivate / && mount -t tmpfs tmpfs {self.state} && "
            f'export TMPDIR={own} && exec "$@"'
        )
        apart = f"ip netns exec {_NAME}{number} unshare --mount bash -c".split()
        joined = (f"--address={self.address}", "--num-cpus=1", f"--temp-dir={own}")
        self._start(name, [*apart, script, "node", *_ray(address_of(number)), *joined])

    def cut(self, number: int, *, off: bool) -> None:
        """Take a node's cable out, or put it in again."""
        words = ["ip", "link", "set", f"{_NAME}v{number}", "down" if off else "up"]
        subprocess.run(words, check=True)

    def end(self, name: str) -> None:
        """Kill `head` or `n2` and all of its processes: what a power cut is."""
        process = self.running.pop(name)
        # The driver of a job is in a session of its own.
        started = _descendants(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Leave no process behind."""
        for name in list(self.running):
            self.end(name)

    def said(self) -> str:
        """Return the logs."""
        return "\n".join(log.read_text() for log in self.folder.glob("*.log"))

    def wait_for(self, count: int) -> None:
        """Return when so many nodes are alive, the head among them.

        Raises:
            RuntimeError: They are not in five minutes.
        """
        until = time.monotonic() + START_S
        answer = None
        while time.monotonic() < until:
            answer = asked(self.address, self.environment)
            if len(answer.nodes or ()) >= count:
                return
            self._restart()
            time.sleep(2)  # Each question imports Ray, on processors that the nodes need.
        raise RuntimeError(f"{count} nodes did not start ({answer}): {self.said()}")

    def _restart(self) -> None:
        """Start again what ended by itself: Ray gives a node little time on a busy machine."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self._start(name, self._commands[name])

    def _start(self, name: str, command: list[str]) -> None:
        self._commands[name] = command
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
                cwd="/",
            )


@contextmanager
def private_network(numbers: Sequence[int]) -> Iterator[None]:
    """Make a bridge with the first address of the network, and a namespace for each number.

    There is one on a machine: a second process waits until the first has removed it.

    Raises:
        NamespaceError: This process may not.
    """
    made = f"link add {_BRIDGE} type bridge; addr add {HOST}/24 dev {_BRIDGE}; "
    made += f"link set {_BRIDGE} up"
    ended = [f"link del {_BRIDGE}"]
    for n in numbers:
        space, cable = f"{_NAME}{n}", f"{_NAME}v{n}"
        made += (
            f"; netns add {space}; link add {cable} type veth peer name eth0 netns {space}"
            f"; link set {cable} master {_BRIDGE} up"
            f"; -n {space} addr add {address_of(n)}/24 dev eth0"
            f"; -n {space} link set eth0 up; -n {space} link set lo up"
        )
        # The kernel ends a namespace some time after the command, and the cable's name with it.
        ended += [f"link del {cable}", f"netns del {space}"]
    with Path(tempfile.gettempdir(), f"paretune-{_BRIDGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _remove(ended)  # What a process left that was killed.
            _make(made.split("; "))
            yield
        finally:
            _remove(ended)


def _remove(commands: Sequence[str]) -> None:
    for words in commands:
        subprocess.run(["ip", *words.split()], capture_output=True, check=False)


def _make(commands: Sequence[str]) -> None:
    try:
        tried = ["unshare", "--mount", "mount", "--make-rprivate", "/"]
        subprocess.run(tried, capture_output=True, check=True)
        for words in commands:
            subprocess.run(["ip", *words.split()], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NamespaceError(
            f"nodes need the right to make network and mount namespaces: {error}"
        ) from error


def _ray(ip: str) -> list[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *_SMALL]
    return [*command, f"--node-ip-address={ip}"]


def _descendants(parent: int) -> list[int]:
    """The processes that a process started, and those that they started (proc(5))."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, left = [], [parent]
    while left:
        found += (born := children.get(left.pop(), []))
        left += born
    return found
