"""What code of a user's own raises, and what is said when it takes long."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

# `sys.exit` in such code must not end a command as if all were well.
FOREIGN_ERRORS = (Exception, SystemExit)
_SLOW_S = 20.0


def shown_error(error: BaseException) -> str:
    """Write an error as its kind and its text, if it has one.

    >>> shown_error(KeyError("bits")), shown_error(AssertionError())
    ("KeyError: 'bits'", 'AssertionError')
    """
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def say_if_slow(what: str, seconds: float = _SLOW_S) -> Iterator[None]:
    """Warn once if the block is still running after some seconds; it is not ended.

    Args:
        what: The code that runs, for the message.
        seconds: How long nothing is said.

    >>> with say_if_slow("my_data:load"):
    ...     pass
    """
    text = "%s has been running for %.0f seconds. It may take as long as it needs; Ctrl-C ends it."
    timer = threading.Timer(seconds, logger.warning, (text, what, seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
