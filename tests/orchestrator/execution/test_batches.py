"""How many jobs a worker takes at once."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import Job
from orchestrator.execution.batches import Batches, batches_of
from orchestrator.spec.sweep_spec import SweepSpec


@given(
    most=st.integers(1, 64),
    rounds=st.integers(1, 4),
    left=st.integers(0, 1000),
    slots=st.integers(1, 64),
)
def test_no_worker_takes_more_than_its_share_of_the_rest(
    most: int, rounds: int, left: int, slots: int
) -> None:
    size = Batches(most, rounds).size(left=left, slots=slots)
    assert 1 <= size <= most
    assert size == 1 or (size - 1) * slots * rounds < left


@pytest.mark.parametrize(
    ("most", "rounds", "left", "slots", "expected"),
    [(1, 1, 64, 2, 1), (16, 1, 64, 2, 16), (16, 4, 64, 2, 8), (16, 4, 3, 2, 1), (16, 1, 5, 2, 3)],
)
def test_the_size_of_a_batch(most: int, rounds: int, left: int, slots: int, expected: int) -> None:
    assert Batches(most, rounds).size(left=left, slots=slots) == expected


@pytest.mark.parametrize(
    ("origins", "is_full"),
    [
        ((), False),
        ((None, None, None), False),
        ((None, None, None, None), True),
        ((None, 7), False),
        ((7, 8), True),
        ((7, None, 7), True),
    ],
)
def test_of_what_shares_a_finished_training_a_batch_has_two(
    origins: tuple[int | None, ...], is_full: bool
) -> None:
    jobs = [Job(n, 1, {}, "", origin=origin) for n, origin in enumerate(origins)]
    assert Batches.is_full(jobs, 4) is is_full


@pytest.mark.parametrize(
    ("changes", "fuses"),
    [
        ({}, True),
        ({"training": {"tune": "all"}}, False),
        ({"quantization": {"qat": "lsq"}}, False),
        ({"space": {"tune": {"type": "choice", "values": ["head", "all"]}}}, False),
        ({"space": {"backbone": {"type": "choice", "values": ["digitnet"]}}}, False),
        ({"space": {"pruning_sparsity": {"type": "choice", "values": [0.0, 0.5]}}}, False),
        ({"backbone": {"name": "vgg11", "weights": "scratch"}}, False),
        ({"resources": {"gpus": 1}}, False),
        ({"objectives": {"accuracy": "maximize", "train_s": "minimize"}}, False),
        ({"constraints": ["train_s <= 10"]}, False),
        ({"budget": {"cpu_hours": 1}}, False),
    ],
)
def test_auto_fuses_where_heads_are_small_and_all_that_is_trained(
    make_spec: Callable[..., SweepSpec], changes: dict[str, Any], fuses: bool
) -> None:
    spec = make_spec(**changes)
    assert (batches_of(spec).most > 1) is fuses
    fixed = {n: batches_of(make_spec(**changes, execution={"fuse": n})).most for n in ("off", 7)}
    assert fixed == {"off": 1, 7: 7}


def test_what_is_fused_is_no_part_of_what_trials_mean(
    make_spec: Callable[..., SweepSpec],
) -> None:
    first, second = (make_spec(execution={"fuse": fuse}) for fuse in ("off", 8))
    assert first.fingerprint() == second.fingerprint()
