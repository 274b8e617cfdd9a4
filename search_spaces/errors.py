"""Problems in a file or in parameters, as sentences that name the place."""

import difflib
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass

MAX_SHOWN = 50

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem and its place.

    Attributes:
        message: What was given, what would have been accepted, what to do.
        where: Dotted place within the file or the parameters, for example `scheduler.kind`.
        line: Line in the file, counted from 1; None where there is no file.
        file: Name of the file; empty where there is none.
    """

    message: str
    where: str = ""
    line: int | None = None
    file: str = ""

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {self.line}"
        place = ", ".join(filter(None, [f"{self.file} {line}".strip(), self.where]))
        return f"{place}: {self.message}" if place else self.message


class FileProblems(ValueError):
    """A file cannot be used.

    Attributes:
        problems: Every reason that was found, not the first alone. The message has one a line,
            at most `MAX_SHOWN`.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        more = len(self.problems) - MAX_SHOWN
        return "\n".join([*lines, f"... and {more:,} more."] if more > 0 else lines)


class SpaceError(FileProblems):
    """A search space, or parameters meant for one, are wrong in the ways `problems` lists."""


def shown(value: object) -> str:
    """Return the `repr` of a value, cut to a length that fits in a sentence.

    >>> shown("a" * 500)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
    """
    return _SHORT.repr(value)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name closest to `name`, ignoring case, or the one that it begins.

    Returns:
        ``" Did you mean 'x'?"`` with its leading space, or an empty string if none is close.

    >>> did_you_mean("acuracy", ["accuracy", "params"])
    " Did you mean 'accuracy'?"
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    if len(name) > 100:
        return ""
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if not close and len(name) > 1:
        close = sorted((each for each in by_lower if each.startswith(name.lower())), key=len)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no `kind` called `name`, which there are, and which was likely meant.

    >>> unknown("sampler", "tpa", ["tpe", "random"])
    "Unknown sampler 'tpa'. Known: random, tpe. Did you mean 'tpe'?"
    """
    names = sorted(known)
    listed = ", ".join(names) or "none yet"
    return f"Unknown {kind} {shown(name)}. Known: {listed}.{did_you_mean(name, names)}"
