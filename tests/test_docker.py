"""The Dockerfile, as far as it can be judged without a container engine."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DOCKER = REPOSITORY / "docker"


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
    known = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    assert set(names) <= known
    assert names[0] == "FROM"
    assert _arguments("FROM") == ["python:3.11-slim"]


def test_it_does_not_run_as_root() -> None:
    users = _arguments("USER")
    assert users
    assert users[-1] not in ("root", "0")
    names = [name for name, _ in _instructions()]
    assert names.index("ENTRYPOINT") > names.index("USER")


def test_what_it_copies_exists_and_is_not_ignored() -> None:
    kept = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    sources = {source for argument in _arguments("COPY") for source in argument.split()[:-1]}
    assert {"search_spaces", "trainers", "orchestrator", "requirements.lock"} <= sources
    assert sources == kept
    for source in sources:
        assert (REPOSITORY / source).exists(), source


def test_it_starts_paretune_on_a_volume() -> None:
    (entrypoint,) = _arguments("ENTRYPOINT")
    assert json.loads(entrypoint) == ["paretune"]
    environment = dict(item.split("=", 1) for line in _arguments("ENV") for item in line.split())
    assert environment["PARETUNE_HOME"] in _arguments("VOLUME")


def test_its_shell_commands_parse() -> None:
    for command in _arguments("RUN"):
        ended = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


def test_the_lock_file_splits_into_torch_and_all_but_cuda(tmp_path: Path) -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    (tmp_path / "requirements.lock").write_text(lock)
    (install,) = [command for command in _arguments("RUN") if "TORCH_INDEX_URL" in command]
    (tmp_path / "pip").write_text("#!/bin/sh\n")
    (tmp_path / "pip").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TORCH_INDEX_URL": "URL"}
    subprocess.run(["sh", "-ec", install], cwd=tmp_path, env=environment, check=True)

    torch = (tmp_path / "torch.txt").read_text().splitlines()
    others = (tmp_path / "others.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in torch} == {"torch", "torchvision"}
    left_out = {*lock.splitlines()} - {*torch, *others}
    assert left_out
    for line in left_out:
        assert re.match(r"nvidia-|cuda-|triton=", line), line
    assert not any(re.match(r"nvidia-|cuda-|torch=", line) for line in others)
    assert "ray" in {line.partition("==")[0] for line in others}


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
