"""From a judgement to a sweep over reuse policies, interrupted and resumed: by commands alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

Call = Callable[..., Result]

STOP = """
import os, signal
from pathlib import Path

class Stop:
    def on_trial_end(self, trial):
        mark = Path(__file__).with_name("stopped")
        if trial.number == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGINT)
"""
SWEEP = {
    "name": "policies",
    "backbone": {
        "name": "digitnet",
        "weights": "bundled",
        "policy": "judged",
        "verdict": "reuse.json",
    },
    "data": {"name": "digits", "limit": 100},
    "training": {"tune": "all", "epochs": 1},
    "space": {"policy": {"type": "choice", "values": ["all", "judged", "none"]}},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "sampler": "grid",
    "budget": {"trials": 3},
    "execution": "inline",
    "callbacks": ["stop:Stop"],
    "tracking": {"kind": "none"},
}


@pytest.mark.slow
def test_a_judgement_becomes_an_axis_that_is_searched_to_its_end(
    call: Call, home: Path, tmp_path: Path
) -> None:
    words = ("bundled", "finetuned", "--backbone", "digitnet", "--data", "digits")
    quick = ("--limit", 100, "--seeds", 1, "--epochs", 1)
    judged = call("analyze", "reuse", *words, *quick, "--format", "json")
    assert judged.exit_code == 0, judged.stderr
    (tmp_path / "reuse.json").write_text(judged.stdout)
    (tmp_path / "stop.py").write_text(STOP)
    sweep = tmp_path / "policies.yaml"
    sweep.write_text(yaml.safe_dump(SWEEP))
    assert "reuse" in call("check", sweep).stdout
    interrupted = call("run", sweep)
    assert interrupted.exit_code == 130
    assert "paretune resume policies" in interrupted.stdout + interrupted.stderr
    resumed = call("resume", "policies")
    assert resumed.exit_code == 0, resumed.stderr
    told = resumed.stdout + resumed.stderr
    assert "2 of them done before" in told
    assert "policies: 3 complete" in told
    rows = yaml.safe_load(call("trials", "policies", "--format", "json").stdout)
    assert {row["params"]["policy"] for row in rows} == {"all", "judged", "none"}
