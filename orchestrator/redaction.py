"""Secrets in URLs, which neither a log nor MLflow's table may show."""

import re
from collections.abc import Mapping
from typing import Any

# Also of a URL with too few or too many slashes, or without a scheme.
_USER = re.compile(r"([^\s/:@'\"=]*:)(/*)(\S*)@")
# What should be a port and is no number may be a password whose "@" is missing: to its word's end.
_NO_PORT = re.compile(
    r"(?P<scheme>[^\s/:@'\"=]*)(?P<host>:/{1,3}(?:\*\*\*@)?[^\s/:@?#\[\]]*):"
    r"(?!\d{1,5}(?:[/?#'\"),;.\s]|$))(?P<secret>[^\s'\"]+)"
)
_TOKEN = re.compile(r"(?i)(password|passwd|token|secret)=([^&\s]+)")
_FILES = ("sqlite", "file:")


def redacted(text: str) -> str:
    """Return a text without the user, password and tokens that its URLs may hold.

    >>> redacted("postgresql://me:secret@db/paretune")
    'postgresql://***@db/paretune'
    >>> redacted("https://db/?token=abc&x=1")
    'https://db/?token=***&x=1'
    >>> redacted("postgresql:/me:secret@db/paretune")
    'postgresql:/***@db/paretune'
    """
    # A user without a host is read as the host, and the password as its port.
    return redacted_options(_NO_PORT.sub(_without_port, _USER.sub(_without_user, text)))


def redacted_options(text: str) -> str:
    """Return a text without what the options of its URLs hold of passwords and tokens.

    >>> redacted_options("postgresql://me:***@db/paretune?password=secret")
    'postgresql://me:***@db/paretune?password=***'
    """
    return _TOKEN.sub(r"\1=***", text)


def passwords_in(url: str) -> list[str]:
    """Return the passwords and tokens that a URL holds, also a URL with a mistake.

    >>> passwords_in("postgresql+psycopg:/me:secret@db/paretune?token=abc")
    ['secret', 'abc']
    >>> passwords_in("http://me@mlflow:5000")
    []
    >>> passwords_in("http://me:secret")  # read as a host and a port
    ['secret']
    """
    found = [match[2] for match in _TOKEN.finditer(url)]
    user = _USER.search(url)
    if user is None or _is_path(user):
        port = _NO_PORT.search(url)
        return found if port is None or _is_file(port) else [port["secret"], *found]
    name, colon, password = user[3].partition(":")
    # Without slashes what looks like a scheme is the user.
    secret = password if colon else "" if user[2] else name
    return [secret, *found] if secret else found


def _without_user(match: re.Match[str]) -> str:
    return match[0] if _is_path(match) else f"{match[1]}{match[2]}***@"


def _without_port(match: re.Match[str]) -> str:
    return match[0] if _is_file(match) else f"{match['scheme']}{match['host']}:***"


def _is_file(match: re.Match[str]) -> bool:
    return match["scheme"].partition("+")[0] in ("sqlite", "file")


def _is_path(match: re.Match[str]) -> bool:
    # Behind the third slash of a file's URL is a path, which has no user.
    return len(match[2]) > 2 and match[1].startswith(_FILES)


def shown_unreadable(url: str) -> str:
    """Return as much of a text that should be a URL and is none as can hold no password.

    >>> shown_unreadable("postgresql+psycopg:/me:secret@db/paretune")
    'postgresql+psycopg:***'
    >>> shown_unreadable("sweeps.db")
    'sweeps.db'
    """
    start, colon, _ = url.partition(":")
    if not colon:
        return redacted(url.rpartition("@")[2])
    return f"{start.rpartition('@')[2]}:***"


def redacted_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """Redact every text in a part of a sweep file, which may name a store by its URL.

    >>> redacted_section({"store": "postgresql://me:secret@db/paretune", "trials": 8})
    {'store': 'postgresql://***@db/paretune', 'trials': 8}
    """
    return {key: _redacted_value(value) for key, value in section.items()}


def _redacted_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return redacted_section(value)
    if isinstance(value, list | tuple):
        return [_redacted_value(item) for item in value]
    return redacted(value) if isinstance(value, str) else value
