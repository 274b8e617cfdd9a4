"""Ray that cannot start is told in a sentence. In a process of its own: Ray is there only once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_executor import _connect

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
    assert "a folder with a short path" in done.stdout


def test_a_machine_on_which_ray_does_not_come_up_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(OrchestratorError, match="timed out during startup"):
        _connect(None)
