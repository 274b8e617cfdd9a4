"""Ray's start on this machine: one that is slow, one that fails, and a folder with a long path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from ray._private import worker as ray_worker

from orchestrator.errors import OrchestratorError
from orchestrator.execution import ray_folder, ray_start
from orchestrator.execution.ray_cluster import connect
from orchestrator.execution.ray_folder import find_ray_folder

pytestmark = pytest.mark.ray

_WAIT = "RAY_gcs_server_port_wait_time_s"
# In a process of its own: Ray is there only once.
_CONNECT = """
import os, sys, time
from pathlib import Path
from orchestrator.errors import OrchestratorError
from orchestrator.execution.ray_cluster import connect
try:
    disconnect = connect(None, Path(sys.argv[1]), lambda line: print("said:", line))
except OrchestratorError as error:
    print(error)
else:
    import ray
    print("up at", ray._private.worker._global_node.get_session_dir_path(), flush=True)
    disconnect()
time.sleep(1)  # A signal takes its time.
for task in Path("/proc/self/task").glob("*/children"):
    for child in task.read_text().split():
        print("left:", Path(f"/proc/{child}/cmdline").read_text())
"""


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def _connected(log: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _CONNECT, str(log)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True)


def test_a_folder_whose_path_is_too_long_for_sockets_is_reached_by_a_short_one(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("ö" * 50)
    folder.mkdir()
    done = _connected(tmp_path / "ray.log", TMPDIR=str(folder))
    assert "up at /tmp/ray-" in done.stdout
    assert list((folder / "ray").glob("session_*/logs"))
    link = Path(done.stdout.partition("up at ")[2].partition("/session")[0])
    assert not link.parent.exists()
    assert done.stderr == ""
    # Nothing was said, so that nothing is kept.
    assert not (tmp_path / "ray.log").exists()


def test_what_ray_says_of_a_dead_node_is_in_its_log_and_not_on_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # By the function that Ray's thread of messages calls; tests of several nodes kill one.
    message = {"lines": ["The node has been marked dead."], "pid": "raylet", "is_err": False}
    log = tmp_path / "ray.log"
    # The Ray of other tests in this process stays.
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    said: list[str] = []
    disconnect = connect(None, log, said.append)
    ray_worker.print_to_stdstream(message, ignore_prefix=False)
    disconnect()
    assert capfd.readouterr() == ("", "")
    assert said == [f"what Ray printed is in {log}"]
    # The Ray of other tests may have something to say as well.
    assert log.read_text().count("(raylet) The node has been marked dead.\n") == 1
    ray_worker.print_to_stdstream(message | {"lines": ["Another one."]}, ignore_prefix=False)
    assert "Another one." in capfd.readouterr().out


@pytest.mark.parametrize(("length", "fits"), [(39, True), (40, False)])
def test_the_length_that_fits_is_told(
    length: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What does not exist is judged by what does: /tmp.
    monkeypatch.setenv("TMPDIR", "/tmp/".ljust(length, "x"))  # noqa: S108
    folder = find_ray_folder()
    assert (folder.detour is None) is fits
    assert folder.problem == ""
    assert "at most 39 bytes" in folder.fix


def test_without_a_short_folder_the_fix_is_named_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 50)))
    monkeypatch.setattr(ray_folder, "_SHORT", (tmp_path / "gone",))
    with pytest.raises(OrchestratorError, match="too long for Ray's sockets") as raised:
        connect(None, tmp_path / "ray.log", print)
    assert "Set RAY_TMPDIR to a folder" in str(raised.value)


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "file"))
    assert f"you may not write to {tmp_path / 'file'}" in find_ray_folder().problem


def test_a_start_that_fails_is_tried_once_more_and_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tries = []

    def slow(**_: object) -> None:
        os.write(2, b"[2026-01-31 C 1 1] gcs_client.cc:210: a raw line\n")
        tries.append(os.environ[_WAIT])
        if len(tries) == 1:
            raise Exception("The current node timed out during startup. This could happen\nmore")

    said: list[str] = []
    monkeypatch.setattr(ray, "init", slow)
    monkeypatch.setattr(ray_start, "patience", lambda: 4.0)
    connect(None, tmp_path / "ray.log", said.append)
    assert said == [
        "Ray did not start (The current node timed out during startup); trying once more"
    ]
    assert tries == ["120", "120"]
    assert _WAIT not in os.environ
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "ray.log").read_text().count("a raw line") == 2


def test_a_node_that_is_slow_to_come_up_is_waited_for() -> None:
    asked = []

    def get_node(*node: str) -> str:
        asked.append(node)
        if len(asked) < 3:
            raise RuntimeError("not yet")
        return "node"

    assert ray_start._node_awaited(get_node, 60, "address", "id") == "node"
    assert asked == [("address", "id")] * 3
    asked.clear()
    with pytest.raises(RuntimeError, match="not yet"):
        ray_start._node_awaited(get_node, 0, "address", "id")


def test_a_ray_that_never_comes_up_is_told_in_a_sentence_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "ray.log"
    done = _connected(log, RAY_gcs_server_port_wait_time_s="0")
    said, refused = done.stdout.strip().splitlines()[:2]
    assert said.startswith("said: Ray did not start (Timed out waiting")
    assert refused.endswith(f"What Ray says is in {log}")
    assert done.stderr == ""
    assert log.read_text().count("Timed out") == 2
    # What has been killed, and not yet reaped, has no command line.
    assert {line for line in done.stdout.splitlines() if line.startswith("left:")} <= {"left: "}


def test_a_process_that_only_prepares_does_not_wait_for_tune_and_torch() -> None:
    code = "import orchestrator.execution.ray_cluster, sys; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {"ray.tune", "torch"}.isdisjoint(loaded)
    assert "ray" in loaded
