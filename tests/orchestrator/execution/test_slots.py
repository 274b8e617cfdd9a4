"""How many trials fit at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts.needs import Needs
from orchestrator.errors import OrchestratorError
from orchestrator.execution.slots import LiveSlots, Node, slots


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "expected"),
    [
        (1, 0, {"CPU": 2.0}, 2),
        (2, 0, {"CPU": 7.0}, 3),
        (1, 0, {"CPU": 4.0, "GPU": 1.0}, 4),
        (1, 1, {"CPU": 8.0, "GPU": 3.0}, 3),
        (4, 1, {"CPU": 8.0, "GPU": 3.0}, 2),
        (1, 0.5, {"CPU": 9.0, "GPU": 3.0}, 6),
        (1, 0.4, {"CPU": 9.0, "GPU": 3.0}, 6),
        (1, 0.1, {"CPU": 99.0, "GPU": 1.0}, 10),
        (1, 1 / 3, {"CPU": 9.0, "GPU": 1.0}, 3),
        (1, 2, {"CPU": 9.0, "GPU": 5.0}, 2),
    ],
)
def test_slots_are_what_fits(
    cpus: int, gpus: float, resources: dict[str, float], expected: int
) -> None:
    assert slots([Node(resources)], Needs(cpus, gpus)) == expected


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources"),
    [(3, 0, {"CPU": 2.0}), (1, 1, {"CPU": 2.0}), (1, 2, {"CPU": 2.0, "GPU": 1.0}), (1, 0, {})],
)
def test_a_trial_that_never_fits_is_refused_with_the_numbers(
    cpus: int, gpus: float, resources: dict[str, float]
) -> None:
    with pytest.raises(OrchestratorError, match=rf"one needs {cpus} CPUs and {gpus} GPUs") as e:
        slots([Node(resources)], Needs(cpus, gpus))
    assert f"{resources.get('CPU', 0):g} CPUs" in str(e.value)


def test_a_trial_runs_on_one_node_and_never_on_the_sum_of_several() -> None:
    two = [Node({"CPU": 1.0}), Node({"CPU": 1.0})]
    assert slots(two, Needs(1)) == 2
    with pytest.raises(OrchestratorError, match="the largest of 2 nodes has 1 CPUs and 0 GPUs"):
        slots(two, Needs(2))
    assert slots([*two, Node({"CPU": 5.0})], Needs(2)) == 2
    # Half of what is needed on each of two nodes is too little on either.
    with pytest.raises(OrchestratorError, match="a single node"):
        slots([Node({"CPU": 9.0, "GPU": 1.0})] * 2, Needs(1, gpus=2))


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(1, memory=3e9), 3),
        (Needs(1, custom={"tpu": 1}), 2),
        (Needs(1, labels={"zone": "b"}), 8),
        (Needs(2, memory=3e9, custom={"tpu": 2}, labels={"zone": "a"}), 1),
    ],
    ids=str,
)
def test_memory_custom_resources_and_labels_count(needs: Needs, expected: int) -> None:
    nodes = [
        Node({"CPU": 4.0, "memory": 10e9, "tpu": 2.0}, {"zone": "a"}),
        Node({"CPU": 8.0, "memory": 2e9}, {"zone": "b"}),
    ]
    assert slots(nodes, needs) == expected


def test_what_is_lacking_is_named() -> None:
    nodes = [Node({"CPU": 4.0, "memory": 10e9}, {"zone": "a"})]
    with pytest.raises(OrchestratorError) as caught:
        slots(nodes, Needs(1, memory=4e10, labels={"zone": "b"}))
    said = "one needs 1 CPUs, 0 GPUs, 40.0 GB of memory and the label zone=b (resources in"
    assert said in str(caught.value)
    has = "the only node has 4 CPUs, 0 GPUs, 10.0 GB of memory and the label zone=a."
    assert has in str(caught.value)


@given(st.integers(1, 8), st.sampled_from([0, 0.1, 0.25, 0.3, 0.5, 0.7, 1, 2]), st.integers(0, 64))
def test_all_slots_fit_together_and_no_further_one(cpus: int, gpus: float, have: int) -> None:
    resources = {"CPU": float(have), "GPU": float(have % 9)}
    try:
        fitting = slots([Node(resources)], Needs(cpus, gpus))
    except OrchestratorError:
        fitting = 0
    assert fitting * cpus <= have
    assert fitting * gpus <= have % 9 + 1e-6
    if gpus in (0, 0.1, 0.25, 0.5, 1):  # no GPU has a part that is left over
        enough = (fitting + 1) * cpus <= have and (fitting + 1) * gpus <= have % 9 + 1e-9
        assert not enough


def test_nodes_that_come_and_go_change_how_many_trials_run() -> None:
    now, nodes = [0.0], [Node({"CPU": 2.0})]
    live = LiveSlots(lambda: list(nodes), Needs(), 5, clock=lambda: now[0])
    assert live.count == 2
    nodes.append(Node({"CPU": 2.0}))
    assert live.count == 2  # the cluster is not asked at every turn
    now[0] += 3
    assert live.count == 4
    nodes.append(Node({"CPU": 8.0}))
    now[0] += 3
    assert live.count == 5  # execution.max_slots
    nodes.clear()
    now[0] += 3
    assert live.count == 1
    with pytest.raises(OrchestratorError, match="there is no node"):
        LiveSlots(list, Needs())


def test_a_cluster_that_adds_nodes_has_as_many_slots_as_are_asked_for() -> None:
    live = LiveSlots(list, Needs(), 4, grows=True)
    assert live.count == 4
    # Without a number there is nothing to ask for.
    with pytest.raises(OrchestratorError, match=r"autoscaling: true, max_slots: N"):
        LiveSlots(list, Needs(), grows=True)


def test_what_a_sweep_would_use_is_told_and_what_it_may_use_is_heard() -> None:
    asked = []

    class Half:
        def allowed(self, fitting: int, wanted: float) -> int:
            asked.append((fitting, wanted))
            return fitting // 2

    now = [0.0]
    live = LiveSlots(lambda: [Node({"CPU": 8.0})], Needs(), 6, clock=lambda: now[0])
    assert live.count == 6
    live.sharing = Half()
    for wanted in (99, 5):
        live.wanted = wanted
        now[0] += 3
        assert live.count == 4
    assert asked == [(8, 6), (8, 5)]
