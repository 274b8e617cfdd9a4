"""A real Ray cluster on this machine: each node is `ray start` in a session of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from orchestrator.contracts import Store
from orchestrator.execution.ray_address import Answer, ask_cluster
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import find_store, open_store
from tests.servers import free_port

# So long that only a hang exceeds it, even on a slow machine.
LONGEST_S = 300.0
# How long Ray waits for its own processes; half a minute by itself, which a busy machine exceeds.
PATIENT = {
    "RAY_raylet_start_wait_time_s": "150",
    "RAY_gcs_server_port_wait_time_s": "150",
    "RAY_agent_register_timeout_ms": "150000",
}
_SMALL = (
    "--block",
    "--disable-usage-stats",
    "--num-gpus=0",
    "--object-store-memory=100000000",
    "--include-log-monitor=false",
)
SWEEP = {
    "name": "tiny",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits", "limit": 300},
    "space": {
        "fc_width_1": {"type": "int", "low": 4, "high": 64},
        "bits": {"type": "choice", "values": [3, 4, 8]},
    },
    "training": {"epochs": 2, "batch_size": 64},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "sampler": {"kind": "random"},
    "budget": {"trials": 4},
    "tracking": {"kind": "none"},
}


three_nodes = pytest.mark.skipif(
    "PARETUNE_TEST_STACK" not in os.environ,
    reason="starts three nodes of Ray at once, for minutes: PARETUNE_TEST_STACK=1 asks for it",
)


@dataclass
class RayNodes:
    """A cluster, and commands that run on it.

    Attributes:
        folder: Of the state folder, of logs and of sweep files.
        given: Variables that nodes and commands get beside their own.
    """

    folder: Path
    given: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    port: int = 0
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Short, for a socket's path has 107 bytes.
        self._ray = tempfile.mkdtemp(prefix="pr-")
        self._begins: dict[str, int] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        # The package of these tests, whichever is installed.
        own = {"PARETUNE_HOME": str(self.state), "PYTHONPATH": str(Path(__file__).parents[1])}
        return {**os.environ, **auth, **PATIENT, **own, **self.given}

    def start_head(self, cpus: int, *options: str) -> None:
        """Start a head, and wait until it is up."""
        self.port = self.port or free_port()
        head = (f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self._ray}")
        self._start("head", "--head", *head, f"--num-cpus={cpus}", *options)
        self.wait_for(1)

    def add(self, name: str, *options: str, cpus: int = 1) -> None:
        """Start a further node, and do not wait for it."""
        self._start(name, f"--address={self.address}", f"--num-cpus={cpus}", *options)

    def kill(self, name: str) -> None:
        """Kill a node and all of its processes: what a power cut is."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def nodes(self) -> int:
        """Ask the cluster how many nodes it has, those among them that it started itself."""
        return len(asked(self.address, self.environment).nodes or ())

    def wait_for(self, count: int) -> None:
        """Wait until so many nodes say that they are up.

        To ask the cluster would take a process that imports Ray, each time.
        """
        until = time.monotonic() + LONGEST_S
        while sum(map(self._is_up, self.running)) < count:
            ended = [name for name, each in self.running.items() if each.poll() is not None]
            assert not ended, self.logs()
            assert time.monotonic() < until, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)
        shutil.rmtree(self._ray, ignore_errors=True)

    def sweep(self, **changes: object) -> Path:
        path = self.folder / "sweep.yaml"
        path.write_text(yaml.safe_dump({**SWEEP, **changes}))
        return path

    def command(self, *words: str) -> "subprocess.Popen[str]":
        """Start `paretune` on the cluster."""
        return subprocess.Popen(
            [sys.executable, "-c", "from orchestrator.cli.app import main; main()", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, "RAY_ADDRESS": self.address},
            start_new_session=True,
        )

    def done(self, *words: str) -> tuple[int, str, str]:
        """Run `paretune` to its end; its code, and what it printed."""
        return ended(self.command(*words))

    def store(self) -> Store:
        return open_store(state=StateFolder(self.state), create=False)

    def wait_for_epochs(self, driver: "subprocess.Popen[str]", trials: int = 1) -> None:
        """Wait until so many trials have each reported an epoch."""
        until = time.monotonic() + LONGEST_S
        while time.monotonic() < until:
            assert driver.poll() is None, driver.communicate()
            if self._counted(reports=True) >= trials:
                return
            time.sleep(0.2)
        raise AssertionError(f"no epoch was reported: {self.logs()}")

    def wait_for_trial(self) -> None:
        """Wait until a trial is stored, whose worker may not have come up."""
        until = time.monotonic() + LONGEST_S
        while not self._counted(reports=False):
            assert time.monotonic() < until, self.logs()
            time.sleep(0.05)

    def _counted(self, *, reports: bool) -> int:
        store = find_store(state=StateFolder(self.state))
        if store is None:
            return 0
        try:
            found = [
                (each.name, t.number) for each in store.sweeps() for t in store.trials(each.name)
            ]
            return sum(bool(store.reports(*each)) if reports else 1 for each in found)
        finally:
            store.close()

    def _is_up(self, name: str) -> bool:
        log = (self.folder / f"{name}.log").read_bytes()
        return b"Ray runtime started" in log[self._begins[name] :]

    def _start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            # A node that is started again has said it before.
            self._begins[name] = log.tell()
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *words, *_SMALL],
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for a command's end; its code, and what it printed."""
    out, err = process.communicate(timeout=LONGEST_S)
    return process.returncode, out, err


def asked(address: str, environment: Mapping[str, str]) -> Answer:
    """Ask a cluster for its nodes, with these variables in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return ask_cluster(address)


def lines_until(words: str, process: "subprocess.Popen[str]") -> list[str]:
    """Read what a command prints beside its output, to the first line with these words.

    Ends with the command's last line where there is no such line.
    """
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            break
    return said


def workers(group: int) -> list[int]:
    """The processes of a session that train."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            of_group = os.getsid(int(folder.name)) == group
        except OSError:
            continue
        # Ray names it by the class, which Tune wraps where a trial has resources.
        trains = b"TrialActor" in words or b"ResourceTrainable" in words
        if of_group and words.startswith(b"ray::") and trains:
            found.append(int(folder.name))
    return found
