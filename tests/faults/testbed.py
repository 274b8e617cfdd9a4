"""A real sweep with everything around it, in processes that can be broken one by one.

`Testbed` holds a folder with a sweep file and a state folder, the command in processes of its own,
and, where a fault wants them, an MLflow server, a PostgreSQL server and a Ray cluster of two
nodes. Nothing here is a stand-in; whatever was started is ended with the testbed.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import TrialState

NAME = "fault"
# A grid, so that trial N has the same parameters whatever ended first.
WIDTHS, BITS = (8, 16, 24), (4, 8)
TRIALS = len(WIDTHS) * len(BITS)
EPOCHS = 20
# So long that only a hang exceeds it, even on a slow machine; a run takes half a minute on two
# idle cores.
LONGEST_S = 900.0
_SWEEP = """\
name: {name}
backbone: {{name: digitnet, weights: scratch}}
data: {{name: digits, limit: 150}}
space:
  fc_width_1: {{type: choice, values: {widths}}}
  bits: {{type: choice, values: {bits}}}
training: {{tune: "last_blocks:1", epochs: {epochs}, batch_size: 64}}
objectives: {{accuracy: maximize, memory_bytes: minimize}}
sampler: {{kind: grid}}
budget: {{trials: {trials}, seconds: 3600, trial_seconds: 1800}}
execution: {{siblings: false}}
resources: {{cpus: {cpus}}}
tracking: {{kind: mlflow{uri}}}
{storage}
"""
# A library that changes the clock is for the driver alone, not for what it starts.
_PROGRAM = """\
import os
os.environ.pop("LD_PRELOAD", None)
from orchestrator.cli.app import main
main()
"""


class FaultError(Exception):
    """The machine itself could not do what a fault needs; says nothing of the sweep."""


class PromiseBrokenError(Exception):
    """While the fault was being made, something was seen that must not be."""


@dataclass
class Testbed:
    """One sweep and what it runs on.

    Attributes:
        folder: Everything lies below it.
        random: Decides when and what is hit.
        store_url: Where the sweep is recorded.
        tracking_uri: MLflow's; None is the file beside the store.
        storage: Where trials keep their files; empty for the state folder.
        environment: Variables of the command's processes, over those of this one.
        cpus: CPUs a trial.
    """

    folder: Path
    random: random.Random
    store_url: str = ""
    tracking_uri: str | None = None
    storage: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    cpus: int = 1
    _started: list[subprocess.Popen[str]] = field(default_factory=list)
    _servers: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Name the store, which the first command makes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store_url = self.store_url or f"sqlite:///{self.state / 'paretune.db'}"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def mlflow_uri(self) -> str:
        """Where MLflow's runs are read."""
        return self.tracking_uri or f"sqlite:///{self.state / 'mlflow.db'}"

    def driver(self, *words: str, settings: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start `paretune run` on the sweep (or another command) in a session of its own."""
        file = self.folder / "sweep.yaml"
        uri = f", uri: '{self.tracking_uri}'" if self.tracking_uri else ""
        file.write_text(
            _SWEEP.format(
                name=NAME,
                widths=list(WIDTHS),
                bits=list(BITS),
                epochs=EPOCHS,
                trials=TRIALS,
                cpus=self.cpus,
                uri=uri,
                storage=f"storage: {self.storage}" if self.storage else "",
            )
        )
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PARETUNE_HOME": str(self.state),
            # What a driver that is killed leaves there goes with the testbed. Ray's sockets need a
            # shorter path.
            "TMPDIR": str(scratch),
            "RAY_TMPDIR": tempfile.gettempdir(),
            **self.environment,
        }
        with (self.folder / f"driver-{len(self._started)}.txt").open("w") as output:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _PROGRAM,
                    *(words or ("run", str(file))),
                    "--store",
                    self.store_url,
                    *(word for setting in settings for word in ("--set", setting)),
                ],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def said(self) -> str:
        """What all commands so far printed."""
        return "\n".join(
            (self.folder / f"driver-{number}.txt").read_text()
            for number in range(len(self._started))
        )

    def finish(self) -> int:
        """Give the same command until it succeeds, eight times at most; its last exit code."""
        code = -1
        for _ in range(8):
            code = self.wait(self.driver())
            if code == 0:
                break
        return code

    def sync(self) -> int:
        """`paretune sync`."""
        return self.wait(self.driver("sync", NAME))

    def wait(self, process: subprocess.Popen[str]) -> int:
        """The exit code of a command.

        Raises:
            PromiseBrokenError: It does not end.
        """
        try:
            return process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            raise PromiseBrokenError(
                f"a command has not ended in {LONGEST_S:g} s: {self.said()[-2000:]}"
            ) from None

    def wait_for_success(self, process: subprocess.Popen[str], *codes: int) -> None:
        """Wait for a command that should end well.

        Args:
            process: The command.
            codes: The exit codes that say so; 0 where none is given.

        Raises:
            PromiseBrokenError: It ends with another exit code, or not at all.
            FaultError: Ray did not start.
        """
        if self.wait(process) not in (codes or (0,)):
            self.look_for_ray()
            raise PromiseBrokenError(f"a command ended with {process.returncode}: {self.said()}")

    def look_for_ray(self) -> None:
        """Raise `FaultError` if Ray did not start: it gives a machine thirty seconds for it."""
        if "Ray could not start here" in self.said():
            raise FaultError("Ray did not start in its thirty seconds; the machine is too busy")

    def store(self) -> Store:
        """The store as any reader opens it."""
        return open_store(self.store_url, create=False, state=StateFolder(self.state))

    def wait_for_epochs(self, process: subprocess.Popen[str], epochs: int) -> None:
        """Return when so many epochs are stored, or the command has ended before."""
        deadline = time.monotonic() + LONGEST_S
        while process.poll() is None and self.epochs() < epochs:
            if time.monotonic() > deadline:
                raise PromiseBrokenError(
                    f"no {epochs} epochs in {LONGEST_S:g} s: {self.said()[-2000:]}"
                )
            time.sleep(0.1)

    def wait_for_random_moment(self, process: subprocess.Popen[str]) -> None:
        """Return somewhere between the first stored epoch and the last."""
        self.wait_for_epochs(process, self.random.randint(1, TRIALS * EPOCHS - 1))

    def epochs(self) -> int:
        """Epochs that are stored."""
        try:
            store = self.store()
            try:
                trials = store.trials(NAME)
                return sum(len(store.reports(NAME, trial.number)) for trial in trials)
            finally:
                store.close()
        except OrchestratorError:
            return 0

    def running(self) -> list[int]:
        """Numbers of the trials that run, as the store says."""
        store = self.store()
        trials = [t.number for t in store.trials(NAME) if t.state is TrialState.RUNNING]
        store.close()
        return trials

    def on_end(self, end: Callable[[], object]) -> None:
        """Call this when the testbed ends, last one first."""
        self._servers.append(end)

    def end(self) -> None:
        """Leave no process behind that was started here."""
        for process in self._started:
            kill_session(process.pid)
            process.wait()
        while self._servers:
            self._servers.pop()()


def session(leader: int) -> dict[int, str]:
    """Command lines of the processes of the session that `leader` began (proc(5))."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] not in "ZX":
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = line.decode(errors="replace")
    return found


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_session(leader: int) -> None:
    """Kill a process and everything that it started."""
    for pid in [leader, *session(leader)]:
        kill(pid)


def small_disk(testbed: Testbed, place: Path, megabytes: int) -> None:
    """Mount a small file system at a folder, until the testbed ends.

    Raises:
        FaultError: This process may not.
    """
    place.mkdir(parents=True)
    testbed.on_end(lambda: subprocess.run(["umount", "-lq", str(place)], check=False))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise FaultError("a small file system cannot be mounted here")


def filled(place: Path) -> Path:
    """Fill a disk; returns the file whose removal makes room."""
    ballast = place / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))
    return ballast
