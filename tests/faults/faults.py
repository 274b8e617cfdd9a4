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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.testbed import (
    EPOCHS,
    LONGEST_S,
    TRIALS,
    FaultError,
    PromiseBrokenError,
    Testbed,
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


def node_killed(testbed: Testbed) -> None:
    """SIGKILL of one of two nodes of a cluster: its raylet and every worker on it."""
    head = _Cluster(testbed)
    node = head.add_node()
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill_session(node)
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
    proxy = SlowProxy(server.port, delay_s=10.0)
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
    place.mkdir(parents=True)
    _small_disk(testbed, place)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    ballast = _filled(place)
    testbed.wait(driver)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)


def head_killed(testbed: Testbed) -> None:
    """SIGKILL of the head of a cluster, its raylet and its workers; then a new head is started."""
    head = _Cluster(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill_session(head.pid)
    # 0 where the last trial had ended before.
    testbed.wait_for_success(driver, 0, 3)
    head.start()


def network_cut(testbed: Testbed) -> None:
    """The network of one of two nodes is cut for 5 or 90 seconds, then it is back."""
    with ExitStack() as stack:
        network = stack.enter_context(_network())
        testbed.on_end(stack.pop_all().close)
    head = _Cluster(testbed, network.here)
    head.add_node(*network.within, f"--node-ip-address={network.there}")
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    network.cut()
    seconds = testbed.random.choice((5, 90))
    until = time.monotonic() + seconds
    while time.monotonic() < until and driver.poll() is None:
        time.sleep(0.5)
    network.mend()
    testbed.wait_for_success(driver)


def s3_away(testbed: Testbed) -> None:
    """The S3 server that holds networks and checkpoints takes no connection for a while."""
    proxy = _s3(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    proxy.is_away = True
    time.sleep(testbed.random.uniform(1, 20))
    proxy.is_away = False
    testbed.wait(driver)


def s3_slow(testbed: Testbed) -> None:
    """Each answer of the S3 server comes three seconds late, until the sweep is over."""
    proxy = _s3(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    proxy.delay_s = 3.0
    testbed.wait_for_success(driver)
    proxy.delay_s = 0.0


def storage_full(testbed: Testbed) -> None:
    """The disk of the shared storage is full for a while; that of the state folder is not."""
    place = testbed.folder / "storage"
    place.mkdir()
    testbed.storage = str(place)
    _small_disk(testbed, place)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    ballast = _filled(place)
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
        node_killed,
        mlflow_killed,
        mlflow_away,
        mlflow_slow,
        postgres_killed,
        checkpoint_truncated,
        clock_jumps,
        disk_full,
        head_killed,
        network_cut,
        s3_away,
        s3_slow,
        storage_full,
    )
}


def _small_disk(testbed: Testbed, place: Path) -> None:
    testbed.on_end(lambda: subprocess.run(["umount", "-lq", str(place)], check=False))
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise FaultError("a small file system cannot be mounted here")


def _filled(place: Path) -> Path:
    """Fill a disk; the file to remove."""
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            pass
    return ballast


def _s3(testbed: Testbed) -> SlowProxy:
    """An S3 server with a bucket, behind a proxy that can be cut off."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    testbed.on_end(server.kill)
    proxy = SlowProxy(port, delay_s=0.0)
    testbed.on_end(proxy.end)
    variables = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "of the tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
    }
    testbed.environment |= variables
    # What is looked at afterwards is read by this process.
    os.environ.update(variables)
    testbed.on_end(lambda: [os.environ.pop(name, None) for name in variables])
    deadline = time.monotonic() + LONGEST_S
    while True:
        try:
            import s3fs

            # Or this process would look at the server of an earlier fault.
            s3fs.S3FileSystem.clear_instance_cache()
            s3fs.S3FileSystem(skip_instance_cache=True).mkdir("faults")
            break
        except ImportError as error:
            raise FaultError("needs the packages moto[s3] and s3fs") from error
        except Exception as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise FaultError(f"the S3 server did not start: {error}") from error
            time.sleep(0.5)
    testbed.storage = "s3://faults/kept"
    return proxy


_CUT = "pnc0"


class _Network:
    """A network of two addresses: of this machine, and of a namespace whose link can be cut."""

    here, there = "10.80.0.1", "10.80.0.2"
    within = ("ip", "netns", "exec", _CUT)

    def cut(self) -> None:
        """Take the link down."""
        subprocess.run(["ip", "link", "set", _CUT, "down"], check=True)

    def mend(self) -> None:
        """Bring it back."""
        subprocess.run(["ip", "link", "set", _CUT, "up"], check=True)


@contextmanager
def _network() -> Iterator[_Network]:
    made = (
        f"netns add {_CUT}; link add {_CUT} type veth peer name eth0 netns {_CUT}"
        f"; addr add {_Network.here}/24 dev {_CUT}; link set {_CUT} up"
        f"; -n {_CUT} addr add {_Network.there}/24 dev eth0; -n {_CUT} link set eth0 up"
        f"; -n {_CUT} link set lo up"
    )
    try:
        for words in made.split("; "):
            done = subprocess.run(["ip", *words.split()], capture_output=True, check=False)
            if done.returncode:
                raise FaultError(f"a network namespace cannot be made here: {done.stderr!r}")
        yield _Network()
    finally:
        for words in (f"link del {_CUT}", f"netns del {_CUT}"):
            subprocess.run(["ip", *words.split()], capture_output=True, check=False)


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


class _Cluster:
    """A Ray cluster of nodes with one CPU each, every node in a session of its own.

    Args:
        testbed: Runs its sweep there.
        address: Of the head.

    Attributes:
        pid: Leader of the head's session.
    """

    def __init__(self, testbed: Testbed, address: str = "127.0.0.1") -> None:
        self._world, self._address = testbed, address
        self._port = free_port()
        token = f"{testbed.random.getrandbits(256):064x}"
        self._secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        testbed.environment |= {"RAY_ADDRESS": f"{address}:{self._port}", **self._secret}
        # Not Ray's own folder: there it notes the cluster's address, for every later `ray.init()`
        # of this machine to look for. Short, for a socket's path has 107 bytes.
        self._folder = tempfile.mkdtemp(prefix="ray-")
        testbed.on_end(lambda: shutil.rmtree(self._folder, ignore_errors=True))
        self.pid = self.start()

    def start(self) -> int:
        """Start a head."""
        where = () if self._address == "127.0.0.1" else (f"--node-ip-address={self._address}",)
        head = (f"--port={self._port}", "--include-dashboard=false", *where)
        return self._start((), "--head", *head, f"--temp-dir={self._folder}")

    def add_node(self, *within: str) -> int:
        """Add a node; the leader of its session.

        Args:
            within: What it is started by, and options that begin with a dash.
        """
        options = tuple(word for word in within if word.startswith("--"))
        before = tuple(word for word in within if not word.startswith("--"))
        return self._start(before, f"--address={self._address}:{self._port}", *options)

    def _start(self, before: Sequence[str], *words: str) -> int:
        ray = Path(sys.executable).with_name("ray")
        said = self._world.folder / "ray.txt"
        with said.open("a") as output:
            process = subprocess.Popen(
                [*before, str(ray), "start", "--num-cpus=1", "--block", *words],
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
