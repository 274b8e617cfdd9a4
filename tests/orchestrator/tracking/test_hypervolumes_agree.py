"""The hypervolume of a sweep is one number, wherever a person reads it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from orchestrator.constraints import Constraint
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Direction, Objective
from orchestrator.plots.history import hypervolumes
from orchestrator.tracking.parent_run import with_progress
from orchestrator.tracking.run_content import REFERENCE
from orchestrator.tracking.runs import RunContent, RunView, json_tags
from orchestrator.trials import REFERENCE_ATTRS, SweepRecord, SweepState, Trial, TrialState

GOALS = (Objective("accuracy", Direction.MAXIMIZE), Objective("memory_bytes", Direction.MINIMIZE))
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


def sweep_of(count: int, limits: list[str]) -> tuple[SweepRecord, list[Trial]]:
    rng = np.random.default_rng(count)
    trials = [
        Trial(
            "s",
            number,
            {"bits": number},
            0,
            TrialState.COMPLETE,
            values={"accuracy": float(rng.random()), "memory_bytes": float(rng.integers(1, 900))},
            ended=BEGAN + timedelta(seconds=int(rng.integers(100))),
            # The full-size network competes like any other.
            sampler_attrs=REFERENCE_ATTRS if number == 0 else {},
        )
        for number in range(count)
    ]
    goals = {goal.name: goal.direction.value for goal in GOALS}
    spec = {"name": "s", "objectives": goals, "constraints": limits}
    return SweepRecord("s", spec, "f", SweepState.COMPLETE, BEGAN), trials


@pytest.mark.parametrize("count", [1, 5, 8, 40])
@pytest.mark.parametrize("limits", [[], ["memory_bytes <= 500"], ["memory_bytes <= 0.5"]])
def test_report_mlflow_and_front_say_the_same_hypervolume(count: int, limits: list[str]) -> None:
    sweep, trials = sweep_of(count, limits)
    parsed = [Constraint.parse(text) for text in limits]
    content = with_progress(RunContent("s", "FINISHED", 0), RunView("r", "RUNNING"), sweep, trials)
    mirrored = [point.value for point in content.curve]
    reported = [volume for _, volume in hypervolumes(trials, GOALS, parsed)]
    assert reported == (mirrored if any(mirrored) else reported)
    front = compute_front(trials, GOALS, parsed)
    assert front.hypervolume() == pytest.approx(mirrored[-1])
    # A part of the front is measured by the same scale.
    some = [trial for trial in trials if trial.values["memory_bytes"] < 300]
    part = compute_front(some, GOALS, parsed, trained=trials)
    assert part.hypervolume() <= front.hypervolume()


def test_a_curve_that_has_a_scale_keeps_it() -> None:
    sweep, trials = sweep_of(20, [])
    corner = {"accuracy": -1.0, "memory_bytes": 1000.0}
    view = RunView("r", "RUNNING", tags=json_tags(REFERENCE, corner))
    content = with_progress(RunContent("s", "RUNNING", 0), view, sweep, trials)
    volume = compute_front(trials, GOALS).hypervolume(corner)
    assert content.curve[-1].value == pytest.approx(volume)
    assert content.tags.items() >= view.tags.items()
