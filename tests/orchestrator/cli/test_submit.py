"""``submit`` and ``jobs``, against a real job server where Ray has one."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from tests.kubernetes_server import Cluster, close, serve
from tests.ray_nodes import PATIENT
from tests.servers import free_port

Call = Callable[..., Result]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep file of two trials whose results lie in folders that outlive a job."""
    file = tmp_path / "sent" / "sweep.yaml"
    file.parent.mkdir()
    content = {
        "name": "sent",
        "backbone": {"name": "digitnet", "weights": "bundled"},
        "data": "digits",
        "space": "smoke",
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "training": {"epochs": 1},
        "budget": 2,
        "tracking": "none",
        "store": f"sqlite:///{tmp_path}/sweeps.db",
        "storage": str(tmp_path / "networks"),
    }
    file.write_text(yaml.safe_dump(content))
    return file


def test_a_dry_run_prints_what_would_be_sent(call: Call, sweep: Path) -> None:
    result = call("submit", sweep, "--dry-run", "--set", "seed=7")
    sent = json.loads(result.stdout)
    assert sent["files"] == ["sweep.yaml"]
    assert sent["entrypoint"] == 'paretune run "$PWD"/sweep.yaml --set seed=7'


def test_manifests_are_printed_for_kubectl(call: Call, sweep: Path) -> None:
    cluster = sweep.with_name("cluster.yaml")
    cluster.write_text(yaml.safe_dump({"image": "paretune:1", "volume": _claim(sweep)}))
    shown = call("submit", sweep, "--kuberay", "--cluster", cluster, "--dry-run")
    assert [each["kind"] for each in yaml.safe_load_all(shown.stdout)] == ["ConfigMap", "RayJob"]
    refused = call("submit", sweep, "--kuberay")
    assert refused.exit_code == 2
    assert "--cluster CLUSTER.yaml" in refused.stderr


def _claim(sweep: Path) -> dict[str, str]:
    return {"claim": "sweeps", "path": str(sweep.parent.parent)}


