"""References to variables, and passwords in the addresses of a sweep file."""

import pytest
from sqlalchemy import make_url

from orchestrator.addresses import anchored
from orchestrator.errors import UsageError
from orchestrator.references import resolved, secret_problem
from orchestrator.spec.paths import with_paths


def test_a_value_is_the_password_however_it_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "p@s/s:w#rd %20")
    url = make_url(resolved("postgresql+psycopg://me:${PW}@db/sweeps"))
    assert (url.username, url.password, url.host) == ("me", "p@s/s:w#rd %20", "db")


def test_a_whole_address_may_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "postgresql+psycopg://me:pw@db/sweeps")
    assert resolved("${STORE}") == "postgresql+psycopg://me:pw@db/sweeps"
    monkeypatch.setenv("HOST", "db")
    assert resolved("http://me@${HOST}:5000/${HOST}") == "http://me@db:5000/db"


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_a_sentence_without_the_rest_of_the_secret(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("ABSENT_PW", raising=False)
    if value is not None:
        monkeypatch.setenv("ABSENT_PW", value)
    with pytest.raises(UsageError, match=r"variable ABSENT_PW.* is not set") as raised:
        resolved("postgresql+psycopg://me:geheim${ABSENT_PW}@db/sweeps")
    assert "geheim" not in str(raised.value)


def test_a_sweep_file_keeps_references_as_they_are_written(tmp_path) -> None:
    given = {
        "store": "sqlite:///${SWEEPS}/x.db",
        "tracking": {"uri": "http://me:${PW}@host"},
        "execution": {"cache": "${CACHE}"},
        "warm_start": {"optuna": "${STUDIES}"},
    }
    assert with_paths(given, lambda place: tmp_path) == given
    assert anchored(given["store"], tmp_path) == given["store"]


@pytest.mark.parametrize(
    "address",
    [
        *("postgresql+psycopg://me:geheim@db/x", "http://me:${A}geheim@db"),
        *("https://db/?token=geheim", "postgresql+psycopg://me@db/x?password=geheim"),
        *("postgresql+psycopg:/me:geheim@db/x", "me:geheim@db/x", "http:///me:geheim@db"),
    ],
)
def test_a_password_in_clear_is_refused_without_being_shown(address: str) -> None:
    said = secret_problem("store", address)
    assert said.startswith("store holds a password in clear")
    assert "${NAME}" in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    "address",
    [
        *("default", "sqlite:////data/a:b@c/x.db", "http://mlflow:5000", "postgresql://me@db/x"),
        *("http://${U}:${PW}@host", "https://db/?token=${T}", "${STORE}", "databricks://profile"),
        *("s3://bucket/cache", "/data/cache@2"),
    ],
)
def test_an_address_without_a_password_is_not_refused(address: str) -> None:
    assert secret_problem("store", address) == ""
