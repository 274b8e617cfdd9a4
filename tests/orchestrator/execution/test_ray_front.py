"""Measures of the front on nodes that share no disk: a lost file costs its own network alone."""

from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from orchestrator.contracts import FrontJob, Unmeasured
from orchestrator.execution import ray_front
from orchestrator.execution.carried_files import KEPT_NAMES, CarriedFile, read_files
from orchestrator.execution.kept_worker import KeptWorker
from orchestrator.execution.ray_cluster import alive_nodes, measure_front_task
from orchestrator.execution.ray_front import FrontTasks, _result
from orchestrator.execution.slots import LiveSlots, Node
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


def lost(folder: Path, count: int) -> dict[int, FrontJob]:
    return {number: FrontJob(str(folder / f"{number}"), test=True) for number in range(count)}


def front(kept: KeptWorker, folder: Path) -> FrontTasks:
    slots = LiveSlots(alive_nodes, TASK.needs)
    return FrontTasks(TASK, None, folder / "no marker", slots, lambda: None, kept)


def test_the_process_that_prepared_measures_a_front_that_takes_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptWorker(TASK)
    prepared, _ = kept.prepare("key")
    assert ray.get(prepared).classes
    monkeypatch.setattr(ray_front, "measure_front_task", None)  # No other one is asked for.
    found = dict(front(kept, tmp_path).measure(lost(tmp_path, 3), lambda: False))
    kept.release()
    assert sorted(found) == [0, 1, 2]
    assert all("packed network" in each.reason for each in found.values())  # type: ignore[union-attr]


def test_a_front_is_measured_although_the_kept_process_is_gone(tmp_path: Path) -> None:
    kept = KeptWorker(TASK)
    ray.get(kept.prepare("key")[0])
    ray.kill(kept._process)
    found = dict(front(kept, tmp_path).measure(lost(tmp_path, 2), lambda: False))
    assert sorted(found) == [0, 1]


def test_predictions_that_return_damaged_cost_no_values(tmp_path: Path) -> None:
    job = FrontJob(str(tmp_path / "trial" / KEPT_NAMES[0]), test=True)
    assert _result(ray.put(({"test_accuracy": 0.5}, (damaged(tmp_path),))), job) == {
        "test_accuracy": 0.5
    }
    assert not (tmp_path / "trial").exists()


def test_the_kept_process_measures_two_networks_at_once_unless_the_code_is_a_users(
    tmp_path: Path,
) -> None:
    kept = KeptWorker(TASK)
    for task, count in ((TASK, 2), (replace(TASK, code={"own.py": b""}), 1)):
        slots = LiveSlots(lambda: [Node({"CPU": 2.0})], task.needs)
        tasks = FrontTasks(task, None, tmp_path / "no marker", slots, lambda: None, kept)
        waiting = deque(lost(tmp_path, 3).items())
        tasks._give(waiting)
        assert len(tasks._at_kept) == count
        assert len(waiting) == 3 - count
    kept.release()
