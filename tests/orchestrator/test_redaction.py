"""Secrets in URLs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator.addresses import tracking_problem
from orchestrator.cli.app import app
from orchestrator.doctor.services import examine_store, examine_tracking
from orchestrator.driver.address_checks import address_problems
from orchestrator.errors import OrchestratorError
from orchestrator.redaction import redacted, redacted_section
from orchestrator.spec.files import load_sweep
from orchestrator.state_folder import StateFolder
from orchestrator.storage.database import Database


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


# No letter of a secret is in any sentence of ours.
SECRETS = st.text("XYZ@:/?#[]%&;Ž", min_size=1, max_size=12).map(lambda text: f"QXQ{text}QXQ")
MISTAKES = st.sampled_from(
    [
        *("{0}://me:{1}@127.0.0.1:1/db", "{0}:/me:{1}@127.0.0.1/db", "{0}:me:{1}@127.0.0.1/db"),
        *("{0}:///me:{1}@127.0.0.1/db", "{0}//me:{1}@127.0.0.1/db", "me:{1}@127.0.0.1/db"),
        *("//me:{1}@127.0.0.1/db", "{0}://me:{1}@127.0.0.1:port/db", "{0}://me:{1}@/db"),
        *("{0}://me:{1}@[127.0.0.1/db", "{0} ://me:{1}@127.0.0.1:1/db", "://me:{1}@127.0.0.1"),
    ]
)
SCHEMES = st.sampled_from(["postgresql+psycopg", "postgresql", "mysql", "http", "ftp", "nothing"])


@pytest.mark.slow
@given(MISTAKES, SCHEMES, SECRETS)
def test_whatever_the_mistake_in_a_url_its_password_is_not_shown(mistake, scheme, secret):
    url = mistake.format(scheme, secret)
    for text in (url, f"cannot use {url!r}: it is away", f"({url})"):
        assert "QXQ" not in redacted(text)
    assert "QXQ" not in tracking_problem(url)
    try:
        shown = Database(url).url
    except OrchestratorError as error:
        shown = str(error)
    assert "QXQ" not in shown


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql+psycopg:/me:QXQ@host/db", "postgresql+psycopg://me:QXQ", "me:QXQ@host/db"),
        *("postgresql+psycopg://me:QXQ@host:port/db", "postgresql+psycopg://h:port/QXQ"),
        *("postgresql://me:QXQ@host/db?password=QXQ", "mysql://me:QXQ@host/db?token=QXQ"),
        "postgresql+psycopg://me:Q QXQ@host:port/db",
    ],
)
def test_a_store_s_url_with_a_mistake_is_answered_by_a_sentence(url):
    result = CliRunner().invoke(app, ["list", "--store", url])
    assert result.exit_code == 2
    assert "error: " in result.stderr
    assert "QXQ" not in result.output


@pytest.mark.parametrize("url", ["http://me:QXQ", "http://127.0.0.1:QXQ/x", "http://[me:QXQ@h"])
def test_a_bad_port_of_mlflow_is_answered_by_a_sentence(url):
    finding = examine_tracking(url)
    assert not finding.ok
    assert "QXQ" not in repr(finding)


@st.composite
def broken_urls(draw: st.DrawFn) -> tuple[str, str]:
    """A URL with a password, and up to three slips of the hand anywhere but in the password."""
    secret = draw(SECRETS)
    before = f"{draw(SCHEMES)}://{draw(st.sampled_from(['me', 'me.you', 'm-e']))}:"
    after = f"@{draw(st.sampled_from(['db', '127.0.0.1', '[::1]']))}:5432/sweeps?sslmode=require"
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(before) + len(after) - 1))
        put = draw(st.sampled_from(["", "/", ":", "@", " ", "[", "x", "?", "#", "//"]))
        if at < len(before):
            before = before[:at] + put + before[at + 1 :]
        else:
            after = after[: at - len(before)] + put + after[at - len(before) + 1 :]
    return before + secret + after, secret


KEYS = st.sampled_from(
    ["store", "tracking.uri", "execution.cache", "warm_start.optuna", "warm_start.mlflow"]
)


@pytest.mark.slow
@given(broken_urls(), KEYS)
def test_no_check_of_a_sweep_prints_a_password_whatever_the_url_s_mistake(broken, key):
    url, _ = broken
    quoted = "'" + url.replace("'", "''") + "'"
    more = ["warm_start.experiment=x"] if key == "warm_start.mlflow" else []
    shown: list[str] = []
    try:
        spec = load_sweep("examples/sweeps/digits.yaml", settings=[f"{key}={quoted}", *more])
    except OrchestratorError as error:
        shown.append(str(error))
    else:
        shown += address_problems(spec, StateFolder(Path("absent")))
    assert "QXQ" not in "\n".join(shown)


@pytest.mark.slow
@given(broken_urls())
def test_no_error_of_a_service_prints_a_password_whatever_the_url_s_mistake(broken):
    url, _ = broken
    shown = [redacted(url), redacted(f"{url!r}"), repr(examine_store(url)), tracking_problem(url)]
    # Above all of those that no server is asked about.
    shown += [] if url.startswith("http") else [repr(examine_tracking(url))]
    assert "QXQ" not in "\n".join(shown)
