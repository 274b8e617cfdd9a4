"""Ray that cannot start is told in a sentence. In a process of its own: Ray is there only once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray

_CONNECT = """
from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_executor import _connect
try:
    _connect(None)
except OrchestratorError as error:
    print(error)
"""


def test_a_path_that_is_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    environment = {**os.environ, "RAY_TMPDIR": str(folder)}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-c", _CONNECT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert f"107 bytes: {folder}" in done.stdout
    assert "set that to a folder with a short path" in done.stdout
