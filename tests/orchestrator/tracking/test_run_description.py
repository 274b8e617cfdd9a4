"""What people read first in MLflow."""

from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.tracking.run_description import run_description
from orchestrator.trials import SweepRecord, SweepState, Trial, TrialState

SPEC = {"objectives": {"accuracy": "maximize", "memory_bytes": "minimize"}}
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
SWEEP = SweepRecord("digits-fc", SPEC, "f", SweepState.COMPLETE, BEGAN)


def trials(count: int, **params: object) -> list[Trial]:
    """Members of a front, all of them."""
    return [
        Trial(
            "digits-fc",
            number,
            {"bits": 4, **params},  # type: ignore[dict-item]
            seed=0,
            state=TrialState.COMPLETE,
            values={"accuracy": 0.5 + number / 100, "memory_bytes": 1e4 * (number + 1)},
        )
        for number in range(count)
    ]


def rows(note: str) -> list[str]:
    return [line for line in note.splitlines() if line.startswith("| ")][1:]


def test_the_front_is_a_table_with_units_and_a_knee() -> None:
    note = run_description(SWEEP, trials(3))
    assert "**3 of 3 complete trials are on the Pareto front**" in note
    assert rows(note)[0] == "| 2 | 52.0 % | 30.0 kB | bits=4 |"
    assert sum("(knee)" in row for row in rows(note)) == 1


def test_a_long_front_is_cut_and_says_so() -> None:
    note = run_description(SWEEP, trials(40))
    assert len(rows(note)) == 12
    assert "and 28 more" in note


def test_a_bar_in_a_parameter_does_not_end_its_cell() -> None:
    (row,) = rows(run_description(SWEEP, trials(1, shape="a|b")))
    assert row.replace("\\|", "").count("|") == 5


def test_without_a_complete_trial_it_says_so() -> None:
    note = run_description(replace(SWEEP, state=SweepState.RUNNING), [])
    assert "No trial is complete yet" in note
    assert "tags.pareto" not in note, "tagged only once the sweep has ended"


def test_nearest_misses_are_not_called_a_front() -> None:
    limited = replace(SWEEP, spec={**SPEC, "constraints": ["accuracy >= 0.9"]})
    note = run_description(limited, trials(3))
    assert "No trial of 3 meets the constraints" in note
