"""A real cluster that is full, that grows and that shrinks under a sweep."""

import re
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from orchestrator.contracts.needs import Needs
from orchestrator.execution.waiting import lacking
from orchestrator.trials import FailureKind, SweepState
from tests.ray_nodes import LONGEST_S, RayNodes, ended, lines_until, three_nodes

# A trial that takes seconds, and no work for the processor.
SLOW = """\
import time


def bias(network, images, labels):
    time.sleep(2)
    return float(network.head[-1].bias.abs().sum())
"""
LONG = {"training": {"epochs": 200, "batch_size": 64, "tune": "last_blocks:1"}}
# More than are ever run: the test ends the sweep.
ENDLESS = {"budget": {"trials": 9999}}


@pytest.mark.parametrize(
    ("free", "needs", "words"),
    [
        ([{}, {}], Needs(), "1 CPU; 3 of 3 in use"),
        ([{"CPU": 1}, {}], Needs(), ""),
        ([{"CPU": 1}, {"CPU": 1}], Needs(cpus=2), "2 CPUs; 1 of 3 in use"),
        ([{"CPU": 2}, {}], Needs(gpus=1), "1 GPU; 1 of 1 in use"),
        ([{"CPU": 2}, {"GPU": 1}], Needs(gpus=1), "1 CPUs and 1 GPU on one node"),
        (
            [{}, {}],
            Needs(memory=1e9),
            "1 CPU; 3 of 3 in use, and for 1.00 GB of memory; 100 % in use",
        ),
    ],
)
def test_what_is_waited_for_is_what_no_node_has_free(
    free: list[dict[str, float]], needs: Needs, words: str
) -> None:
    nodes = [{"CPU": 2, "memory": 4e9}, {"CPU": 1, "GPU": 1}]
    assert lacking(nodes, free, needs).replace("1 GPUs", "1 GPU") == words


@pytest.mark.ray
@pytest.mark.serial
def test_a_sweep_on_a_full_cluster_says_what_it_waits_for(nodes: RayNodes) -> None:
    nodes.start_head(cpus=1)
    first = nodes.command("run", str(nodes.sweep(**LONG, **ENDLESS)))
    nodes.wait_for_epochs(first)
    second = nodes.command("run", str(nodes.sweep(budget={"trials": 1})), "--name", "second")
    said = lines_until("waiting for", second)
    assert "waiting for 1 CPU; 1 of 1 in use by sweep tiny" in said[-1], said
    first.send_signal(signal.SIGTERM)
    assert ended(first)[0] == 130
    code, out, err = ended(second)
    assert code == 0, err
    assert "second: 1 complete" in out


@pytest.mark.ray
@pytest.mark.serial
def test_two_sweeps_share_a_cluster_and_say_so(nodes: RayNodes) -> None:
    nodes.start_head(cpus=2)
    (nodes.folder / "slow.py").write_text(SLOW)
    slow = {"bias": {"direction": "minimize", "function": "slow:bias"}, "accuracy": "maximize"}
    file = nodes.sweep(objectives=slow, training={"epochs": 1}, **ENDLESS)
    first = nodes.command("run", str(file))
    nodes.wait_for_epochs(first, trials=2)
    # It has no CPU before the first one gives one up.
    code, out, err = nodes.done("run", str(nodes.sweep(budget={"trials": 2})), "--name", "second")
    assert code == 0, err
    assert "second: 2 complete" in out
    assert first.poll() is None
    # It looks for others every few seconds.
    said = lines_until("no other sweep", first)
    first.send_signal(signal.SIGTERM)
    code, _, err = ended(first)
    assert code == 130, err
    assert "no other sweep uses the cluster now: 2 of 2 slots" in said[-1], said
    assert any("sharing the cluster with sweep second: 1 of 2 slots" in line for line in said)


@pytest.mark.ray
@pytest.mark.serial
def test_what_a_cluster_that_adds_nodes_has_not_yet_is_waited_for(nodes: RayNodes) -> None:
    nodes.start_head(cpus=0)
    code, _, err = nodes.done("run", str(nodes.sweep()))
    assert code == 1
    assert "If the cluster adds nodes when they are asked for" in err
    growing = {"autoscaling": True, "max_slots": 2}
    driver = nodes.command("run", str(nodes.sweep(execution=growing, budget={"trials": 2})))
    said = lines_until("waiting for", driver)
    assert "waiting for 1 CPU; 0 of 0 in use" in said[-1], said
    nodes.add("first")
    code, out, err = ended(driver)
    assert code == 0, err
    assert "tiny: 2 complete" in out


@pytest.mark.ray
@pytest.mark.serial
@three_nodes
def test_a_node_that_joins_is_used_and_one_that_leaves_costs_a_retry(nodes: RayNodes) -> None:
    nodes.start_head(cpus=0)
    nodes.add("first")
    nodes.wait_for(2)
    driver = nodes.command("run", str(nodes.sweep(**LONG, **ENDLESS)))
    nodes.wait_for_epochs(driver)
    nodes.add("second")
    _wait_until(driver, lambda: len(_places(nodes)) == 2)
    nodes.kill("first")
    _wait_until(driver, lambda: _retried(nodes))
    driver.send_signal(signal.SIGTERM)
    code, _, err = ended(driver)
    assert code == 130, err
    store = nodes.store()
    assert store.sweep("tiny").state is SweepState.INTERRUPTED
    assert "node under the worker died" in err
    store.close()


def _retried(nodes: RayNodes) -> bool:
    """Whether a trial that lost its node runs again."""
    store = nodes.store()
    try:
        attempts = [store.attempts("tiny", trial.number) for trial in store.trials("tiny")]
    finally:
        store.close()
    return any(
        each.failure is not None and each.failure.kind is FailureKind.NODE_LOST
        for of_trial in attempts
        for each in of_trial[:-1]
    )


def _places(nodes: RayNodes) -> set[str]:
    """The nodes on which attempts ran."""
    store = nodes.store()
    try:
        workers = [
            attempt.worker
            for trial in store.trials("tiny")
            for attempt in store.attempts("tiny", trial.number)
        ]
    finally:
        store.close()
    return {found[1] for each in workers if (found := re.search(r"node (\w+)$", each))}


def _wait_until(driver: "subprocess.Popen[str]", is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 2 * LONGEST_S
    while not is_so():
        assert time.monotonic() < until
        assert driver.poll() is None
        time.sleep(0.5)
