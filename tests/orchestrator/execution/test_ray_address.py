"""An address where no Ray cluster is: found out in seconds, and Ctrl-C ends the wait."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_address import ask_cluster, host_and_port
from orchestrator.execution.ray_cluster import connect

_SWEEP = """
name: tiny
backbone: {name: digitnet, weights: scratch}
data: digits
space: {bits: {type: choice, values: [3, 4]}}
objectives: {accuracy: maximize}
tracking: {kind: none}
"""
_PARETUNE = [sys.executable, "-c", "from orchestrator.cli.app import main; main()"]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("", 0), backlog=50) as server:
        yield server


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a server that knows nothing of Ray."""
    with HTTPServer(("", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _refusal(address: str) -> str:
    began = time.monotonic()
    with pytest.raises(OrchestratorError) as raised:
        connect(address, Path(os.devnull), print)
    # Seconds on an idle machine; Ray alone would ask for ten minutes.
    assert time.monotonic() - began < 300
    return str(raised.value)


@pytest.mark.slow
def test_a_silent_port_is_refused_in_seconds(silent: socket.socket) -> None:
    said = _refusal(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "is silent, or is not the head of a cluster" in said
    assert "leave it away to run on this machine" in said


@pytest.mark.slow
def test_a_port_of_something_else_is_refused_in_seconds(web: int) -> None:
    assert "is not the head of a cluster" in _refusal(f"127.0.0.1:{web}")


def test_a_dead_port_is_refused_in_seconds_and_without_a_password() -> None:
    said = _refusal("ray://me:geheim@127.0.0.1:1")
    assert "nothing answers at 127.0.0.1:1" in said
    assert "geheim" not in said


def test_a_name_that_no_host_has_is_refused() -> None:
    assert "nothing answers at head.invalid:6379" in ask_cluster("head.invalid").problem


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_ctrl_c_ends_a_command_that_waits_for_a_cluster(
    command: str, silent: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(_SWEEP)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
    silent.settimeout(300)
    call = [*_PARETUNE, command, str(file)]
    with subprocess.Popen(
        call, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        connection, _ = silent.accept()
        with connection:
            # To the whole group, as a terminal does.
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=300)
    # Whoever waited for the answer first would say that there is none.
    assert process.returncode == 130
    assert "silent" not in said
    assert "Traceback" not in said
    assert not (tmp_path / ".paretune" / "sweeps").exists()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("head:6380", ("head", 6380)),
        ("ray://head", ("head", 6379)),
        ("[::1]:1", ("::1", 1)),
        ("head:port", ("head", 0)),
        ("auto", ("", 0)),
    ],
)
def test_host_and_port_of_an_address(address: str, expected: tuple[str, int]) -> None:
    assert host_and_port(address) == expected
