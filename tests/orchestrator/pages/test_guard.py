"""Who may look at a sweep's page, and who may change something on it."""

import re

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from orchestrator.pages.guard import Access, Guard
from orchestrator.pages.serving import access_at, page_address

TOKEN = "s3cret"  # noqa: S105 - of a test


def client(access: Access, base: str = "http://127.0.0.1:5050") -> TestClient:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.method} {request.url.query}")

    routes = [Route("/", answer, methods=["GET", "POST", "DELETE"])]
    return TestClient(Guard(Starlette(routes=routes), access), base, follow_redirects=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5050", "localhost:5050", "LOCALHOST", "[::1]:5050", "127.0.0.9"]
)
def test_the_names_of_this_machine_are_known(host: str) -> None:
    assert client(Access()).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:5050",
        "10.0.0.7:5050",
        "localhost.evil",
        "",
        "[::2]",
    ],
)
def test_a_page_elsewhere_cannot_point_a_name_of_its_own_here(host: str) -> None:
    answer = client(Access()).get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "--allowed-host" in answer.text


def test_every_answer_forbids_scripts_from_elsewhere() -> None:
    for answer in (client(Access()).get("/"), client(Access(token=TOKEN)).get("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert not re.search(r"unsafe|\*|https?:|data:", policy)
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_elsewhere_a_token_is_needed_once() -> None:
    asking = client(Access(token=TOKEN))
    assert asking.get("/").status_code == 401
    assert asking.get("/?token=wrong").status_code == 401
    answer = asking.get(f"/?where=x&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?where=x")
    assert re.search(r"HttpOnly; .*SameSite=strict", answer.headers["set-cookie"])
    assert asking.get("/").status_code == 200  # the client keeps the cookie


def test_a_page_is_read_only_unless_it_is_told_otherwise() -> None:
    own = {"origin": "http://127.0.0.1:5050"}
    answer = client(Access()).post("/", headers=own)
    assert answer.status_code == 403
    assert "--allow-changes" in answer.text
    assert client(Access(may_change=True)).post("/", headers=own).status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1:5050"])
def test_a_page_elsewhere_cannot_change_anything(origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    for method in ("POST", "DELETE"):
        answer = client(Access(may_change=True)).request(method, "/", headers=headers)
        assert answer.status_code == 403


def test_a_token_guards_what_others_can_reach_or_change() -> None:
    assert access_at("127.0.0.1").token == ""
    assert access_at("127.0.0.1", may_change=True).token
    public = access_at("0.0.0.0", names=["Proxy.example"])  # noqa: S104 - not bound
    assert public.token != access_at("::").token
    assert public.knows("proxy.example")
    assert public.knows("10.1.2.3:5050")
    assert not public.knows("evil.example")
    assert page_address("10.1.2.3", 5050, public) == f"http://10.1.2.3:5050/?token={public.token}"
