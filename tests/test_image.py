"""The image as it was built: what it runs as any user, with a read-only root file system."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

IMAGE = os.environ.get("PARETUNE_TEST_IMAGE", "")
ENGINE = next(filter(None, map(shutil.which, ("docker", "podman"))), None)
pytestmark = [
    pytest.mark.skipif(
        not IMAGE,
        reason="needs an image of gigabytes that was built: PARETUNE_TEST_IMAGE=paretune names it",
    ),
    pytest.mark.skipif(ENGINE is None, reason="needs docker or podman"),
    pytest.mark.serial,
]
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


def _run(*words: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    options = ["--rm", "--user", "4711", "--read-only", "--tmpfs", "/tmp:mode=1777"]  # noqa: S108
    options += ["--shm-size", "1g", "--network", "none"]
    # Arguments that an engine needs here, as a runtime or limits.
    options += os.environ.get("PARETUNE_TEST_IMAGE_OPTIONS", "").split()
    if folder:
        options += ["--volume", f"{folder}:/sweeps:ro"]
    line = [str(ENGINE), "run", *options, IMAGE, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=900, check=False)


def test_a_sweep_runs_as_any_user_and_its_front_is_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(SWEEP))
    both = "id -u; paretune run smoke.yaml && paretune front smoke --format json"
    done = _run("bash", "-c", both, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4711\n")
    assert "smoke: 3 complete" in done.stdout
    front = done.stdout[done.stdout.index("\n[") :] if "\n[" in done.stdout else ""
    assert json.loads(front)


def test_ray_starts_without_an_entry_point_in_its_way_and_is_healthy() -> None:
    start = (
        "ray start --head --num-cpus=1 --object-store-memory=100000000 > /dev/null && "
        "for _ in $(seq 60); do wget -q -O- http://127.0.0.1:52365/api/local_raylet_healthz "
        "&& break; sleep 1; done; ray stop > /dev/null"
    )
    done = _run("bash", "-c", start)
    assert "success" in done.stdout, done.stdout + done.stderr


def test_it_has_no_tools_of_developers() -> None:
    asked = "import importlib.util as u; print([n for n in ('pytest', 'mypy') if u.find_spec(n)])"
    assert _run("python", "-c", asked).stdout == "[]\n"
