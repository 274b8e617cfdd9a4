"""Two to five trials side by side: values, parameters, bytes by layer, answers to the images."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.outcomes import NoAnswersError, answers_of, outcomes_of
from orchestrator.analysis.statistics.intervals import accuracy_interval
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.places import network_file
from orchestrator.quantities import quantity
from orchestrator.queries.sweeps import Sweep
from orchestrator.trials import Trial
from trainers.artifact.sizes import read_sizes
from trainers.errors import TrainerError
from trainers.files.predictions import Predictions

Record = dict[str, object]

FEWEST, MOST = 2, 5
_MOST_CLASSES = 20
_MOST_PICTURES = 48


def comparison(sweep: Sweep, numbers: Sequence[int]) -> Record:
    """Compare trials: all parameters and values, intervals, bytes by layer, confusion matrices.

    What cannot be had of a trial, because its files are lost or hold no answers, is said in a
    sentence under ``notes``.

    Raises:
        UsageError: They are fewer than two or more than five.
        UnknownNameError: There is no such trial.
    """
    trials = compared(sweep, numbers)
    notes: list[str] = []
    answers = {t.number: found for t in trials if (found := _answers(t, notes)) is not None}
    return {
        "trials": [_described(trial, notes) for trial in trials],
        "confusion": {str(n): _confusion(each) for n, each in answers.items()},
        "disagreements": len(_disagreements(list(answers.values()))) if len(answers) > 1 else None,
        "notes": list(dict.fromkeys(notes)),
    }


def compared(sweep: Sweep, numbers: Sequence[int]) -> list[Trial]:
    """Read the trials that are to be compared.

    Raises:
        UsageError: They are fewer than two or more than five.
        UnknownNameError: There is no such trial.
    """
    wanted = list(dict.fromkeys(numbers))
    if not FEWEST <= len(wanted) <= MOST:
        raise UsageError(f"From {FEWEST} to {MOST} trials are compared; {len(wanted)} were named.")
    return [sweep.trial(number) for number in wanted]


def disputed_images(sweep: Sweep, numbers: Sequence[int]) -> Record:
    """List validation images to which the trials do not give the same answer, and the answers.

    Raises:
        UsageError: They are fewer than two or more than five.
        NoAnswersError: The answers of one are not stored, or are lost.
        OrchestratorError: They were measured on different images.
    """
    trials = compared(sweep, numbers)
    answers = [answers_of(trial) for trial in trials]
    if any(not np.array_equal(each.labels, answers[0].labels) for each in answers):
        raise OrchestratorError("These trials were measured on different images.")
    places = _disagreements(answers)
    return {
        "total": len(places),
        "images": [
            {
                "image": int(place),
                "label": int(answers[0].labels[place]),
                "answers": [int(each.predicted[place]) for each in answers],
            }
            for place in places[:_MOST_PICTURES]
        ],
    }


def _described(trial: Trial, notes: list[str]) -> Record:
    return {
        "trial": trial.number,
        "state": trial.state.value,
        "params": dict(trial.params),
        "values": dict(trial.values),
        "intervals": _intervals(trial),
        "layers": _layers(trial, notes),
    }


def _intervals(trial: Trial) -> Mapping[str, Sequence[float]]:
    """Low, high and number of images of each value that is measured image by image."""
    found = {}
    for name in trial.values:
        if not quantity(name).paired_by_image:
            continue
        try:
            right = outcomes_of(trial, name).right
        except (NoAnswersError, UnknownNameError):
            continue
        interval = accuracy_interval(int(right.sum()), len(right))
        found[name] = [interval.low, interval.high, len(right)]
    return found


def _layers(trial: Trial, notes: list[str]) -> Record | None:
    if trial.artifact is None:
        return None
    try:
        sizes = read_sizes(network_file(trial.artifact, f"trial {trial.number}"))
    except (OrchestratorError, TrainerError) as error:
        notes.append(str(error))
        return None
    classes = list(sizes.classes) if sizes.classes else None
    return {"bytes": dict(sizes.layers), "bits": dict(sizes.bits), "classes": classes}


def _answers(trial: Trial, notes: list[str]) -> Predictions | None:
    try:
        return answers_of(trial)
    except NoAnswersError as error:
        notes.append(str(error))
        return None


def _confusion(answers: Predictions) -> Record | None:
    """How often each class (row) was answered by each class (column); None for very many."""
    count = int(max(answers.labels.max(initial=0), answers.predicted.max(initial=0))) + 1
    if count > _MOST_CLASSES:
        return None
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (answers.labels, answers.predicted), 1)
    return {"counts": table.tolist(), "images": len(answers.labels)}


def _disagreements(answers: Sequence[Predictions]) -> NDArray[np.int64]:
    """Positions of the images that are not answered alike; none if the images differ."""
    first, *others = answers
    if any(not np.array_equal(first.labels, each.labels) for each in others):
        return np.array([], np.int64)
    differ = np.logical_or.reduce([first.predicted != each.predicted for each in others])
    return np.flatnonzero(differ)
