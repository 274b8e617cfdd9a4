"""A real driver in a process of its own: it is asked to stop, or it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app
from orchestrator.errors import OrchestratorError
from orchestrator.queries.sweeps import open_sweep
from orchestrator.trials import FailureKind, TrialState

PROGRAM = """
import json, sys
from orchestrator.execution.inline import InlineExecutor
from orchestrator.driver.running import run
from orchestrator.spec.sweep_spec import SweepSpec
print(run(SweepSpec.model_validate(json.loads(sys.argv[1])), executor=InlineExecutor).interrupted)
"""
SPEC = {
    "name": "long",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits", "limit": 200},
    "space": {"fc_width_1": {"type": "int", "low": 4, "high": 64}},
    "training": {"epochs": 10_000, "tune": "all"},
    "objectives": {"accuracy": "maximize"},
    "tracking": {"kind": "none"},
}


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    # It looks four times in this whether it was asked to stop, and may be late by as much.
    monkeypatch.setenv("PARETUNE_LEASE_S", "12")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(SPEC)],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not has_reported():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def has_reported() -> bool:
    try:
        return bool(open_sweep("long").store.reports("long", 0))
    except OrchestratorError:  # neither the store nor the trial is there yet
        return False


@pytest.mark.slow
def test_a_driver_that_is_asked_to_stop_interrupts_its_sweep(
    driver: subprocess.Popen[str],
) -> None:
    asked = invoke("stop", "long")
    assert asked.exit_code == 0, asked.output
    assert f":{driver.pid}:" in asked.stderr
    output, _ = driver.communicate(timeout=300)
    assert (driver.returncode, output) == (0, "True\n")
    sweep = open_sweep("long")
    assert sweep.record.stop_reason.startswith("stopped by ")
    assert sweep.trial(0).state is TrialState.INTERRUPTED
    again = invoke("stop", "long")
    assert again.exit_code == 1
    assert "No driver runs 'long': it is interrupted (stopped by" in again.stderr


@pytest.mark.slow
def test_a_sweep_whose_driver_was_killed_is_not_shown_as_running(
    driver: subprocess.Popen[str],
) -> None:
    assert json.loads(invoke("status", "long", "--format", "json").stdout)["state"] == "running"
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    (listed,) = json.loads(invoke("list", "--format", "json").stdout)
    status = json.loads(invoke("status", "long", "--format", "json").stdout)
    for record in (listed, status):
        assert record["state"] == "interrupted"
        assert f":{driver.pid}:" in record["stop_reason"]
        assert "was last heard of" in record["stop_reason"]
    stopped = invoke("stop", "long")
    assert stopped.exit_code == 1
    assert "paretune resume long" in stopped.stderr
    # The next driver writes down what became of the attempt.
    open_sweep("long").store.take("long", "somebody").interrupt_running()
    status = json.loads(invoke("status", "long", "--format", "json").stdout)
    assert status["failures"] == {FailureKind.INTERRUPTED.value: 1}
