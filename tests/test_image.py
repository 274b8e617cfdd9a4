"""The image, built or as it was built: it runs as any user, on a read-only root file system."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

IMAGE = os.environ.get("PARETUNE_TEST_IMAGE", "")
BUILD = shlex.split(os.environ.get("PARETUNE_TEST_BUILD", ""))
REPOSITORY = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.skipif(
        not IMAGE and not BUILD,
        reason="takes gigabytes: PARETUNE_TEST_BUILD='docker build' builds an image, "
        "PARETUNE_TEST_IMAGE=paretune names one that was built",
    ),
    pytest.mark.serial,
]
InContainer = Callable[..., "subprocess.CompletedProcess[str]"]
SWEEP = {
    "name": "smoke",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": "digits",
    "space": "smoke",
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "training": {"epochs": 1},
    "budget": 3,
    "tracking": "none",
}


@pytest.fixture(scope="module")
def engine() -> str:
    for name in filter(shutil.which, ("docker", "podman")):
        # A client may be there whose daemon is not.
        if subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    pytest.skip("needs docker or podman, and that it runs")


@pytest.fixture(scope="module")
def image() -> str:
    if not BUILD:
        return IMAGE
    name = IMAGE or "paretune-test"
    line = [*BUILD, "-f", "docker/Dockerfile", "-t", name, "."]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return name


@pytest.fixture(scope="module")
def in_container(engine: str, image: str) -> InContainer:
    return partial(_run, engine, image)


def _run(
    engine: str, image: str, *words: str, folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    options = ["--rm", "--user", "4711", "--read-only", "--tmpfs", "/tmp:mode=1777"]  # noqa: S108
    options += ["--shm-size", "1g", "--network", "none"]
    # Arguments that an engine needs here, as a runtime or limits.
    options += os.environ.get("PARETUNE_TEST_IMAGE_OPTIONS", "").split()
    if folder:
        options += ["--volume", f"{folder}:/sweeps:ro"]
    line = [engine, "run", *options, image, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=900, check=False)


def test_a_sweep_runs_as_any_user_and_its_front_is_there(
    in_container: InContainer, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(SWEEP))
    both = "id -u; touch /usr/x; paretune run smoke.yaml && paretune front smoke --format json"
    done = in_container("bash", "-c", both, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4711\n")
    assert "cannot touch '/usr/x': Read-only file system" in done.stderr
    assert "smoke: 3 complete" in done.stdout
    front = done.stdout[done.stdout.index("\n[") :] if "\n[" in done.stdout else ""
    assert json.loads(front)


def test_ray_starts_without_an_entry_point_in_its_way_and_is_healthy(
    in_container: InContainer,
) -> None:
    start = (
        "ray start --head --num-cpus=1 --object-store-memory=100000000 > /dev/null && "
        "for _ in $(seq 60); do wget -q -O- http://127.0.0.1:52365/api/local_raylet_healthz "
        "&& break; sleep 1; done; ray stop > /dev/null"
    )
    done = in_container("bash", "-c", start)
    assert "success" in done.stdout, done.stdout + done.stderr


def test_it_has_no_tools_of_developers(in_container: InContainer) -> None:
    asked = "import importlib.util as u; print([n for n in ('pytest', 'mypy') if u.find_spec(n)])"
    assert in_container("python", "-c", asked).stdout == "[]\n"
