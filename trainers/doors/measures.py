"""Functions of a user's own that measure a network."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from trainers.doors.foreign import FOREIGN_ERRORS, shown_error
from trainers.doors.references import DoorError, load_reference


def call_measure(reference: str, network: Any, images: Any, labels: Any) -> float:
    """Call a function that measures a network; it cannot write into the arrays that it gets.

    Args:
        reference: Resolved; names ``function(network, images, labels)``.
        network: An `nn.Module` in eval mode, from float pixels in [0, 1] to logits.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).

    Returns:
        A finite number.

    Raises:
        DoorError: It cannot be imported or called, raises, or returns anything else.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_metric.py")
    ...     _ = file.write_text("share = lambda net, images, labels: sum(labels) / len(images)")
    ...     call_measure(f"{file}:share", None, np.zeros((2, 1, 8, 8), np.uint8), np.arange(2))
    0.5
    """
    function: Callable[..., Any] = load_reference(reference)
    called = f"{reference} was called with a network, {len(images)} images and their labels"
    try:
        answer = function(network, _read_only(images), _read_only(labels))
    except FOREIGN_ERRORS as error:
        raise DoorError(f"{called}, and raised {shown_error(error)}") from error
    try:
        value = None if isinstance(answer, str | bytes) else float(answer)
    except FOREIGN_ERRORS:
        value = None
    if value is None:
        raise DoorError(f"{called}, and returned {answer!r:.100}; a number is needed.")
    if not math.isfinite(value):
        raise DoorError(f"{called}, and returned {value}; a finite number is needed.")
    return value


def _read_only(array: Any) -> np.ndarray:
    """Return a view: the arrays are those that later trials of the process train with."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
