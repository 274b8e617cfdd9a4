"""Plans and consoles for tests of what people look at."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.console import Console

from orchestrator.contracts import Plan
from orchestrator.objectives import Objective
from orchestrator.trials import SweepRecord, SweepState

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def plan(objectives: tuple[Objective, ...]) -> Callable[..., Plan]:
    """A plan of eight trials of four epochs."""

    def make(**changes: object) -> Plan:
        sweep = SweepRecord("digits-fc", {}, "f", SweepState.RUNNING, BEGAN)
        given = {
            "sweep": sweep,
            "objectives": objectives[:3],
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
