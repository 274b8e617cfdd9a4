"""References to environment variables in the addresses of a sweep file, as ``${NAME}``.

A reference is stored as it is written, and resolved where the address is used.
"""

import os
import re
from urllib.parse import quote

from orchestrator.errors import UsageError
from orchestrator.redaction import passwords_in, redacted

_REFERENCE = re.compile(r"\$\{(\w+)\}")
_USER = re.compile(r"(?<=://)(?!/)[^\s]*(?=@)")


def has_reference(text: str) -> bool:
    """Return whether a text refers to an environment variable.

    >>> has_reference("${SWEEPS}"), has_reference("sqlite:///sweeps.db")
    (True, False)
    """
    return _REFERENCE.search(text) is not None


def resolved(address: str) -> str:
    """Return an address with the values of the variables that it refers to.

    As a user or a password, a value is taken literally: what a URL reserves is escaped.

    Raises:
        UsageError: A variable is not set, or empty.

    >>> os.environ["EXAMPLE_PASSWORD"] = "p@ss"
    >>> resolved("postgresql+psycopg://me:${EXAMPLE_PASSWORD}@db/sweeps")
    'postgresql+psycopg://me:p%40ss@db/sweeps'
    >>> del os.environ["EXAMPLE_PASSWORD"]
    """
    user = _USER.search(address)
    start, end = user.span() if user else (0, 0)

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], "")
        if not found:
            raise UsageError(
                f"The environment variable {match[1]}, to which {redacted(address)!r} refers as "
                f"{match[0]}, is not set: export {match[1]}=..., or correct the address."
            )
        return quote(found, safe="") if start <= match.start() < end else found

    return _REFERENCE.sub(value, address)


def secret_problem(place: str, address: str) -> str:
    """Explain why an address may not be stored: it holds a password in clear; else empty.

    Args:
        place: Its key in the sweep file.
        address: The address as it would be stored.

    >>> secret_problem("store", "postgresql+psycopg://me:${PASSWORD}@db/sweeps")
    ''
    >>> secret_problem("store", "postgresql+psycopg://me:secret@db/sweeps").partition(",")[0]
    'store holds a password in clear'
    """
    secrets = [] if address.startswith("/") else passwords_in(address)
    if all(_REFERENCE.sub("", secret) == "" for secret in secrets):
        return ""
    return (
        f"{place} holds a password in clear, which would be stored with the sweep "
        f"({redacted(address)}). Put it into an environment variable and refer to that: "
        f"scheme://USER:${{NAME}}@HOST/..."
    )
