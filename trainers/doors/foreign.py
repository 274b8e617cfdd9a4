"""What code of a user's own raises, and what is said when it takes long."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_paths
from traceback import FrameSummary, extract_tb

logger = logging.getLogger(__name__)

# `sys.exit` in such code must not end a command as if all were well.
FOREIGN_ERRORS = (Exception, SystemExit)
_SLOW_S = 20.0
_PACKAGE = Path(__file__).parents[1]
_OURS = {_PACKAGE, _PACKAGE.with_name("orchestrator"), _PACKAGE.with_name("search_spaces")}
_LIBRARIES = {Path(get_paths()[name]) for name in ("stdlib", "purelib", "platlib")}


def shown_error(error: BaseException) -> str:
    """Write an error as its kind, its text if it has one, and the line of code that raised it.

    That is the innermost line outside paretune and installed packages. Where the text is no
    sentence (``KeyError: 3``), the line itself is written too, and may be one of a package.

    >>> shown_error(KeyError("bits")), shown_error(AssertionError())
    ("KeyError: 'bits'", 'AssertionError without a message')
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trainers.doors import load_reference
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "mine.py")
    ...     _ = file.write_text("def it(_): assert False")
    ...     try:
    ...         load_reference(f"{file}:it")("four")
    ...     except AssertionError as error:
    ...         print(shown_error(error).replace(folder, "FOLDER"))
    AssertionError without a message (FOLDER/mine.py:1 in it: def it(_): assert False)
    """
    name, text = type(error).__name__, str(error)
    shown = f"{name}: {text}" if text else f"{name} without a message"
    is_bare = " " not in text
    frames = [each for each in extract_tb(error.__traceback__) if each.filename[0] != "<"]
    foreign = [each for each in frames if not _is_ours(each)]
    theirs = [each for each in foreign if not _LIBRARIES.intersection(Path(each.filename).parents)]
    found = theirs or (foreign or frames if is_bare else [])
    if not found:
        return shown
    place = f"{found[-1].filename}:{found[-1].lineno} in {found[-1].name}"
    line = f": {found[-1].line}" if is_bare and found[-1].line else ""
    return f"{shown} ({place}{line})"


def is_raised_here(error: BaseException) -> bool:
    """Return whether the line that raised an error is one of paretune.

    >>> is_raised_here(KeyError("never raised"))
    False
    """
    frames = extract_tb(error.__traceback__)
    return bool(frames) and _is_ours(frames[-1])


def _is_ours(frame: FrameSummary) -> bool:
    return bool(_OURS.intersection(Path(frame.filename).parents))


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
