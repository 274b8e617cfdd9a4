"""How often a pick is wrong, in simulated sweeps of which the truth is known.

Worlds of 40 candidates, all worse than the reference by exactly the margin: whoever calls one of
them "not worse" is wrong. At alpha 0.05 that may happen in one world of twenty, whatever a person
looked at first. Through the public functions, with answers on disk as a sweep leaves them.
"""

import math
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis import outcomes
from orchestrator.analysis.comparison import Reference
from orchestrator.analysis.sizing_study import sizing_study
from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError
from orchestrator.fronts.front import Front, compute_front
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import REFERENCE_ATTRS, Artifact, Trial, TrialState
from trainers.files.predictions import Predictions, read_predictions, write_predictions

WORLDS, CANDIDATES, IMAGES = 300, 40, 500
MARGIN, ALPHA = 0.03, 0.05
GOALS = [Objective("accuracy", Direction.MAXIMIZE), Objective("memory_bytes", Direction.MINIMIZE)]
LABELS = np.zeros(IMAGES, np.int64)
FEWER = 40  # worlds in which the same comparisons are made by other ways

pytestmark = pytest.mark.slow


def trial(folder: Path, number: int, right: np.ndarray, *, is_reference: bool = False) -> Trial:
    place = folder / str(number)
    place.mkdir(parents=True)
    write_predictions(place / "predictions.npz", Predictions(LABELS, (~right).astype(np.int64)))
    return Trial(
        "s",
        number,
        {} if is_reference else {"width": number},
        0,
        TrialState.COMPLETE,
        values={
            "accuracy": float(right.mean()),
            "memory_bytes": 1e6 if is_reference else 1e3 * number,
            "head_params": 1e5 if is_reference else 1e2 * number,
        },
        artifact=Artifact(str(place / "model.safetensors"), 1, "0" * 64),
        sampler_attrs=REFERENCE_ATTRS if is_reference else {},
    )


def world(folder: Path, rng: np.random.Generator) -> list[Trial]:
    """A reference that is right in 90 of 100 cases, and candidates that lose the margin."""
    expected = rng.random(IMAGES) < 0.9
    # Of all images 4 % are lost and 1 % gained, so that the loss is exactly the margin.
    lost, gained = rng.random((2, CANDIDATES, IMAGES))
    right = np.where(expected, lost >= 0.04 / 0.9, gained < 0.01 / 0.1)
    made = [trial(folder, 0, expected, is_reference=True)]
    return [*made, *(trial(folder, 1 + n, each) for n, each in enumerate(right))]


def accepted(worlds: int) -> int:
    """How many may go wrong at alpha, and two standard errors."""
    return math.floor(worlds * ALPHA + 2 * math.sqrt(worlds * ALPHA * (1 - ALPHA)))


def is_picked(front: Front, reference: Reference) -> bool:
    ask = {"keep": ["accuracy"], "margin": MARGIN, "alpha": ALPHA}
    try:
        front.smallest(reference=reference, **ask)
    except OrchestratorError:
        return False
    return True


def is_found(front: Front, reference: Reference) -> bool:
    allowed = {(each.sweep, each.number) for each in front.competitors}
    study = sizing_study(front.trained, reference, margin=MARGIN, alpha=ALPHA, allowed=allowed)
    return study.found is not None


def with_constraint(trials: list[Trial], best: float) -> Front:
    """As a person limits a sweep after a look at it: to what is nearly as good as the best."""
    return compute_front(trials, GOALS, [Constraint("accuracy", ">=", best - 0.005)])


def with_condition(trials: list[Trial], best: float) -> Front:
    chosen = [each for each in trials if each.values["accuracy"] >= best - 0.005]
    return compute_front(chosen, GOALS, trained=trials)


@pytest.fixture
def _cheap_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds need not outlive a power cut, and no file is read twice."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    # By its path, which is of one world. Nothing public is between a question and the files.
    monkeypatch.setattr(outcomes, "read_predictions", lru_cache(2 * CANDIDATES)(read_predictions))


@pytest.mark.usefixtures("_cheap_disk")
def test_at_most_alpha_of_the_picks_are_wrong(tmp_path: Path) -> None:
    rng = np.random.default_rng(2026)
    wrong = {"without": 0, "with a constraint": 0, "with a condition": 0, "in the study": 0}
    for number in range(WORLDS):
        trials = world(tmp_path / str(number), rng)
        reference = Reference((trials[0],))
        best = max(each.values["accuracy"] for each in trials[1:])
        limited = with_constraint(trials, best)
        wrong["without"] += is_picked(compute_front(trials, GOALS), reference)
        wrong["with a constraint"] += is_picked(limited, reference)
        if number < FEWER:
            wrong["with a condition"] += is_picked(with_condition(trials, best), reference)
            wrong["in the study"] += is_found(limited, reference)
    for way, count in wrong.items():
        assert count <= accepted(WORLDS if way.startswith("with") else FEWER), wrong
    # Whoever chooses among the results first is right no less often.
    assert wrong["with a constraint"] <= wrong["without"], wrong
