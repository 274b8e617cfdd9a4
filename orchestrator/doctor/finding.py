"""The result of a check."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked, in a word or two.
        ok: Whether a sweep can rely on it.
        detail: What was found; never holds a password.
        fix: What to do about it, as a sentence; empty if nothing is wrong.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def fine(name: str, detail: str) -> Finding:
    """Build the finding of a check that passed.

    >>> fine("Ray", "starts").ok
    True
    """
    return Finding(name, ok=True, detail=detail)


def wrong(name: str, detail: str, fix: str) -> Finding:
    """Build the finding of a check that failed, with its fix.

    >>> wrong("Ray", "does not start", "Free some memory.").fix
    'Free some memory.'
    """
    return Finding(name, ok=False, detail=detail, fix=fix)
