"""Errors of a trial, as classes that a caller may want to distinguish."""

import difflib
import errno
import os
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is closest to `name`.

    Returns:
        ``" Did you mean 'x'?"`` with its leading space, or an empty string if none is close.

    >>> did_you_mean("digitnett", ["digitnet", "vgg16"])
    " Did you mean 'digitnet'?"
    """
    close = difflib.get_close_matches(name, tuple(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


_FULL = (errno.ENOSPC, errno.EDQUOT)
# safetensors (0.8) raises an error of its own, with the text of the error number in it.
_FULL_TEXTS = tuple(text for n in _FULL for text in (f"(os error {n})", os.strerror(n)))


def is_storage_full(error: BaseException | None) -> bool:
    """Return whether an error or one of its causes is a full disk or an exhausted quota.

    >>> is_storage_full(OSError(errno.ENOSPC, "No space left on device"))
    True
    >>> is_storage_full(OSError(errno.ENOENT, "No such file"))
    False
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(text in str(error) for text in _FULL_TEXTS):
            return True
        error = error.__cause__
    return False


class TrainerError(Exception):
    """Base of everything that this package raises on purpose; its text is a full sentence."""


class DataError(TrainerError):
    """A data set is missing, broken or too small; the text names the file or the class."""


class AbsentDataError(DataError):
    """There is no data set at the given path: wrong use, not a broken file."""


class WeightsError(TrainerError):
    """Weights are missing, broken or of another architecture; the text names the tensors."""


class ArtifactError(TrainerError):
    """A packed network is broken, or does not match its own header."""


class PixelTypeError(DataError):
    """Images are not uint8 pixels: in floating point, or normalised already."""


class DivergedError(TrainerError):
    """Training reached a non-finite loss.

    Attributes:
        epoch: The epoch (from 1) in which it happened.
        loss: The non-finite loss.
    """

    def __init__(self, epoch: int, loss: float) -> None:
        super().__init__(
            f"Training diverged in epoch {epoch}: the loss became {loss}. "
            f"Lower the learning rate, or warm it up for longer."
        )
        self.epoch = epoch
        self.loss = loss

    def __reduce__(self) -> tuple[type["DivergedError"], tuple[int, float]]:
        # An exception is rebuilt from `args`, which hold the sentence and not the two numbers.
        return type(self), (self.epoch, self.loss)
