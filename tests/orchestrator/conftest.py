"""Trials with measured values, for tests of what is drawn, printed and asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.objectives import Direction, Objective
from orchestrator.trials import Trial, TrialState
from tests.ray_nodes import RayNodes

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
    Objective("robust_accuracy", Direction.MAXIMIZE),
    Objective("macs", Direction.MINIMIZE),
)
# Accuracy, bytes, robust accuracy; the last two are beaten by the first.
MEASURED = [(0.96, 60e3, 0.5), (0.94, 22.4e3, 0.6), (0.90, 9e3, 0.7), (0.95, 61e3, 0.4)]


@pytest.fixture
def objectives() -> tuple[Objective, ...]:
    """Four objectives; most tests take the first three."""
    return OBJECTIVES


@pytest.fixture
def trials() -> list[Trial]:
    """Complete trials of one sweep; 0, 1 and 2 are on the front of three objectives."""
    return [
        Trial(
            "digits-fc",
            number,
            {"bits": 8 - number, "optimizer": "[red]sgd"},
            seed=0,
            state=TrialState.COMPLETE,
            values={
                "accuracy": accuracy,
                "memory_bytes": size,
                "robust_accuracy": robust,
                "macs": size * 10,
            },
        )
        for number, (accuracy, size, robust) in enumerate(MEASURED)
    ]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[RayNodes]:
    """Build a cluster that has no node yet, and stop what was started of it."""
    nodes = RayNodes(tmp_path)
    try:
        yield nodes
    finally:
        nodes.close()
