"""Ray that cannot start is told in a sentence. In a process of its own: Ray is there only once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_cluster import connect

pytestmark = pytest.mark.ray

_CONNECT = """
from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_cluster import connect
try:
    connect(None)
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
        connect(None)


def test_a_process_that_only_prepares_does_not_wait_for_tune_and_torch() -> None:
    code = "import orchestrator.execution.ray_cluster, sys; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {"ray.tune", "torch"}.isdisjoint(loaded)
    assert "ray" in loaded
