"""The stack of docker/compose.yaml, started: a job is submitted, its front read, and all ends."""

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.servers import free_port, mlflow_client
from tests.test_image import SWEEP

COMPOSE = shlex.split(os.environ.get("PARETUNE_TEST_COMPOSE", ""))
FILE = Path(__file__).resolve().parent.parent / "docker" / "compose.yaml"
SECRETS = (
    "POSTGRES_PASSWORD",
    "MLFLOW_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "RAY_AUTH_TOKEN",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
)
PORTS = ("POSTGRES_PORT", "S3_PORT", "MLFLOW_PORT", "DASHBOARD_PORT")
LONGEST_S = 600.0
pytestmark = [
    pytest.mark.skipif(
        not COMPOSE,
        reason="starts seven containers of images that are there: PARETUNE_TEST_COMPOSE='docker "
        "compose' or podman-compose, with PARETUNE_IMAGE, POSTGRES_IMAGE and SEAWEEDFS_IMAGE",
    ),
    pytest.mark.serial,
]


@dataclass(frozen=True)
class Stack:
    """The running stack.

    Attributes:
        given: Passwords and ports.
        words: The command that all others of this stack begin with.
    """

    given: Mapping[str, str]
    words: tuple[str, ...]

    def compose(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        line = [*self.words, *words]
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=2 * LONGEST_S, check=False
        )
        print("$ compose", *words, done.stdout, done.stderr, sep="\n")  # noqa: T201 - if it fails
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def wait_for_health(self, service: str) -> None:
        until = time.monotonic() + LONGEST_S
        asked = ("exec", "-T", service, "paretune-healthy")
        while self.compose(*asked, check=False).returncode:
            assert time.monotonic() < until, self.compose("logs", check=False).stdout
            time.sleep(5)  # each question is a process in the container

    def paretune(self, folder: Path, *words: str) -> str:
        """Run a command on this machine, which the job did not run on."""
        own = {
            "PARETUNE_HOME": str(folder / "state"),
            "PARETUNE_STORE": f"postgresql+psycopg://paretune:{self.given['POSTGRES_PASSWORD']}"
            f"@127.0.0.1:{self.given['POSTGRES_PORT']}/sweeps",
            "AWS_ACCESS_KEY_ID": self.given["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.given["S3_SECRET_KEY"],
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.given['S3_PORT']}",
        }
        program = "from orchestrator.cli.app import main; main()"
        line = [sys.executable, "-c", program, *words]
        done = subprocess.run(
            line, env={**os.environ, **own}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("compose")
    sweeps = folder / "sweeps"
    sweeps.mkdir()
    # Another user reads it.
    for each in (sweeps, *sweeps.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    sweep = {key: value for key, value in SWEEP.items() if key != "tracking"}
    (sweeps / "smoke.yaml").write_text(yaml.safe_dump(sweep))
    given = {name: secrets.token_hex(16) for name in SECRETS}
    given |= {name: str(free_port()) for name in PORTS}
    given |= {"SWEEPS": str(sweeps), "SWEEP": "smoke.yaml"}
    given |= {"WORKERS": "2", "RAY_SHM": "512m", "RAY_OBJECT_STORE": "200000000"}
    file = folder / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    options = ("-p", "paretune-test", "-f", str(FILE), "--env-file", str(file))
    made = Stack(given, (*COMPOSE, *options))
    try:
        made.compose("up", "--detach")
        yield made
    finally:
        made.compose("down", "--volumes")
        assert made.compose("ps", "--quiet").stdout.split() == []


def test_a_submitted_sweep_is_read_from_outside(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ("head", "mlflow"):
        stack.wait_for_health(service)
    done = stack.compose("--profile", "submit", "run", "--rm", "-T", "submit")
    assert "smoke: 3 complete, 0 stopped early, 0 failed" in done.stdout
    front = json.loads(stack.paretune(tmp_path, "front", "smoke", "--format", "json"))
    assert front
    best = str(front[0]["trial"])
    stack.paretune(tmp_path, "export", "smoke", best, "--to", str(tmp_path / "best"))
    network = tmp_path / "best" / "model.safetensors"
    assert network.stat().st_size == front[0]["values"]["memory_bytes"]
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "paretune")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", stack.given["MLFLOW_PASSWORD"])
    client = mlflow_client(f"http://127.0.0.1:{stack.given['MLFLOW_PORT']}")
    experiment = client.get_experiment_by_name("smoke")
    # The sweep's, and one of each trial.
    assert len(client.search_runs([experiment.experiment_id])) == 4


def test_no_process_shows_a_password(stack: Stack) -> None:
    shown = ""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            shown += file.read_bytes().decode(errors="replace").replace("\0", " ")
    if "mlflow server" not in shown:
        pytest.skip("needs an engine whose containers are processes of this machine")
    assert [name for name in SECRETS if stack.given[name] in shown] == []
