"""What a check found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What was looked at, in a word or two.
        ok: Whether a sweep can rely on it.
        detail: What was found; never holds a password.
        fix: What to do about it, as a sentence; empty where it is fine.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def fine(name: str, detail: str) -> Finding:
    """Nothing is wrong."""
    return Finding(name, ok=True, detail=detail)


def wrong(name: str, detail: str, fix: str) -> Finding:
    """Something is wrong, and this is what to do."""
    return Finding(name, ok=False, detail=detail, fix=fix)
