"""A project may lie in a folder of any name: what MLflow has of it lies there too."""

import shutil
import tempfile
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from orchestrator.queries.sweeps import open_sweep, pareto_front
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.tracking import build_mirror
from tests.orchestrator.test_addresses import AWKWARD, NAMES
from tests.orchestrator.tracking.conftest import SWEEP, Driver

pytestmark = pytest.mark.mlflow


def mirrored_front(project: Path, ready: Path | None) -> None:
    """Mirror a sweep of a project, and read its front back through the tracking URI."""
    state = StateFolder(project / ".paretune")
    packed = project / "packed"
    packed.mkdir(parents=True)
    store = open_store(state.store_url)
    driver = Driver(store, packed)
    driver.complete(0.9, 1_000)
    driver.complete(0.8, 900)
    driver.fail()
    driver.finish()
    if ready is not None:
        shutil.copy(ready, state.tracking_database)
    mirror = build_mirror("mlflow", store, experiment=SWEEP, state=state)
    assert mirror.drain(SWEEP) == 4
    front = pareto_front(tracking_uri=state.tracking_uri, experiment=SWEEP)
    assert front.members == open_sweep(SWEEP, store).front().members
    assert len(front) == 2
    store.close()
    packed_in_mlflow = list(state.tracking_artifacts.rglob("*.safetensors"))
    assert len(packed_in_mlflow) == 2


def check_nothing_lies_beside(name: str, ready: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        elsewhere = root / "elsewhere"
        elsewhere.mkdir()
        with chdir(elsewhere):
            mirrored_front(root / name, ready)
        assert {each.name for each in root.iterdir()} == {"elsewhere", name}
        assert list(elsewhere.iterdir()) == []


@given(name=NAMES.filter(lambda name: name != "elsewhere"))
@example(name=AWKWARD)
@example(name="100%25")
@settings(max_examples=4)
def test_the_front_read_from_mlflow_is_the_stores_in_a_folder_of_any_name(
    name: str, empty_mlflow: Path
) -> None:
    check_nothing_lies_beside(name, empty_mlflow)


@pytest.mark.serial
def test_a_database_that_mlflow_makes_lies_in_a_folder_of_any_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What is made on the way lies in a temporary folder, whose name is as strange.
    temporary = tmp_path / AWKWARD
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    check_nothing_lies_beside(AWKWARD, None)
    assert [each.name for each in tmp_path.iterdir()] == [AWKWARD]
