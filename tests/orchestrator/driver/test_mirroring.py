"""The end of a run: what is loaded for it, and a tracker that does not answer."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.contracts.progress import Silent
from orchestrator.driver.mirroring import mirrored
from orchestrator.errors import ClusterLostError, OrchestratorError
from orchestrator.spec.files import load_sweep
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.tracking import BackgroundMirror

# Ray's library (2.60) ends a process that has had no head for so long, of which the watch for the
# head takes at most 15.
RAY_WAITS_S = 60.0


@pytest.mark.parametrize("error", [ClusterLostError, OrchestratorError])
def test_without_a_head_a_run_does_not_wait_for_its_tracker_until_ray_ends_it(
    error: type[OrchestratorError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def close(self: BackgroundMirror, seconds: float) -> int:
        waited.append(seconds)
        return 0

    monkeypatch.setattr(BackgroundMirror, "close", close)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    spec = load_sweep("examples/sweeps/digits.yaml", settings=["tracking=none"])
    with pytest.raises(error), mirrored(spec, store, Silent(), StateFolder(tmp_path)):
        raise error("gone")
    assert len(waited) == 1
    assert (waited[0] + 15 < RAY_WAITS_S) is (error is ClusterLostError)


PROGRAM = """
import sys, threading
from orchestrator.driver.mirroring import load_report
from orchestrator.spec.files import load_sweep
load_report(load_sweep("examples/sweeps/digits.yaml", settings=sys.argv[1:]))
for each in threading.enumerate():
    if each.name == "report-warm-up":
        each.join()
print("orchestrator.reporting.sweep_report" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "loaded"), [("mlflow", "True"), ("none", "False")])
def test_what_draws_the_report_is_loaded_where_one_is_kept(kind: str, loaded: str) -> None:
    words = [sys.executable, "-c", PROGRAM, f"tracking={kind}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{loaded}\n"), done.stderr
