"""How many trials fit at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import OrchestratorError
from orchestrator.execution.slots import slots, slots_on


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
    assert slots(resources, cpus=cpus, gpus=gpus) == expected


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources"),
    [(3, 0, {"CPU": 2.0}), (1, 1, {"CPU": 2.0}), (1, 2, {"CPU": 2.0, "GPU": 1.0}), (1, 0, {})],
)
def test_a_trial_that_never_fits_is_refused_with_the_numbers(
    cpus: int, gpus: float, resources: dict[str, float]
) -> None:
    with pytest.raises(OrchestratorError, match=rf"one needs {cpus} CPUs and {gpus} GPUs") as e:
        slots(resources, cpus=cpus, gpus=gpus)
    assert f"{resources.get('CPU', 0):g} CPUs" in str(e.value)


@given(st.integers(1, 8), st.sampled_from([0, 0.1, 0.25, 0.3, 0.5, 0.7, 1, 2]), st.integers(0, 64))
def test_all_slots_fit_together_and_no_further_one(cpus: int, gpus: float, have: int) -> None:
    resources = {"CPU": float(have), "GPU": float(have % 9)}
    try:
        fitting = slots(resources, cpus=cpus, gpus=gpus)
    except OrchestratorError:
        fitting = 0
    assert fitting * cpus <= have
    assert fitting * gpus <= have % 9 + 1e-6
    if gpus in (0, 0.1, 0.25, 0.5, 1):  # no GPU has a part that is left over
        enough = (fitting + 1) * cpus <= have and (fitting + 1) * gpus <= have % 9 + 1e-9
        assert not enough


def test_a_trial_runs_on_one_node_so_that_parts_of_two_are_no_slot() -> None:
    assert slots_on([{"CPU": 3.0}, {"CPU": 3.0}, {}], cpus=2, gpus=0) == 2
    assert slots_on([{"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}], cpus=1, gpus=1) == 1


def test_what_no_node_fits_is_refused_with_the_numbers_of_the_largest() -> None:
    two_small = [{"CPU": 1.0}, {"CPU": 1.0}]
    with pytest.raises(OrchestratorError, match="largest of 2 nodes has 1 CPUs and 0 GPUs"):
        slots_on(two_small, cpus=2, gpus=0)
    with pytest.raises(OrchestratorError, match="largest of 2 nodes has 2 CPUs and 1 GPUs"):
        slots_on([{"CPU": 9.0}, {"CPU": 2.0, "GPU": 1.0}], cpus=1, gpus=2)
    with pytest.raises(OrchestratorError, match="largest of 0 nodes"):
        slots_on([], cpus=1, gpus=0)
