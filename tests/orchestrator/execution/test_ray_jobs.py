"""What a job server refuses is told with the advice that helps."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_jobs import RayJobs


class _Head(BaseHTTPRequestHandler):
    """A head whose agent comes up after some questions, as Ray's own job server answers then."""

    refusals = 0

    def do_GET(self) -> None:
        content = b'{"version": "4", "ray_version": "2.60.0", "ray_commit": ""}'
        self._answer(200 if self.path.startswith("/api/") else 404, content)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b'{"result": true}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).refusals:
            type(self).refusals -= 1
            self._answer(500, b"No available agent to submit job, please try again later.")
        else:
            self._answer(200, b'{"job_id": "a.attempt-1", "submission_id": "a.attempt-1"}')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def head() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Head)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_head_whose_agent_is_not_there_is_told_from_one_without_a_job_server(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Head, "refusals", 99)
    monkeypatch.setattr("orchestrator.execution.ray_jobs.AGENT_WAIT_S", 0.0)
    (tmp_path / "sweep.yaml").write_text("name: a")
    with pytest.raises(OrchestratorError, match="No available agent") as caught:
        RayJobs(head).submit("a.attempt-1", "true", folder=tmp_path, variables={})
    assert "--dashboard-agent-listen-port" in str(caught.value)
    assert "pip install" not in str(caught.value)


@pytest.mark.slow
def test_a_head_that_has_just_started_is_waited_for(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Head, "refusals", 2)
    (tmp_path / "sweep.yaml").write_text("name: a")
    RayJobs(head).submit("a.attempt-1", "true", folder=tmp_path, variables={})
    assert _Head.refusals == 0
