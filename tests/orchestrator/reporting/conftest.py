"""Trials, plans and consoles for tests of what people look at."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.console import Console

from orchestrator.contracts import Plan
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import SweepRecord, SweepState, Trial, TrialState

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
    Objective("robust_accuracy", Direction.MAXIMIZE),
    Objective("macs", Direction.MINIMIZE),
)
# Accuracy, bytes, robust accuracy; the last two are beaten by the first.
MEASURED = [(0.96, 60e3, 0.5), (0.94, 22.4e3, 0.6), (0.90, 9e3, 0.7), (0.95, 61e3, 0.4)]
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


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
def plan() -> Callable[..., Plan]:
    """A plan of eight trials of four epochs."""

    def make(**changes: object) -> Plan:
        sweep = SweepRecord("digits-fc", {}, "f", SweepState.RUNNING, BEGAN)
        given = {
            "sweep": sweep,
            "objectives": OBJECTIVES[:3],
            "trials": 8,
            "seconds": None,
            "epochs": 4,
            "past": (),
        }
        return Plan(**(given | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def terminal() -> Callable[[int], Console]:
    """A terminal of a width, which keeps what is printed in its file."""

    def make(width: int) -> Console:
        return Console(
            file=io.StringIO(), force_terminal=True, width=width, height=40, markup=False
        )

    return make