def test_without_a_job_server_the_sentence_says_how_to_start_one(call: Call, sweep: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = call("submit", sweep, "--address", address)
    assert result.exit_code == 1
    assert "paretune[cluster]" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a job server, of a head that knows the command."""
    if find_spec("aiohttp_cors") is None:
        pytest.skip("Ray is installed without its job server: pip install 'ray[default]'")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "paretune"
    start = "import sys; from orchestrator.cli.app import main; main()"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{start}' \"$@\"\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    # Each head of a test has a token of its own, as a cluster that is reached from elsewhere must.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    path = [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    ports = [free_port() for _ in range(3)]
    # A short path: the sockets of Ray lie in it.
    scratch = tempfile.mkdtemp(prefix="pj")
    address = f"http://127.0.0.1:{ports[1]}"
    head = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *(f"--port={ports[0]}", f"--dashboard-port={ports[1]}", "--num-cpus=2"),
            *("--dashboard-host=127.0.0.1", f"--temp-dir={scratch}"),
            # Another Ray of this machine may have the usual one.
            f"--dashboard-agent-listen-port={ports[2]}",
        ],
        env={**os.environ, **PATIENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(ports[1], head)
        # Its agent, which starts jobs, comes last.
        _wait_for(ports[2], head)
        yield address
    finally:
        head.terminate()
        head.wait(240)
        shutil.rmtree(scratch, ignore_errors=True)


def _wait_for(port: int, head: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        assert head.poll() is None, "the head ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the job server did not start within five minutes")


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.ray
def test_a_sweep_runs_as_a_job_and_submitting_it_again_goes_on(
    sweep: Path, server: str, tmp_path: Path
) -> None:
    def call(*words: object) -> "subprocess.CompletedProcess[str]":
        line = ["paretune", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)

    first = call("submit", sweep, "--address", server, "--follow")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "sent.attempt-1" in first.stdout
    assert "2 complete" in first.stdout
    # From another folder, as from another machine.
    moved = sweep.parent.rename(tmp_path / "elsewhere") / sweep.name
    again = call("submit", moved, "--address", server, "--follow")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "sent.attempt-2" in again.stdout
    listed = json.loads(call("jobs", "list", "--address", server, "--format", "json").stdout)
    assert [each["status"] for each in listed] == ["SUCCEEDED", "SUCCEEDED"]
    stopped = call("jobs", "stop", "sent.attempt-2", "--address", server)
    assert "has ended already" in stopped.stderr
    store = f"sqlite:///{tmp_path}/sweeps.db"
    trials = json.loads(call("trials", "sent", "--store", store, "--format", "json").stdout)
    assert [(each["state"], each["trial"]) for each in trials] == [
        ("complete", 0),
        ("complete", 1),
    ]
    _stopped_while_it_runs(call, moved, server, store)


def _stopped_while_it_runs(
    call: "Callable[..., subprocess.CompletedProcess[str]]", sweep: Path, server: str, store: str
) -> None:
    """Stop a job in the middle, and submit its sweep again: nothing is lost or run twice."""

    def trials() -> list[tuple[str, int]]:
        told = call("trials", "long", "--store", store, "--format", "json")
        listed = json.loads(told.stdout) if told.returncode == 0 else []
        return [(each["state"], each["trial"]) for each in listed]

    content = yaml.safe_load(sweep.read_text())
    width = {"type": "int", "low": 4, "high": 64}
    more = {
        "name": "long",
        "budget": 12,
        "training": {"epochs": 40},
        "space": {"fc_width_1": width},
    }
    sweep.write_text(yaml.safe_dump({**content, **more}))
    words = ("submit", sweep, "--address", server)
    assert call(*words).returncode == 0
    assert "one driver at a time" in call(*words).stderr
    while ("complete", 0) not in trials():
        status = call("jobs", "status", "long.attempt-1", "--address", server)
        assert status.stdout.startswith(("PENDING", "RUNNING")), status.stdout
    assert "Asked" in call("jobs", "stop", "long.attempt-1", "--address", server).stderr
    said = call("jobs", "logs", "long.attempt-1", "--follow", "--address", server)
    assert "long.attempt-1: STOPPED" in said.stderr
    # The driver ended by itself: it was not killed, and stored that it was interrupted.
    assert "long: interrupted" in said.stdout
    kept = [each for each in trials() if each[0] == "complete"]
    assert 0 < len(kept) < 12
    again = call(*words, "--follow")
    assert again.returncode == 0, again.stdout + again.stderr
    assert sorted(trials()) == [("complete", number) for number in range(12)]
    shown = call("show", "long", "0", "--store", store, "--format", "json")
    assert len(json.loads(shown.stdout)["attempts"]) == 1


@pytest.mark.slow
def test_a_sweep_is_created_followed_and_deleted_on_kubernetes(
    call: Call, sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kubernetes", reason="needs the package kubernetes: the extra kubernetes")
    programs = tmp_path / "programs"
    programs.mkdir()
    command = programs / "paretune"
    command.write_text("#!/bin/sh\necho would run: $*\n")
    command.chmod(0o755)
    there = Cluster(tmp_path, {"PATH": f"{programs}:/usr/bin:/bin"})
    server, kubeconfig = serve(there)
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig)
    )
    place = ("--kuberay", "--namespace", "sweeps")
    try:
        there.put("sweeps", "persistentvolumeclaims", {"metadata": {"name": "sweeps"}})
        settings = {"image": "paretune:1", "namespace": "sweeps", "volume": _claim(sweep)}
        cluster = sweep.with_name("cluster.yaml")
        cluster.write_text(yaml.safe_dump(settings))
        done = call("submit", sweep, "--kuberay", "--cluster", cluster, "--follow")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith("sent\nwould run: run ")
        assert "sent: SUCCEEDED" in done.stderr
        listed = json.loads(call("jobs", "list", *place, "--format", "json").stdout)
        assert [(each["id"], each["status"]) for each in listed] == [("sent", "SUCCEEDED")]
        assert call("jobs", "logs", "sent", *place).stdout.startswith("would run: run ")
        assert "has ended already" in call("jobs", "stop", "sent", *place).stderr
        assert "Deleted sent." in call("jobs", "delete", "sent", *place).stderr
        assert call("jobs", "status", "sent", *place).exit_code == 2
    finally:
        close(server, there)
