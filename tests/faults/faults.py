"""The faults, each a function that runs a sweep and breaks one thing at a random moment.

A fault leaves the sweep wherever that has brought it. What follows is the same for all: the same
command until it succeeds, `paretune sync`, and the invariants.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults.world import (
    LONGEST_S,
    FaultError,
    PromiseBrokenError,
    World,
    kill,
    kill_session,
    session,
)
from tests.servers import (
    MlflowProcess,
    PostgresServer,
    SlowProxy,
    free_port,
    postgres_programs,
)

Fault = Callable[[World], None]


def driver_killed(world: World) -> None:
    """SIGKILL of the driver; its workers find out by themselves."""
    driver = world.driver()
    world.wait_for_random_moment(driver)
    kill(driver.pid)
    driver.wait(LONGEST_S)


def everything_killed(world: World) -> None:
    """SIGKILL of the driver, Ray and the workers at one blow, as when a machine loses power."""
    driver = world.driver()
    world.wait_for_random_moment(driver)
    kill_session(driver.pid)
    driver.wait(LONGEST_S)


def driver_interrupted(world: World) -> None:
    """SIGTERM of the driver, as a cluster's scheduler sends it before it takes the machine."""
    driver = world.driver()
    world.wait_for_random_moment(driver)
    kill(driver.pid, signal.SIGTERM)
    if driver.wait(LONGEST_S) not in (0, 130, 143):
        raise FaultError(f"the driver ended with {driver.returncode}: {world.said()}")


def worker_killed(world: World) -> None:
    """SIGKILL of a worker in the middle of a trial, as the kernel does when memory runs out."""
    driver = world.driver()
    world.wait_for_random_moment(driver)
    workers = [
        pid for pid, line in session(driver.pid).items() if "ray::" in line and "Trainable" in line
    ]
    if workers:
        kill(world.random.choice(sorted(workers)))
    driver.wait(LONGEST_S)


def node_killed(world: World) -> None:
    """SIGKILL of one of two nodes of a cluster: its raylet and every worker on it."""
    head = _Cluster(world)
    node = head.add_node()
    driver = world.driver()
    world.wait_for_random_moment(driver)
    kill_session(node)
    driver.wait(LONGEST_S)


def mlflow_killed(world: World) -> None:
    """SIGKILL of the MLflow server, which comes back when the sweep is over."""
    server = _mlflow(world)
    driver = world.driver()
    world.wait_for_random_moment(driver)
    server.kill()
    driver.wait(LONGEST_S)
    server.start()


def mlflow_away(world: World) -> None:
    """The MLflow server comes up after the last trial."""
    server = _mlflow(world)
    server.kill()
    world.driver().wait(LONGEST_S)
    server.start()


def mlflow_slow(world: World) -> None:
    """An MLflow server that takes ten seconds to answer."""
    server = _mlflow(world)
    proxy = SlowProxy(server.port, delay_s=10.0)
    world.on_end(proxy.end)
    world.tracking_uri = f"http://127.0.0.1:{proxy.port}"
    driver = world.driver()
    driver.wait(LONGEST_S)
    # The same server, by its own address: that is no part of what a sweep means.
    world.tracking_uri = server.uri


def postgres_killed(world: World) -> None:
    """PostgreSQL crashes and is back a few seconds later."""
    server = _postgres(world)
    driver = world.driver()
    world.wait_for_random_moment(driver)
    server.kill()
    time.sleep(world.random.uniform(0, 4))
    server.start()
    driver.wait(LONGEST_S)


def driver_stopped(world: World) -> None:
    """SIGSTOP of the driver; a second one takes over, and then the first wakes up."""
    world.environment["PARETUNE_LEASE_S"] = "4"
    first = world.driver()
    world.wait_for_random_moment(first)
    kill(first.pid, signal.SIGSTOP)
    time.sleep(5)
    second = world.driver()
    world.wait_for_epochs(second, world.epochs() + 1)
    kill(first.pid, signal.SIGCONT)
    first.wait(LONGEST_S)
    second.wait(LONGEST_S)


def two_drivers(world: World) -> None:
    """Two drivers at the same moment: one runs, the other ends with 1 and says who has it."""
    both = [world.driver(), world.driver()]
    codes = sorted(driver.wait(LONGEST_S) for driver in both)
    if codes != [0, 1] or "is being run by" not in world.said():
        raise PromiseBrokenError(f"two drivers ended with {codes}: {world.said()}")


def checkpoint_truncated(world: World) -> None:
    """The driver is killed, and what a trial left behind was only half written."""
    driver = world.driver()
    # A trial of a second writes none by itself; an interruption makes it.
    world.wait_for_random_moment(driver)
    kill(driver.pid, signal.SIGTERM)
    driver.wait(LONGEST_S)
    for path in sorted((world.state / "sweeps").rglob("checkpoint*")):
        os.truncate(path, world.random.randrange(path.stat().st_size))


def disk_full(world: World) -> None:
    """The disk of the state folder is full for a while."""
    place = world.state
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise FaultError("a small file system cannot be mounted here")
    world.on_end(lambda: subprocess.run(["umount", "-l", str(place)], check=False))
    driver = world.driver()
    world.wait_for_random_moment(driver)
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            pass
    driver.wait(LONGEST_S)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)


FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault
    for fault in (
        driver_killed,
        everything_killed,
        driver_interrupted,
        driver_stopped,
        two_drivers,
        worker_killed,
        node_killed,
        mlflow_killed,
        mlflow_away,
        mlflow_slow,
        postgres_killed,
        checkpoint_truncated,
        disk_full,
    )
}


def _mlflow(world: World) -> MlflowProcess:
    server = MlflowProcess(world.folder / "mlflow", free_port())
    server.start()
    world.on_end(server.kill)
    world.tracking_uri = server.uri
    return server


def _postgres(world: World) -> PostgresServer:
    programs = postgres_programs()
    if programs is None:
        raise FaultError("needs a PostgreSQL server: apt-get install postgresql")
    server = PostgresServer(programs)
    world.on_end(server.end)
    world.store_url = server.url
    return server


class _Cluster:
    """A Ray cluster of nodes with one CPU each, every node in a session of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._port = free_port()
        token = f"{world.random.getrandbits(256):064x}"
        self._secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        world.environment |= {"RAY_ADDRESS": f"127.0.0.1:{self._port}", **self._secret}
        self._start("--head", f"--port={self._port}", "--include-dashboard=false")

    def add_node(self) -> int:
        """Add a node; the leader of its session."""
        return self._start(f"--address=127.0.0.1:{self._port}")

    def _start(self, *words: str) -> int:
        ray = Path(sys.executable).with_name("ray")
        said = self._world.folder / "ray.txt"
        with said.open("a") as output:
            process = subprocess.Popen(
                [str(ray), "start", "--num-cpus=1", "--block", *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._secret},
                start_new_session=True,
            )
        self._world.on_end(lambda: kill_session(process.pid))
        deadline = time.monotonic() + LONGEST_S
        while "raylet" not in " ".join(session(process.pid).values()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise FaultError(f"Ray did not start: {said.read_text()}")
            time.sleep(0.2)
        return process.pid
