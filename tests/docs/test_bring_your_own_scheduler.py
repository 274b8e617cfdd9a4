"""A sweep that follows the guide to a scheduler of one's own stops trials, and goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.driver.preflight import check
from orchestrator.driver.running import run
from orchestrator.errors import SweepExistsError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.trials import TrialState

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "bring-your-own-scheduler.md"
SMALL = ["data.limit=150", "tracking=none"]


def test_its_sweep_stops_trials_and_is_refused_with_other_code(folder: Path) -> None:
    file = folder / "sweep.yaml"
    assert check(load_sweep(file, settings=SMALL)).problems == []
    run(load_sweep(file, settings=SMALL, trials=2), executor=InlineExecutor)
    states = [trial.state for trial in open_sweep("my-scheduler").trials()]
    # After two epochs from scratch no network has 90 %.
    assert states == [TrialState.STOPPED] * 2
    code = folder / "my_scheduler.py"
    code.write_text(code.read_text() + "\n# another content\n")
    with pytest.raises(SweepExistsError, match="other code of its scheduler"):
        run(load_sweep(file, settings=SMALL, trials=3), executor=InlineExecutor)


def test_check_says_which_promise_is_broken(folder: Path) -> None:
    code = folder / "my_scheduler.py"
    code.write_text(code.read_text().replace('.get("accuracy", 1.0)', '["accuracy"]'))
    (problem,) = check(load_sweep(folder / "sweep.yaml", settings=SMALL)).problems
    assert "after epoch 2, and raised KeyError: 'accuracy'" in problem


@pytest.mark.slow
def test_the_contract_of_the_guide_is_kept(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*command, "test_my_scheduler.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
