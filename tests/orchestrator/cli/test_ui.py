"""``paretune ui`` with MLflow's real server."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import Result

from orchestrator.storage.opening import open_store
from tests.servers import free_port

# So long that only a hang exceeds it, even on a slow machine.
LONGEST_S = 300.0
COMMAND = "import sys; from orchestrator.cli.app import app; app(sys.argv[1:])"


@pytest.fixture
def mirrored(home: Path, spec: Mapping[str, object]) -> Path:
    """A state folder with one sweep whose experiment is known, and an MLflow database."""
    store = open_store(None, create=True)
    sweep = {key: value for key, value in spec.items() if key != "tracking"}
    store.create_sweep("digits-fc", sweep, "f")
    store.outbox.record_sweep_run("digits-fc", "7", "a" * 32)
    (home / "mlflow.db").touch()
    return home


@pytest.mark.slow
def test_a_signal_ends_the_server_too_and_the_address_is_the_sweeps(mirrored: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "ui", "--port", str(port)],
        env={**os.environ, "PARETUNE_HOME": str(mirrored)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("MLflow UI at"):
                break
        process.send_signal(signal.SIGTERM)
        # The pipe is closed once every process that holds it, the server's too, has ended.
        process.communicate(timeout=LONGEST_S)
    view = "viewStateShareKey=paretune-digits-fc&workflowType=machine_learning"
    assert f":{port}/#/experiments/7/runs?{view}" in said[-1]
    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.slow
def test_the_page_of_a_sweep_is_served_until_a_signal_ends_it(filled: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "ui", "digits-fc", "--port", str(port)],
        env={**os.environ, "PARETUNE_HOME": str(filled)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert f"digits-fc at http://127.0.0.1:{port}/ (" in said
        url = f"http://127.0.0.1:{port}/api/board"
        with urllib.request.urlopen(url) as answer:
            assert b'"name":"digits-fc"' in answer.read()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("digits-fcc",), "digits-fc"),
        (("--allow-changes",), "name it"),
        (("digits-fc", "--host", "203.0.113.7"), "cannot be used"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(
    filled: Path, call: Callable[..., Result], words: tuple[str, ...], said: str
) -> None:
    result = call("ui", *words)
    assert result.exit_code != 0
    assert said in result.output
