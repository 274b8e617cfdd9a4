"""Digests of a user's own code, as they are stored with a sweep."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.contracts import Prepared
from orchestrator.errors import UsageError
from trainers.doors import DoorError, file_digest, reference_digest

Digest = Callable[[str], str]
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


def with_code(
    prepared: Prepared, key: str, digest: Callable[[Digest], str], *, where: str = ""
) -> Prepared:
    """Add the digest of code of a user's own to what identifies a sweep.

    Args:
        prepared: What identifies it so far.
        key: What the code is of.
        digest: Computes the digest, by what computes that of one reference.
        where: Begins the message if the code is missing.

    Raises:
        UsageError: The code is missing.

    >>> with_code(Prepared(), "sampler", lambda of: of("statistics:fmean")).content.keys()
    dict_keys(['sampler'])
    """
    try:
        digests = [digest(of) for of in (reference_digest, file_digest)]
    except DoorError as error:
        raise UsageError(f"{where}{error}") from None
    return replace(prepared, content={**prepared.content, **with_alone(key, *digests)})


def is_same(key: str, now: Mapping[str, str], was: str) -> bool:
    """Return whether a stored digest is one of what is here now.

    >>> is_same("code", {"code": "a1", "code_alone": "b2"}, "b2")
    True
    """
    return was in (now.get(key), now.get(f"{key}{_ALONE}"))
