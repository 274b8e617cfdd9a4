"""``paretune ui`` with MLflow's real server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.storage.opening import open_store

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
        process.communicate(timeout=60)
    assert f":{port}/#/experiments/7/runs?workflowType=machine_learning" in said[-1]
    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
