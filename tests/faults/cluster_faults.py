"""Faults of a cluster: its nodes, its head, the network between them, their storage."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.testbed import (
    LONGEST_S,
    TRIALS,
    FaultError,
    Testbed,
    filled,
    kill_session,
    session,
    small_disk,
)
from tests.private_nodes import HOST, NamespaceError, PrivateNodes, private_network
from tests.servers import Proxy, S3Server, free_port


def node_killed(testbed: Testbed) -> None:
    """SIGKILL of one of two nodes of a cluster: its raylet and every worker on it."""
    head = _Cluster(testbed)
    node = head.add_node()
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill_session(node)
    testbed.wait(driver)


def head_killed(testbed: Testbed) -> None:
    """SIGKILL of the cluster's head; another one is started in its place."""
    cluster = _Cluster(testbed)
    node = cluster.add_node()
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    kill_session(cluster.head)
    testbed.wait_for_success(driver, 0, 3)
    kill_session(node)
    cluster.start_head()
    cluster.add_node()


def node_apart_killed(testbed: Testbed) -> None:
    """SIGKILL of one of two nodes that share no disk with the driver; a third one joins."""
    nodes = _apart(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    nodes.end("n2")
    nodes.add(4)
    testbed.wait_for_success(driver)


def head_apart_killed(testbed: Testbed) -> None:
    """SIGKILL of the head of nodes that share no disk with the driver; all are started again."""
    nodes = _apart(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    nodes.end("head")
    testbed.wait_for_success(driver, 0, 3)
    nodes.close()
    _started(nodes)


def network_cut(testbed: Testbed) -> None:
    """A node's cable is out for 5 or for 90 seconds; Ray gives a node up after about 30."""
    nodes = _apart(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    nodes.cut(2, off=True)
    seconds = testbed.random.choice((5, 90))
    time.sleep(seconds)
    nodes.cut(2, off=False)
    if seconds > 5:
        # A node that was given up ends by itself when it hears of it, and has to join again.
        nodes.end("n2")
        nodes.add(2)
    testbed.wait_for_success(driver)


def storage_away(testbed: Testbed) -> None:
    """The S3 server of the sweep's files hangs up, or says nothing, for up to 20 seconds."""
    server, proxy = _s3(testbed)
    driver = testbed.driver()
    testbed.wait_for_random_moment(driver)
    silent = testbed.random.choice((True, False))
    if silent:
        server.process.send_signal(signal.SIGSTOP)
    proxy.away = not silent
    time.sleep(testbed.random.uniform(1, 20))
    server.process.send_signal(signal.SIGCONT)
    proxy.away = False
    testbed.wait_for_success(driver)


def storage_slow(testbed: Testbed) -> None:
    """The S3 server takes a second to answer, until the sweep is over."""
    _, proxy = _s3(testbed)
    proxy.delay_s = 1.0
    testbed.wait_for_success(testbed.driver())
    proxy.delay_s = 0.0


def storage_full(testbed: Testbed) -> None:
    """The disk of the folder that is the sweep's storage is full for a while."""
    place = testbed.folder / "shared"
    small_disk(testbed, place, 4)
    testbed.storage = str(place)
    driver = testbed.driver()
    # Before its last trial, so that at least one file is yet to come.
    testbed.wait_for_epochs(driver, testbed.random.randint(1, TRIALS))
    ballast = filled(place)
    testbed.wait_for_success(driver, 0, 1)
    ballast.unlink()


FAULTS: tuple[Callable[[Testbed], None], ...] = (
    node_killed,
    head_killed,
    node_apart_killed,
    head_apart_killed,
    network_cut,
    storage_away,
    storage_slow,
    storage_full,
)


def _s3(testbed: Testbed, host: str = "127.0.0.1") -> tuple[S3Server, Proxy]:
    """Let the sweep keep its files in a bucket, behind a proxy."""
    import s3fs

    server = S3Server()
    testbed.on_end(server.end)
    proxy = Proxy(server.port, host=host)
    testbed.on_end(proxy.end)
    key, secret = (
        server.CREDENTIALS[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    )
    direct = s3fs.S3FileSystem(
        key=key, secret=secret, endpoint_url=server.url, skip_instance_cache=True
    )
    direct.mkdir("sweeps")
    # Else what is looked at afterwards would be read from the server of an earlier fault.
    s3fs.S3FileSystem.clear_instance_cache()
    endpoint = {"AWS_ENDPOINT_URL": f"http://{host}:{proxy.port}"}
    testbed.environment |= {**server.CREDENTIALS, **endpoint}
    testbed.storage = "s3://sweeps/of-me"
    return server, proxy


def _apart(testbed: Testbed) -> PrivateNodes:
    """Two nodes of one CPU that share no disk with the driver; half the time they share S3."""
    network = private_network((2, 3, 4))
    try:
        network.__enter__()
    except NamespaceError as error:
        raise FaultError(str(error)) from error
    testbed.on_end(lambda: network.__exit__(None, None, None))
    if testbed.random.choice((True, False)):
        _s3(testbed, HOST)
    # Short, for a socket's path has 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pn-"))
    testbed.on_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    testbed.state.mkdir(parents=True, exist_ok=True)
    nodes = PrivateNodes(testbed.state, folder, testbed.environment)
    testbed.on_end(nodes.close)
    _started(nodes)
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": nodes.token}
    testbed.environment |= {"RAY_ADDRESS": nodes.address, **auth}
    return nodes


def _started(nodes: PrivateNodes) -> None:
    """Start the head and two nodes, one after another: together they may take Ray too long."""
    try:
        nodes.start_head()
        for number in (2, 3):
            nodes.add(number)
            nodes.wait_for(number)
    except RuntimeError as error:
        raise FaultError(str(error)) from error


class _Cluster:
    """A Ray cluster of nodes with one CPU each, every node in a session of its own."""

    def __init__(self, testbed: Testbed) -> None:
        self._world = testbed
        self._port = free_port()
        token = f"{testbed.random.getrandbits(256):064x}"
        self._secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        testbed.environment |= {"RAY_ADDRESS": f"127.0.0.1:{self._port}", **self._secret}
        # Not Ray's own folder: there it notes the cluster's address, for every later `ray.init()`
        # of this machine to look for. Short, for a socket's path has 107 bytes.
        folder = tempfile.mkdtemp(prefix="ray-")
        testbed.on_end(lambda: shutil.rmtree(folder, ignore_errors=True))
        self._folder, self._heads = folder, 0
        self.head = self.start_head()

    def start_head(self) -> int:
        """Start a head where the first one was; the leader of its session."""
        self._heads += 1
        where = (f"--port={self._port}", f"--temp-dir={self._folder}/{self._heads}")
        return self._start("--head", "--include-dashboard=false", *where)

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
