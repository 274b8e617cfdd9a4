"""The end of a run whose tracker does not answer."""

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
