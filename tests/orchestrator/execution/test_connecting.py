"""To which cluster a run connects."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: the tests' cluster must stay as it is.
_PROGRAM = """
import sys
from ray._private import utils
utils.get_ray_address_file = lambda folder: sys.argv[1]
import ray
from orchestrator.execution.ray_executor import _connect
_connect(None)
print("CPUs:", ray.cluster_resources()["CPU"])
ray.shutdown()
"""


@pytest.mark.ray
def test_a_cluster_that_somebody_once_started_here_is_not_looked_for(tmp_path: Path) -> None:
    """Ray keeps its address in a file also when it has died, and would try it for minutes."""
    file = tmp_path / "ray_current_cluster"
    file.write_text("127.0.0.1:1")
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CPUs:" in done.stdout
