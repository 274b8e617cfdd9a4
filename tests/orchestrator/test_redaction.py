"""Secrets in URLs."""

import pytest

from orchestrator.redaction import redacted, redacted_section


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("http://ann:pw@host:5000/a", "http://***@host:5000/a"),
        (
            "postgresql+psycopg://ann:p@w:x@host/db is away",
            "postgresql+psycopg://***@host/db is away",
        ),
        ("https://host/?token=abc&x=1", "https://host/?token=***&x=1"),
    ],
)
def test_secrets_in_urls_are_not_shown(text, shown):
    assert redacted(text) == shown


def test_a_sweep_file_is_shown_without_secrets_and_otherwise_as_it_is():
    spec = {
        "store": "postgresql+psycopg://ann:pw@host/db",
        "tracking": {"kind": "mlflow", "uri": "http://ann:pw@host"},
        "constraints": ["accuracy >= 0.9", "http://ann:pw@host"],
        "budget": {"trials": 48, "seconds": None},
    }
    assert redacted_section(spec) == {
        "store": "postgresql+psycopg://***@host/db",
        "tracking": {"kind": "mlflow", "uri": "http://***@host"},
        "constraints": ["accuracy >= 0.9", "http://***@host"],
        "budget": {"trials": 48, "seconds": None},
    }
