"""Functions of a user's own that measure a network."""

from collections.abc import Callable
from typing import Any

from trainers.doors.references import DoorError, load_reference


def call_measure(reference: str, network: Any, images: Any, labels: Any) -> float:
    """Call a function that measures a network.

    Args:
        reference: Resolved; names ``function(network, images, labels)``.
        network: An `nn.Module` in eval mode, from float pixels in [0, 1] to logits.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).

    Returns:
        A finite number.

    Raises:
        DoorError: It cannot be imported or called, raises, or returns anything else.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_metric.py")
    ...     _ = file.write_text("share = lambda net, images, labels: sum(labels) / len(images)")
    ...     call_measure(f"{file}:share", None, ["an image", "another"], [0, 1])
    0.5
    """
    function: Callable[..., Any] = load_reference(reference)
    called = f"{reference} was called with a network, {len(images)} images and their labels"
    try:
        answer = function(network, images, labels)
    except Exception as error:
        raise DoorError(f"{called}, and raised {type(error).__name__}: {error}") from error
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise DoorError(f"{called}, and returned {answer!r}; a number is needed.") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise DoorError(f"{called}, and returned {value}; a finite number is needed.")
    return value
