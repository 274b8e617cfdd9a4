"""The batch script for Slurm: what it starts where, and how it ends."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "slurm" / "sweep.sbatch"
# Stands for each program: writes down how it was called, and waits or ends as its name says.
PROGRAM = """#!/bin/bash
printf '%s\\n' "$(basename "$0") $*${RAY_AUTH_TOKEN:+ token=${#RAY_AUTH_TOKEN}}" >> "$CALLS"
case "$(basename "$0") $1" in
    "scontrol show") printf 'n1\\nn2\\nn3\\n' ;;
    "srun "*) while [[ "$1" == --* ]]; do shift; done; exec "$@" ;;
    "ray start") exec sleep 60 ;;
    "paretune run") trap 'exit 130' TERM; touch "$CALLS.started"
        if [ -n "$QUICK" ]; then
            until [ "$(grep -c ^srun "$CALLS")" = 3 ]; do sleep 0.05; done; exit 0
        fi; sleep 60 & wait $! ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name in ("scontrol", "srun", "ray", "paretune"):
        (tmp_path / name).write_text(PROGRAM)
        (tmp_path / name).chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "SLURM_JOB_ID": "20017",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_GPUS_ON_NODE": "1",
        "QUICK": "",
    }


def _calls(environment: dict[str, str]) -> list[str]:
    return Path(environment["CALLS"]).read_text().splitlines()


def _node(call: str) -> str:
    return call.partition("--nodelist=")[2][:2]


def test_a_head_and_workers_start_with_what_slurm_gave_and_the_driver_joins_them(
    environment: dict[str, str],
) -> None:
    words = ["bash", str(SCRIPT), "sweep.yaml", "--name", "mine"]
    done = subprocess.run(
        words, env={**environment, "QUICK": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    calls = _calls(environment)
    size = "--num-cpus=8 --num-gpus=1"
    (run,) = [each for each in calls if each.startswith("paretune run")]
    assert run == "paretune run sweep.yaml --name mine --address=n1:20017 token=64"
    started = sorted((each for each in calls if each.startswith("srun")), key=_node)
    assert [_node(each) for each in started] == ["n1", "n2", "n3"]
    head = "--head --block --port=20017 --temp-dir=/tmp/ray-20017 --include-dashboard=false"
    assert f"ray start {head} --dashboard-port=40017 {size}" in started[0]
    for each in started[1:]:
        assert f"ray start --block --address=n1:20017 {size}" in each
    assert all("token=64" in each for each in started)
    assert not any("requeue" in each for each in calls)


def test_a_job_whose_time_is_over_interrupts_the_run_and_is_queued_again(
    environment: dict[str, str],
) -> None:
    script = subprocess.Popen(
        ["bash", str(SCRIPT), "sweep.yaml"], env=environment, start_new_session=True
    )
    try:
        while not Path(environment["CALLS"] + ".started").exists():
            assert script.poll() is None
            time.sleep(0.05)
        script.send_signal(signal.SIGTERM)
        assert script.wait(300) == 130
        assert "scontrol requeue 20017 token=64" in _calls(environment)
    finally:
        if script.poll() is None:
            os.killpg(script.pid, signal.SIGKILL)
            script.wait()


def test_without_a_sweep_file_it_says_how_to_call_it(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "usage: sbatch" in done.stderr
