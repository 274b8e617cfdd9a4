import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.storage.lease_holders import is_gone, this_holder

_SAY_WHO = """
from orchestrator.storage.lease_holders import this_holder
print(this_holder(), flush=True)
input()
"""


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that waits, and what it calls itself."""
    with subprocess.Popen(
        [sys.executable, "-c", _SAY_WHO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_this_process_is_not_gone() -> None:
    assert not is_gone(this_holder())
    assert this_holder() == this_holder()


@pytest.mark.slow
def test_a_living_process_is_not_gone(other: tuple[subprocess.Popen[str], str]) -> None:
    process, holder = other
    assert holder.split(":")[1] == str(process.pid)
    assert not is_gone(holder)


@pytest.mark.slow
def test_a_killed_process_is_gone(other: tuple[subprocess.Popen[str], str]) -> None:
    process, holder = other
    process.kill()
    process.wait()
    assert is_gone(holder)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")  # noqa: PTH110
def test_a_killed_process_whose_parent_has_not_noticed_is_gone(
    other: tuple[subprocess.Popen[str], str],
) -> None:
    process, holder = other
    process.kill()
    # Waits until it has ended, and leaves it a zombie.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(holder)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")  # noqa: PTH110
def test_a_process_that_has_the_number_of_an_earlier_one_is_told_apart() -> None:
    host, pid, start = this_holder().split(":")
    assert is_gone(f"{host}:{pid}:{int(start) - 1}")


def test_a_holder_without_a_start_is_judged_by_its_number_alone() -> None:
    assert not is_gone(f"{socket.gethostname()}:{os.getpid()}:")


@pytest.mark.parametrize(
    "holder",
    [
        "another-host:1:1",
        "another-host:999999999:1",
        "",
        ":",
        "::",
        "first",
        f"{socket.gethostname()}:x:1",
        f"{socket.gethostname()}:0:1",
        f"{socket.gethostname()}:-1:1",
        f"{socket.gethostname()}:99999999999999999999:1",
    ],
)
def test_a_holder_that_cannot_be_looked_for_is_not_gone(holder: str) -> None:
    assert not is_gone(holder)
