"""A real cluster whose head, node or worker dies under a sweep, and signals at its start."""

import os
import signal

import pytest

from orchestrator.trials import FailureKind, SweepState, TrialState
from tests.ray_nodes import RayNodes, ended, three_nodes, workers

pytestmark = [pytest.mark.ray, pytest.mark.serial]

LONG = {"training": {"epochs": 400, "batch_size": 64}}
# What Ray's C++ prints of a signal, of a lost head, and of a lost raylet.
NOISE = ("*** SIG", "gcs_client", "Object store", "core_worker", "Traceback")


def test_a_sweep_survives_the_death_of_the_head(nodes: RayNodes) -> None:
    nodes.start_head(cpus=2)
    driver = nodes.command("run", str(nodes.sweep(**LONG, budget={"trials": 2})))
    nodes.wait_for_epochs(driver)
    nodes.kill("head")
    code, _, err = ended(driver)
    assert code == 3, err
    assert f":{nodes.port} has not answered for" in err
    assert "Then: paretune resume tiny" in err
    assert not [word for word in NOISE if word in err], err
    store = nodes.store()
    assert store.sweep("tiny").state is SweepState.INTERRUPTED
    assert store.sweep("tiny").stop_reason == "the head of the Ray cluster was lost"
    assert {trial.state for trial in store.trials("tiny")} == {TrialState.INTERRUPTED}
    failures = [store.attempts("tiny", number)[0].failure for number in (0, 1)]
    assert {failure and failure.kind for failure in failures} == {FailureKind.INTERRUPTED}
    store.close()

    nodes.start_head(cpus=2)
    code, out, err = nodes.done("resume", "tiny")
    assert code == 0, err
    assert "tiny: 2 complete, 0 stopped early, 0 failed" in out


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_workers_start_ends_the_run_in_a_line(
    nodes: RayNodes, sent: signal.Signals
) -> None:
    nodes.start_head(cpus=1)
    driver = nodes.command("run", str(nodes.sweep(**LONG)))
    # Its worker has yet to import torch.
    nodes.wait_for_trial()
    driver.send_signal(sent)
    code, out, err = ended(driver)
    assert code == 130, err
    assert f"tiny: interrupted: interrupted by {sent.name}" in err
    assert "go on with: paretune resume tiny" in out
    assert not [word for word in NOISE if word in err], err
    store = nodes.store()
    assert store.sweep("tiny").state is SweepState.INTERRUPTED
    assert TrialState.RUNNING not in {trial.state for trial in store.trials("tiny")}
    store.close()


@three_nodes
def test_a_dead_node_is_told_from_a_dead_worker(nodes: RayNodes) -> None:
    nodes.start_head(cpus=0)
    nodes.add("first")
    nodes.wait_for(2)
    nodes.add("second")
    nodes.wait_for(3)
    driver = nodes.command("run", str(nodes.sweep(**LONG, budget={"trials": 2})))
    nodes.wait_for_epochs(driver, trials=2)
    (worker,) = workers(nodes.running["first"].pid)
    os.kill(worker, signal.SIGKILL)
    nodes.kill("second")
    code, out, err = ended(driver)
    assert code == 0, err
    assert "tiny: 2 complete, 0 stopped early, 0 failed" in out
    assert "raylet" not in out
    assert not [word for word in NOISE if word in err], err
    store = nodes.store()
    kinds = {
        attempt.failure.kind
        for number in (0, 1)
        for attempt in store.attempts("tiny", number)
        if attempt.failure is not None
    }
    assert kinds == {FailureKind.WORKER_LOST, FailureKind.NODE_LOST}
    store.close()
