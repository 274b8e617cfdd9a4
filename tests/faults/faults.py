"""The faults, each a function that runs a sweep and breaks one thing at a random moment.

A fault leaves the sweep wherever that has brought it. What follows is the same for all: the same
command until it succeeds, `paretune sync`, and the invariants.
"""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults import cluster_faults
from tests.faults.testbed import (
    EPOCHS,
    TRIALS,
    FaultError,
    PromiseBrokenError,
    Testbed,
    filled,
    kill,
    kill_session,
    session,
    small_disk,
)
from tests.servers import (
    MlflowProcess,
    PostgresServer,
    Proxy,
    free_port,
    postgres_programs,
)

Fault = Callable[[Testbed], None]


def driver_killed(testbed: Testbed) -> None:
    """SIGKILL of the driver; its workers find out by themselves."""
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill(driver.pid)
    testbed.wait(driver)


def everything_killed(testbed: Testbed) -> None:
    """SIGKILL of the driver, Ray and the workers at one blow, as when a machine loses power."""
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill_session(driver.pid)
    testbed.wait(driver)


def driver_interrupted(testbed: Testbed) -> None:
    """SIGTERM of the driver, as a cluster's scheduler sends it before it takes the machine."""
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill(driver.pid, signal.SIGTERM)
    testbed.wait_for_success(driver, 0, 130, 143)


def worker_killed(testbed: Testbed) -> None:
    """SIGKILL of a worker in the middle of a trial, as the kernel does when memory runs out."""
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    workers = [
        pid for pid, line in session(driver.pid).items() if "ray::" in line and "Trainable" in line
    ]
    if workers:
        kill(testbed.random.choice(sorted(workers)))
    testbed.wait(driver)


def mlflow_killed(testbed: Testbed) -> None:
    """SIGKILL of the MLflow server, which comes back when the sweep is over."""
    server = _mlflow(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    server.kill()
    testbed.wait(driver)
    server.start()


def mlflow_away(testbed: Testbed) -> None:
    """The MLflow server comes up after the last trial."""
    server = _mlflow(testbed)
    server.kill()
    testbed.wait(testbed.driver())
    server.start()


def mlflow_slow(testbed: Testbed) -> None:
    """An MLflow server that takes ten seconds to answer, until the sweep is over."""
    server = _mlflow(testbed)
    proxy = Proxy(server.port, delay_s=10.0)
    testbed.on_end(proxy.end)
    testbed.tracking_uri = f"http://127.0.0.1:{proxy.port}"
    driver = testbed.driver()
    testbed.wait_for_success(driver)
    proxy.delay_s = 0.0


def postgres_killed(testbed: Testbed) -> None:
    """PostgreSQL crashes and is back a few seconds later."""
    server = _postgres(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    server.kill()
    time.sleep(testbed.random.uniform(0, 4))
    server.start()
    testbed.wait(driver)


def driver_stopped(testbed: Testbed) -> None:
    """SIGSTOP of the driver; a second one takes over, and then the first wakes up."""
    testbed.environment["PARETUNE_LEASE_S"] = "4"
    first = testbed.driver()
    testbed.wait_for_random_moment(first)
    kill(first.pid, signal.SIGSTOP)
    time.sleep(5)
    second = testbed.driver()
    testbed.wait_for_epochs(second, testbed.epochs() + 1)
    kill(first.pid, signal.SIGCONT)
    testbed.wait(first)
    testbed.wait(second)


def two_drivers(testbed: Testbed) -> None:
    """Two drivers at the same moment: one runs, the other ends with 1 and says who has it."""
    both = [testbed.driver(), testbed.driver()]
    codes = sorted(testbed.wait(driver) for driver in both)
    testbed.look_for_ray()
    if codes != [0, 1] or "is being run by" not in testbed.said():
        raise PromiseBrokenError(f"two drivers ended with {codes}: {testbed.said()}")


def checkpoint_truncated(testbed: Testbed) -> None:
    """The driver is killed, and what a trial left behind was only half written."""
    driver = testbed.driver()
    # A trial of a second writes none by itself; an interruption makes it.
    testbed.wait_for_random_moment(driver)
    kill(driver.pid, signal.SIGTERM)
    testbed.wait(driver)
    for path in sorted((testbed.state / "sweeps").rglob("checkpoint*")):
        os.truncate(path, testbed.random.randrange(path.stat().st_size))


def clock_jumps(testbed: Testbed) -> None:
    """The driver's clock jumps hours ahead and hours back; half the time it is killed then."""
    shift = testbed.folder / "shift"
    shift.write_bytes(struct.pack("q", 0))
    usual = testbed.environment
    preloaded = {"LD_PRELOAD": str(_shifting_clock(testbed)), "SHIFT_FILE": str(shift)}
    testbed.environment = {**usual, **preloaded}
    driver = testbed.driver()
    testbed.environment = usual
    hours = testbed.random.sample((9, -7), k=2)
    moments = sorted(testbed.random.sample(range(1, TRIALS * EPOCHS), k=3))
    for jump, moment in zip(hours, moments, strict=False):
        testbed.wait_for_epochs(driver, moment)
        # In place, for the driver has it mapped.
        with shift.open("r+b") as file:
            file.write(struct.pack("q", jump * 3600))
    if testbed.random.choice((True, False)):
        testbed.wait_for_epochs(driver, moments[-1])
        kill(driver.pid)
        testbed.wait(driver)
    else:
        testbed.wait_for_success(driver)


def disk_full(testbed: Testbed) -> None:
    """The disk of the state folder is full for a while."""
    place = testbed.state
    small_disk(testbed, place, 6)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    ballast = filled(place)
    testbed.wait(driver)
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
        mlflow_killed,
        mlflow_away,
        mlflow_slow,
        postgres_killed,
        checkpoint_truncated,
        clock_jumps,
        disk_full,
        *cluster_faults.FAULTS,
    )
}


def _mlflow(testbed: Testbed) -> MlflowProcess:
    server = MlflowProcess(testbed.folder / "mlflow", free_port())
    testbed.on_end(server.kill)
    server.start()
    testbed.tracking_uri = server.uri
    return server


def _shifting_clock(testbed: Testbed) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        raise FaultError("needs Linux and a C compiler: apt-get install gcc")
    library, source = testbed.folder / "clock.so", Path(__file__).with_name("clock.c")
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def _postgres(testbed: Testbed) -> PostgresServer:
    programs = postgres_programs()
    if programs is None:
        raise FaultError("needs a PostgreSQL server: apt-get install postgresql")
    server = PostgresServer(programs)
    testbed.on_end(server.end)
    testbed.store_url = server.url
    return server
