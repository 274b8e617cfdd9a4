"""Which images a trial's network classified correctly, from the file beside its artifact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.file_storage.trial_files import local_files
from orchestrator.places import file_trouble
from orchestrator.trials import Trial
from trainers.files.predictions import (
    Predictions,
    PredictionsError,
    labels_digest,
    read_predictions,
)
from trainers.files.trial_folder import PREDICTIONS_NAME


class NoAnswersError(OrchestratorError):
    """The answers of a trial to the single images are lost, or were never stored."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Right and wrong answers to the validation images on which a value was measured.

    Attributes:
        images: int64 (n,), positions in the validation set.
        labels: int64 (n,), their true classes.
        right: bool (n,); its mean is the value.
    """

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    right: NDArray[np.bool_]

    def same_images(self, other: "Outcomes") -> bool:
        """Return whether both were measured on the same images, so that they can be paired."""
        return np.array_equal(self.images, other.images) and np.array_equal(
            self.labels, other.labels
        )


def outcomes_of(trial: Trial, name: str) -> Outcomes:
    """Read the outcomes behind ``accuracy`` or an accuracy under attack.

    Raises:
        UnknownNameError: The value is not one that is measured image by image.
        NoAnswersError: The trial has no artifact, its answers are gone or damaged, or they are
            not the ones from which the stored value was measured.

    >>> from orchestrator.trials import TrialState
    >>> outcomes_of(Trial("digits", 3, {}, 0, TrialState.FAILED), "accuracy")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.analysis.outcomes.NoAnswersError: ...
    """
    answers = answers_of(trial)
    if name != "accuracy" and name not in answers.attacked:
        known = ("accuracy", *answers.attacked)
        raise UnknownNameError("value", name, known, where="the values measured image by image")
    if name == "accuracy":
        found = Outcomes(np.arange(len(answers.labels)), answers.labels, answers.correct)
    else:
        attacked = answers.attacked[name]
        found = Outcomes(attacked.chosen, answers.labels[attacked.chosen], attacked.robust)
    share = float(found.right.mean())
    if share != trial.values.get(name):
        raise NoAnswersError(
            f"The answers stored with trial {trial.number} of {trial.sweep!r} give {name} "
            f"{share:.6g}, but {trial.values.get(name)} was measured: they are of another run. "
            f"Measure the trial's params again in a new sweep."
        )
    return found


def labels_of(trial: Trial) -> str:
    """Compute the digest of the true classes of the images on which a trial was measured.

    Raises:
        NoAnswersError: The trial has no artifact, or its answers are gone or damaged.

    >>> from orchestrator.trials import TrialState
    >>> labels_of(Trial("digits", 3, {}, 0, TrialState.FAILED))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.analysis.outcomes.NoAnswersError: ...
    """
    return labels_digest(answers_of(trial).labels)


def signs_of(trial: Trial) -> dict[str, tuple[str, ...]]:
    """Return sentences that say why gradients seem to be masked, by the name of their count.

    Raises:
        NoAnswersError: The trial has no artifact, or its answers are gone or damaged.

    >>> from orchestrator.trials import TrialState
    >>> signs_of(Trial("digits", 3, {}, 0, TrialState.FAILED))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.analysis.outcomes.NoAnswersError: ...
    """
    return dict(answers_of(trial).signs)


def answers_of(trial: Trial) -> Predictions:
    """Read a trial's answers to the validation images.

    Raises:
        NoAnswersError: The trial has no artifact, or its answers are gone or damaged.

    >>> from orchestrator.trials import TrialState
    >>> answers_of(Trial("digits", 3, {}, 0, TrialState.FAILED))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.analysis.outcomes.NoAnswersError: ...
    """
    if trial.artifact is None:
        raise NoAnswersError(
            f"Trial {trial.number} of {trial.sweep!r} is {trial.state.value} and has no artifact, "
            f"so its answers are not stored; only complete trials have them."
        )
    try:
        network = local_files(trial.artifact.path, [PREDICTIONS_NAME])
    except OSError as error:
        raise NoAnswersError(
            f"The answers of trial {trial.number} of {trial.sweep!r} are out of reach: {error}"
        ) from error
    path = network.with_name(PREDICTIONS_NAME)
    # Answers may outlive their network; beside another network they belong to another trial.
    if network.exists() and (trouble := file_trouble(network, trial.artifact.sha256)):
        raise NoAnswersError(
            f"The answers of trial {trial.number} of {trial.sweep!r} are not known: its packed "
            f"network {trouble}. Bring back the folder {network.parent} as it was measured."
        )
    try:
        return read_predictions(path)
    except FileNotFoundError:
        raise NoAnswersError(
            f"The answers of trial {trial.number} of {trial.sweep!r} are not at {path}: it was "
            f"measured by a version that kept none, or they were removed. Run its params in a new "
            f"sweep."
        ) from None
    except PredictionsError as error:
        raise NoAnswersError(str(error)) from error
