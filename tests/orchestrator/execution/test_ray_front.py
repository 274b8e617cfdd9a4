"""Measures of the front on nodes that share no disk: a lost file costs its own network alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import ray

from orchestrator.contracts import FrontJob, Unmeasured
from orchestrator.execution.carried_files import KEPT_NAMES, CarriedFile, read_files
from orchestrator.execution.ray_cluster import measure_front_task
from orchestrator.execution.ray_front import _result
from orchestrator.execution.task import Task
from trainers.data.config import DataConfig

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]

TASK = Task(DataConfig(name="digits"), {"name": "digitnet", "weights": "scratch"}, {})


def damaged(folder: Path) -> CarriedFile:
    (folder / KEPT_NAMES[0]).write_bytes(b"network")
    (file,) = read_files(folder)
    return replace(file, content=b"netw0rk")


def test_a_network_that_arrives_damaged_is_not_measured_and_the_sweep_goes_on(
    tmp_path: Path,
) -> None:
    job = FrontJob(str(tmp_path / KEPT_NAMES[0]), test=True)
    files = [ray.put((damaged(tmp_path),)), ray.put(())]
    ref = measure_front_task.remote(job, None, TASK, tmp_path / "no marker", files)
    found = _result(ref, job)
    assert isinstance(found, Unmeasured)
    assert "arrived with another checksum" in found.reason


def test_predictions_that_return_damaged_cost_no_values(tmp_path: Path) -> None:
    job = FrontJob(str(tmp_path / "trial" / KEPT_NAMES[0]), test=True)
    assert _result(ray.put(({"test_accuracy": 0.5}, (damaged(tmp_path),))), job) == {
        "test_accuracy": 0.5
    }
    assert not (tmp_path / "trial").exists()
