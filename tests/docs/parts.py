"""What the tests of the guides to a user's own parts have in common."""

import subprocess
import sys
from pathlib import Path

from orchestrator.driver.preflight import check
from orchestrator.driver.running import run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.trials import Trial, TrialState

SMALL = ["data.limit=150", "tracking=none"]


def checked(folder: Path) -> tuple[list[str], list[str]]:
    """What `paretune check` says of code of one's own, and its problems."""
    report = check(load_sweep(folder / "sweep.yaml", settings=SMALL))
    return [text for label, text in report.lines if label == "own code"], report.problems


def ran(folder: Path, *settings: str, trials: int | None = None) -> list[Trial]:
    """Run the sweep of a guide, smaller, and return its complete trials."""
    spec = load_sweep(folder / "sweep.yaml", settings=[*SMALL, *settings], trials=trials)
    run(spec, executor=InlineExecutor)
    return [t for t in open_sweep(spec.name).trials() if t.state is TrialState.COMPLETE]


def contract_passes(folder: Path, test: str) -> bool:
    """Run the contract that a guide shows, as its reader would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return " passed" in ended.stdout


def changed(file: Path, before: str = "", after: str = "# another content\n") -> None:
    """Change code of one's own."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after) if before else text + after)
