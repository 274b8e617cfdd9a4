"""The Dockerfile, as far as it can be judged without a container engine."""

import importlib.util
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DOCKER = REPOSITORY / "docker"
LOCK = DOCKER / "deployment.lock"


def _instructions() -> list[tuple[str, str]]:
    """Instructions with their arguments, comments left out and continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name, argument) for name, argument in words]


def _arguments(name: str) -> list[str]:
    return [argument for each, argument in _instructions() if each == name]


def test_it_consists_of_known_instructions_and_begins_with_its_base() -> None:
    names = [name for name, _ in _instructions()]
    known = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "CMD", "LABEL"}
    assert set(names) <= known | {"HEALTHCHECK"}
    assert names[:2] == ["ARG", "FROM"]
    # One base, which a builder may name by its digest, for both stages.
    assert _arguments("ARG")[0] == "PYTHON_IMAGE=python:3.11-slim"
    assert _arguments("FROM") == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]


def test_no_entry_point_stands_before_the_command_of_kuberay() -> None:
    assert "ENTRYPOINT" not in [name for name, _ in _instructions()]
    assert json.loads(_arguments("CMD")[-1]) == ["paretune", "--help"]


def test_it_does_not_run_as_root() -> None:
    users = _arguments("USER")
    assert users
    assert users[-1] not in ("root", "0")
    # A number: Kubernetes cannot tell whether a name is root's.
    assert users[-1].isdigit()


def test_what_it_copies_exists_and_is_not_ignored() -> None:
    kept = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = [each for each in _arguments("COPY") if "--from=" not in each]
    words = {word for each in copies for word in each.split()[:-1]}
    sources = {word for word in words if not word.startswith("--")}
    assert {"search_spaces", "trainers", "orchestrator", "docker/deployment.lock"} <= sources
    assert sources == kept
    for source in sources:
        assert (REPOSITORY / source).exists(), source


def test_its_state_lies_in_a_volume_and_so_does_the_home_of_a_user_without_a_name() -> None:
    environment = dict(item.split("=", 1) for line in _arguments("ENV") for item in line.split())
    assert environment["PARETUNE_HOME"] in _arguments("VOLUME")
    assert environment["HOME"] in _arguments("VOLUME")
    assert environment["USER"]


def test_its_shell_commands_parse() -> None:
    for command in _arguments("RUN"):
        ended = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


def _installed(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the installing instruction with a pip that does nothing."""
    (folder / "deployment.lock").write_text(LOCK.read_text())
    (install,) = [command for command in _arguments("RUN") if "TORCH_INDEX_URL" in command]
    (folder / "pip").write_text("#!/bin/sh\necho pip $*\n")
    (folder / "pip").chmod(0o755)
    given = {"PATH": f"{folder}:/usr/bin:/bin", "TORCH_INDEX_URL": "", **environment}
    words = ["sh", "-ec", install]
    return subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True)


def test_for_cpus_the_lock_file_splits_into_torch_and_all_but_cuda(tmp_path: Path) -> None:
    done = _installed(tmp_path, VARIANT="cpu", TORCH_INDEX_URL="URL")
    assert done.returncode == 0, done.stderr
    torch = (tmp_path / "torch.txt").read_text().splitlines()
    others = (tmp_path / "others.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in torch} == {"torch", "torchvision"}
    left_out = {*LOCK.read_text().splitlines()} - {*torch, *others}
    assert left_out
    for line in left_out:
        assert re.match(r"nvidia-|cuda-|triton=", line), line
    assert not any(re.match(r"nvidia-|cuda-|torch=", line) for line in others)
    assert "ray" in {line.partition("==")[0] for line in others}


def test_the_variant_with_cuda_installs_the_whole_lock_file(tmp_path: Path) -> None:
    done = _installed(tmp_path, VARIANT="cuda")
    assert done.stdout == "pip install -r deployment.lock\n"


@pytest.mark.parametrize(("variant", "told"), [("cpu", "TORCH_INDEX_URL"), ("gpu", "not gpu")])
def test_a_variant_that_cannot_be_built_is_told(tmp_path: Path, variant: str, told: str) -> None:
    done = _installed(tmp_path, VARIANT=variant)
    assert done.returncode == 2
    assert told in done.stderr


def _pinned(path: Path) -> dict[str, str]:
    lines = [line.partition(";")[0].strip() for line in path.read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


def test_the_image_has_the_versions_that_the_tests_have() -> None:
    deployed, tested = _pinned(LOCK), _pinned(REPOSITORY / "requirements.lock")
    differing = {
        name: (version, tested[name])
        for name, version in deployed.items()
        if name in tested and tested[name] != version
    }
    assert not differing, "docs/decisions/0006 says how docker/deployment.lock is made anew"


def test_the_image_has_a_job_server_and_drivers_and_no_tools_of_developers() -> None:
    names = set(_pinned(LOCK))
    assert {"aiohttp-cors", "s3fs", "psycopg-binary", "timm", "flask-wtf"} <= names
    assert not {"pytest", "mypy", "ruff", "hypothesis", "moto", "import-linter", "build"} & names


def _healthy() -> Any:
    spec = importlib.util.spec_from_file_location("paretune_healthy", DOCKER / "healthy.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("python /bin/ray start --block --address=a:1", ["52365/api/local_raylet_healthz"]),
        (
            "python /bin/ray start --head --dashboard-port 9000 --dashboard-agent-listen-port=7",
            ["7/api/local_raylet_healthz", "9000/api/gcs_healthz"],
        ),
        ("python /bin/mlflow server --port 5001", ["5001/health"]),
        ("paretune run sweep.yaml", []),
    ],
)
def test_health_is_asked_of_what_runs(line: str, asked: list[str]) -> None:
    addresses = list(_healthy().questions([line.split()]))
    assert addresses == [f"http://127.0.0.1:{each}" for each in asked]


def test_what_does_not_answer_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert not _healthy().answered(f"http://127.0.0.1:{port}/health")


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "py.typed"])
def test_the_folder_is_no_python_package(name: str) -> None:
    assert not (DOCKER / name).exists()


def test_mlflow_still_finds_the_docker_package() -> None:
    question = "import docker; print(docker.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", question], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert str(DOCKER) not in ended.stdout
