"""Secrets in URLs, which neither a log nor MLflow's table may show."""

import re
from collections.abc import Mapping
from typing import Any


def redacted(text: str) -> str:
    """Return a text without the user, password and tokens that its URLs may hold.

    >>> redacted("postgresql://me:secret@db/paretune")
    'postgresql://***@db/paretune'
    >>> redacted("https://db/?token=abc&x=1")
    'https://db/?token=***&x=1'
    """
    # Behind a third slash is a path, which has no user.
    text = re.sub(r"://(?!/)\S*@", "://***@", text)
    return re.sub(r"(?i)(password|token|secret)=[^&\s]+", r"\1=***", text)


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
