"""What the server answers to requests of every kind, also to those that no page sends."""

import csv
import io

import pytest
from starlette.testclient import TestClient

from orchestrator.pages.application import page_application
from orchestrator.pages.guard import Access
from orchestrator.queries.sweeps import Sweep
from tests.orchestrator.pages.conftest import Driver

HOME = "http://127.0.0.1:5050"


@pytest.fixture
def client(driver: Driver) -> TestClient:
    access = Access(may_change=True)
    application = page_application(
        Sweep("digits-fc", driver.store), access, lambda: "http://127.0.0.1:5000"
    )
    return TestClient(application, HOME, headers={"origin": HOME})


def test_the_page_itself_holds_nothing_of_the_sweep(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "digits-fc" not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/trial/99", 404),
        ("/api/trial/99999999999999999999999", 404),
        ("/api/trial/-1", 404),
        ("/api/compare?trials=1", 400),
        ("/api/compare?trials=1,x", 400),
        ("/api/compare", 400),
        ("/api/where?condition=bits+<", 400),
        ("/api/where?condition=" + "(" * 5_000, 400),
        ("/picture/999999999.png", 400),
        ("/trial/5/model.safetensors", 400),
        ("/trial/6/model.safetensors", 400),
        ("/trials.xlsx", 404),
        ("/static/../application.py", 404),
        ("/static/%2e%2e/application.py", 404),
        ("/static/..%2fapplication.py", 404),
        ("/nothing", 404),
    ],
)
def test_what_cannot_be_answered_is_refused(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    if path.startswith("/api"):
        assert answer.headers["content-type"] in ("application/json", "text/plain; charset=utf-8")


@pytest.mark.parametrize("since", ["", "-1", "x", "9" * 40, "1e3"])
def test_a_version_that_is_none_gives_everything(client: TestClient, since: str) -> None:
    found = client.get(f"/api/board?since={since}").json()
    assert found["columns"]["trial"] == list(range(7))
    assert found["mlflow_server"] == "http://127.0.0.1:5000"


def test_trials_are_exported_with_what_was_decided_about_them(
    client: TestClient, driver: Driver
) -> None:
    answer = client.post("/api/choice", json={"trial": 1, "kind": "picked", "note": 'a, "b"\nc'})
    assert answer.status_code == 200
    assert [each.note for each in driver.store.choices("digits-fc")] == ['a, "b"\nc']
    answer = client.get("/trials.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="trials.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["trial"] for row in rows] == [str(n) for n in range(7)]
    assert (rows[1]["choice"], rows[1]["note"]) == ("picked", 'a, "b"\nc')
    few = client.get("/trials.json?trials=2,5").json()
    assert [(each["trial"], each["state"]) for each in few] == [(2, "complete"), (5, "failed")]
    answer = client.post("/api/choice", json={"trial": 1, "kind": None})
    assert driver.store.choices("digits-fc") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b'{"trial": "x", "kind": "picked"}',
        b'{"trial": 1, "kind": "loved"}',
        b'{"trial": 1, "kind": ["picked"]}',
        b'{"trial": 5, "kind": "picked"}',
        b'{"trial": 99, "kind": "picked"}',
        b'{"trial": 1, "kind": "picked", "note": "' + b"x" * 2_001 + b'"}',
        b"\xff",
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_a_choice_that_makes_no_sense_is_refused(
    client: TestClient, driver: Driver, body: bytes
) -> None:
    answer = client.post("/api/choice", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert driver.store.choices("digits-fc") == []


def test_a_body_without_end_is_cut_off(client: TestClient) -> None:
    assert client.post("/api/choice", content=b"x" * 100_000).status_code == 413


def test_a_large_answer_is_compressed_for_who_can_read_that(
    client: TestClient, driver: Driver
) -> None:
    for _ in range(300):
        driver.start({"bits": 3, "lr": 0.1, "policy": "none" * 20})
    packed = client.get("/api/board", headers={"accept-encoding": "gzip"})
    plain = client.get("/api/board", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json()["columns"] == plain.json()["columns"]
    # A policy of its own is that of a plot alone.
    assert "sandbox" not in packed.headers["content-security-policy"]
    assert "sandbox" in client.get("/plot/slice").headers["content-security-policy"]
