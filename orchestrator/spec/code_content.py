"""Digests of a user's own code, as they are stored with a sweep."""

from collections.abc import Mapping

_ALONE = "_alone"


def with_alone(key: str, digest: str, alone: str) -> dict[str, str]:
    """Return what to store of code: its digest, and that without what it imports if it differs.

    >>> with_alone("code", "a1", "a1"), with_alone("code", "a1", "b2")
    ({'code': 'a1'}, {'code': 'a1', 'code_alone': 'b2'})

    Args:
        key: What the code is of.
        digest: As `trainers.doors.reference_digest` computes it.
        alone: As `trainers.doors.file_digest` does, which earlier versions stored as the digest.
    """
    return {key: digest} if digest == alone else {key: digest, f"{key}{_ALONE}": alone}


def is_same(key: str, now: Mapping[str, str], was: str) -> bool:
    """Return whether a stored digest is one of what is here now.

    >>> is_same("code", {"code": "a1", "code_alone": "b2"}, "b2")
    True
    """
    return was in (now.get(key), now.get(f"{key}{_ALONE}"))
