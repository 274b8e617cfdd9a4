"""The predictions of a packed network for each image, stored to compare trials in pairs.

An accuracy says how often a network is right; whether two differ by more than chance depends on
*which* images each gets right. The file is a plain ``.npz`` beside the artifact, read without
pickle and without torch.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.errors import TrainerError
from trainers.files.whole_file import whole_file

_CHOSEN, _ROBUST, _SIGNS = "chosen.", "robust.", "signs."


class PredictionsError(TrainerError):
    """A file of predictions is damaged, or is another kind of file."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """Outcome of an attack on each attacked image.

    Attributes:
        chosen: int64 (m,), positions of the attacked images in the subset.
        robust: bool (m,), whether each is still classified correctly.
    """

    chosen: NDArray[np.int64]
    robust: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one network on one subset.

    Attributes:
        labels: int64 (n,), the true classes.
        predicted: int64 (n,), the predicted classes, in the same order.
        attacked: Outcomes of attacks, by the name of the measured value.
        signs: Sentences that say why gradients seem to be masked, by the name of their count.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    attacked: Mapping[str, Attacked] = field(default_factory=dict)
    signs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct: bool (n,)."""
        return np.asarray(self.predicted == self.labels)


def labels_digest(labels: NDArray[np.int64]) -> str:
    """Return the SHA-256 of the true classes in order, which identifies a set of images.

    >>> labels_digest(np.array([0, 1])) == labels_digest(np.array([1, 0]))
    False
    """
    return hashlib.sha256(np.ascontiguousarray(labels, "<i8").data).hexdigest()


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions; an existing file is replaced atomically or stays.

    Raises:
        OSError: The disk is full or the folder cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "predictions.npz")
    ...     write_predictions(file, Predictions(np.array([0, 1]), np.array([0, 0])))
    ...     read_predictions(file).correct.tolist()
    [True, False]
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "labels": predictions.labels,
        "predicted": predictions.predicted,
    }
    for name, attacked in predictions.attacked.items():
        arrays |= {_CHOSEN + name: attacked.chosen, _ROBUST + name: attacked.robust}
    arrays |= {_SIGNS + name: np.array(found, str) for name, found in predictions.signs.items()}
    with whole_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_predictions(path: Path) -> Predictions:
    """Read predictions that `write_predictions` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        PredictionsError: It is damaged, or another kind of file.

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     read_predictions(Path(file.name))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.files.predictions.PredictionsError: ... holds no predictions, or is damaged: ...
    """
    try:
        # Opened here, because numpy (2.4) does not close a file that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        attacked = {
            name.removeprefix(_CHOSEN): Attacked(
                arrays[name], arrays[_ROBUST + name.removeprefix(_CHOSEN)]
            )
            for name in arrays
            if name.startswith(_CHOSEN)
        }
        signs = {
            name.removeprefix(_SIGNS): tuple(map(str, texts))
            for name, texts in arrays.items()
            if name.startswith(_SIGNS)
        }
        return Predictions(arrays["labels"], arrays["predicted"], attacked, signs)
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PredictionsError(
            f"{path} holds no predictions, or is damaged: {error}. Measure the trial again."
        ) from error
