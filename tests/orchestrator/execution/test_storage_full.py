"""A disk without space, in a trial and under the store: real errors of a real kernel and SQLite.

``/dev/full`` refuses every byte on any Linux, but only for what is written through a path that a
test can know. A small tmpfs refuses anything in it, but needs the right to mount.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from orchestrator.contracts import Store
from orchestrator.driver.running import run
from orchestrator.errors import StorageFullError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.storage.sql_store import SqlStore
from orchestrator.trials import FailureKind, SweepState, TrialState
from trainers.files.trial_folder import ARTIFACT_NAME, PREDICTIONS_NAME
from trainers.files.whole_file import unfinished_beside

MakeSpec = Callable[..., SweepSpec]


def assert_ended_cleanly(store: Store, trial: int) -> None:
    record = store.sweep("tiny")
    assert (record.state, record.stop_reason) == (SweepState.INTERRUPTED, "Storage is full")
    (attempt,) = store.attempts("tiny", trial)
    assert attempt.state is TrialState.INTERRUPTED
    assert attempt.failure is not None
    assert attempt.failure.kind is FailureKind.STORAGE_FULL
    assert not list(StateFolder.find().root.rglob(".*"))


def assert_goes_on(store: Store, spec: SweepSpec) -> None:
    result = run(spec, store=store, executor=InlineExecutor)
    assert (result.complete, result.failed) == (3, 0)
    assert store.failures("tiny") == {FailureKind.STORAGE_FULL: 1}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_trial_that_finds_no_space_ends_the_sweep_which_goes_on_later(
    store: Store, make_spec: MakeSpec
) -> None:
    folder = StateFolder.find().trial_folder("tiny", 1)
    folder.mkdir(parents=True)
    unfinished_beside(folder / PREDICTIONS_NAME).symlink_to("/dev/full")
    spec = make_spec()
    with pytest.raises(StorageFullError, match=r"No space left .* bytes free.*resume tiny"):
        run(spec, store=store, executor=InlineExecutor)
    assert store.trial("tiny", 0).state is TrialState.COMPLETE
    assert len(store.trials("tiny")) == 2
    assert_ended_cleanly(store, 1)
    assert_goes_on(store, spec)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 100 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_on_a_disk_that_is_too_small_nothing_half_written_stays(
    tmp_path: Path, small_disk: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(small_disk))
    store = open_store(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with pytest.raises(StorageFullError, match=rf"{small_disk} has [\d,]+ bytes free"):
        run(make_spec(), store=store, executor=InlineExecutor)
    last = len(store.trials("tiny")) - 1
    assert_ended_cleanly(store, last)
    assert not list(small_disk.rglob(f"{last:05d}/{ARTIFACT_NAME}"))
    # Somebody makes space.
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    assert_goes_on(store, make_spec())
    store.close()


@pytest.mark.slow
def test_a_store_without_space_says_so_and_keeps_what_it_has(
    store: Store, make_spec: MakeSpec
) -> None:
    assert isinstance(store, SqlStore)
    engine = store._database._engine
    limit: list[int] = [2**30]

    def limited(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit[0]}")  # type: ignore[attr-defined]

    # SQLite's own error for a full disk, made by its own limit of the file's size.
    event.listen(engine, "connect", limited)
    spec = make_spec(budget={"trials": 24}, training={"epochs": 1})
    with store._database.reading() as connection:
        limit[0] = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 2
    store.close()
    with pytest.raises(StorageFullError, match=r"The disk of the store .* is full"):
        run(spec, store=store, executor=InlineExecutor)
    before = store.trials("tiny", [TrialState.COMPLETE])
    limit[0] = 2**30
    store.close()
    result = run(spec, store=store, executor=InlineExecutor)
    assert result.complete == 24
    for trial in before:
        after = store.trial("tiny", trial.number)
        assert (after.attempts, after.artifact) == (trial.attempts, trial.artifact)
        assert after.values.items() >= trial.values.items()
