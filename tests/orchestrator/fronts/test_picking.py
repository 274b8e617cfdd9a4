"""A network that learned nothing is no compromise."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.fronts.front import compute_front
from orchestrator.fronts.picking import at_chance, chance_level, told_at_chance
from orchestrator.fronts.uncertainty import uncertainties
from orchestrator.objectives import Direction, Objective
from orchestrator.reporting.tables import front_heading, front_table
from orchestrator.trials import Artifact, Trial, TrialState
from trainers.files.predictions import Predictions, write_predictions

GOALS = [Objective("accuracy", Direction.MAXIMIZE), Objective("memory_bytes", Direction.MINIMIZE)]
N = 270
LABELS = np.arange(N) % 10


@pytest.fixture
def make(tmp_path: Path):
    def build(number: int, right: int, size: float, *, labels=LABELS, **values: float) -> Trial:
        folder = tmp_path / str(number)
        folder.mkdir()
        predicted = np.where(np.arange(N) < right, labels, labels + 1)
        write_predictions(folder / "predictions.npz", Predictions(labels, predicted))
        return Trial(
            "s",
            number,
            {"bits": number},
            0,
            TrialState.COMPLETE,
            values={"accuracy": right / N, "memory_bytes": size, **values},
            artifact=Artifact(str(folder / "model.safetensors"), int(size), "0" * 64),
        )

    return build


def test_a_member_at_chance_level_is_no_knee_and_it_is_said(make) -> None:
    # 15 % of ten classes for next to no bytes, beside 88.8 %: balanced, and worthless.
    front = compute_front(
        [make(0, 240, 200e3), make(1, 239, 190e3), make(2, 41, 10e3), make(3, 26, 9e3)], GOALS
    )
    assert len(front) == 4
    assert [member.trial for member in at_chance(front)] == [2, 3]
    assert front.knee().trial in (0, 1)
    told = told_at_chance(front)
    assert told.startswith(" Trials 2, 3: no better than the most frequent class and noise (15")
    assert told.strip() in front_heading(front, knee=front.knee())


def test_chance_is_the_most_frequent_class_and_three_errors(make, tmp_path: Path) -> None:
    labels = np.where(np.arange(N) < 162, 0, 1)
    trial = make(0, 200, 1.0, labels=labels)
    expected = 0.6 + 3 * np.sqrt(0.6 * 0.4 / N)
    assert trial.artifact is not None
    assert chance_level(trial.artifact.path) == pytest.approx(expected)
    assert chance_level(str(tmp_path / "nowhere" / "model.safetensors")) is None
    assert chance_level(None) is None


def test_where_none_is_better_one_is_the_knee_all_the_same(make) -> None:
    front = compute_front([make(0, 30, 200.0), make(1, 29, 100.0)], GOALS)
    assert front.knee().trial in (0, 1)
    assert "No member is better than the most frequent class" in told_at_chance(front)


def test_of_what_is_not_known_nothing_is_left_out() -> None:
    trials = [
        Trial("s", n, {}, 0, TrialState.COMPLETE, values={"accuracy": a, "memory_bytes": b})
        for n, (a, b) in enumerate([(0.9, 9.0), (0.1, 1.0)])
    ]
    front = compute_front(trials, GOALS)
    assert at_chance(front) == ()
    assert told_at_chance(front) == ""


def test_members_have_images_an_interval_and_a_probability_on_wish(make) -> None:
    front = compute_front([make(0, 240, 200e3), make(1, 230, 100e3), make(2, 150, 100e3)], GOALS)
    known, problem = uncertainties(front)
    assert problem == ""
    assert known["s", 0].images == {"accuracy": N}
    low, high = known["s", 0].as_json()["intervals"]["accuracy"]
    assert low < 240 / N < high
    assert known["s", 1].front_probability == 1.0
    table = front_table(front, known=known)
    headings = [str(column.header) for column in table.columns]
    assert [heading.split()[0] for heading in headings[:5]] == [
        "trial", "accuracy", "95", "n", "memory"
    ]  # fmt: skip
    assert next(iter(table.columns[2].cells)) == f"[{100 * low:.1f}, {100 * high:.1f}]"
    assert list(table.columns[3].cells) == ["270", "270"]
    assert list(table.columns[5].cells) == ["100 %", "100 %"]


def test_answers_that_are_gone_leave_a_gap_and_a_sentence(make, tmp_path: Path) -> None:
    front = compute_front([make(0, 240, 200e3), make(1, 230, 100e3)], GOALS)
    (tmp_path / "1" / "predictions.npz").unlink()
    known, problem = uncertainties(front)
    assert "answers of trial 1" in problem
    assert known["s", 1].images == {}
    assert known["s", 0].front_probability is None
    cells = list(front_table(front, known=known).columns[3].cells)
    assert cells == ["270", "-"]


def test_test_values_stand_beside_those_of_validation_once_they_exist(make) -> None:
    plain = [make(0, 240, 200e3), make(1, 230, 100e3)]
    assert len(front_table(compute_front(plain, GOALS), with_params=False).columns) == 3
    tested = make(2, 239, 150e3, test_accuracy=0.871)
    table = front_table(compute_front([*plain, tested], GOALS), with_params=False)
    assert "test\naccuracy ↑" in [str(column.header) for column in table.columns]
    assert list(table.columns[2].cells) == ["-", "87.1 %", "-"]
