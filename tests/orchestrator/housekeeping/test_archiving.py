"""Archived, deleted and restored in another folder, a sweep is what it was; at any interruption
nothing is lost."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Store
from orchestrator.errors import LeaseHeldError, OrchestratorError, SweepExistsError, UsageError
from orchestrator.housekeeping.archiving import archive_sweep
from orchestrator.housekeeping.deletion import delete_sweep
from orchestrator.housekeeping.restoring import restore_sweep
from orchestrator.housekeeping.sweep_archive import read_manifest
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from tests.orchestrator.housekeeping.conftest import Make
from tests.orchestrator.housekeeping.remains import files_in, killed_at_each_step, stored


@pytest.fixture
def other(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "other machine" / "state")


def restored(file: Path, other: StateFolder, **options: Any) -> Store:
    restore_sweep(file, other.store_url, state=other, **options)
    return open_store(other.store_url, create=False, state=other)


def without_places(found: dict[str, Any], state: StateFolder) -> dict[str, Any]:
    """The same, with the paths of networks from the state folder on."""
    trials = [
        replace(
            t, artifact=replace(t.artifact, path=t.artifact.path.removeprefix(str(state.root)))
        )
        if t.artifact
        else t
        for t in found["trials"]
    ]
    return {**found, "trials": trials}


@pytest.mark.slow
def test_archived_deleted_and_restored_elsewhere_it_is_what_it_was(
    make: Make, store: Store, state: StateFolder, other: StateFolder, tmp_path: Path
) -> None:
    make("b").release()
    make("a").release()
    before, files = stored(store, "a"), files_in(state.sweep_folder("a"))
    done = archive_sweep("a", tmp_path / "a.zip", store)
    assert (done.trials, done.files, done.lost) == (3, 2, {})
    delete_sweep("a", store)
    found = restored(tmp_path / "a.zip", other)
    assert [each.name for each in found.sweeps()] == ["a"]
    assert without_places(stored(found, "a"), other) == without_places(before, state)
    assert files_in(other.sweep_folder("a")) == files
    assert files_in(other.log_folder("a")) == {"1.log": b"a run of a"}
    assert Path(found.trial("a", 0).artifact.path).read_bytes() == b"network 0 of a"
    # It can be driven: the lease is nobody's, and numbers go on.
    writer = found.take("a", "elsewhere:3:4")
    assert writer.add_trial({}, seed=0).number == 3


@pytest.mark.slow
def test_killed_at_any_step_an_archive_is_whole_or_not_there(
    make: Make, store: Store, state: StateFolder, other: StateFolder, tmp_path: Path
) -> None:
    make("a").release()
    before, files = stored(store, "a"), files_in(state.sweep_folder("a"))
    to = tmp_path / "archives" / "a.zip"
    to.parent.mkdir()
    for _ in killed_at_each_step(lambda: archive_sweep("a", to)):
        if to.exists():
            assert stored(restored(to, other), "a")["columns"] == before["columns"]
            shutil.rmtree(other.root)
            to.unlink()
        assert stored(store, "a") == before
        assert files_in(state.sweep_folder("a")) == files
    archive_sweep("a", to)


@pytest.mark.slow
def test_killed_at_any_step_a_restoration_is_finished_by_the_same_call(
    make: Make, store: Store, state: StateFolder, other: StateFolder, tmp_path: Path
) -> None:
    make("a").release()
    file, before = tmp_path / "a.zip", without_places(stored(store, "a"), state)
    archive_sweep("a", file, store)
    archive = file.read_bytes()

    def work() -> None:
        restore_sweep(file, other.store_url, state=other)

    for step in killed_at_each_step(work):
        if step:
            # What is visible is whole; before that, the same call makes it so.
            names = [each.name for each in open_store(other.store_url, state=other).sweeps()]
            found = open_store(other.store_url, state=other) if names else restored(file, other)
            assert without_places(stored(found, "a"), other) == before
            assert files_in(other.sweep_folder("a")) == files_in(state.sweep_folder("a"))
        assert file.read_bytes() == archive
        shutil.rmtree(other.root)


def test_a_sweep_that_runs_and_a_file_that_exists_are_refused(
    make: Make, store: Store, tmp_path: Path
) -> None:
    writer = make("a")
    with pytest.raises(LeaseHeldError):
        archive_sweep("a", tmp_path / "a.zip", store)
    writer.release()
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        archive_sweep("a", tmp_path / "a.zip", store)
    assert (tmp_path / "a.zip").read_text() == "mine"
    with pytest.raises(UsageError, match="no folder"):
        archive_sweep("a", tmp_path / "absent" / "a.zip", store)


def test_nothing_is_overwritten(
    make: Make, store: Store, other: StateFolder, tmp_path: Path
) -> None:
    make("a").release()
    file = tmp_path / "a.zip"
    archive_sweep("a", file, store)
    with pytest.raises(SweepExistsError, match="paretune rename a"):
        restore_sweep(file)
    theirs = other.trial_folder("a", 2) / "model.safetensors"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(OrchestratorError, match="another content"):
        restored(file, other)
    assert list(files_in(other.sweep_folder("a")).values()) == [b"theirs"]
    assert open_store(other.store_url, state=other).sweeps() == []


def damaged(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "cut off":
        file.write_bytes(content[: len(content) // 2])
    elif how == "a byte":
        at = content.index(b"network 0 of a")
        file.write_bytes(content[:at] + b"N" + content[at + 1 :])
    elif how == "no zip":
        file.write_bytes(b"PK no zip")
    else:
        with zipfile.ZipFile(file) as archive:
            said = json.loads(archive.read("manifest.json"))
        if how == "newer":
            said |= {"format": 2, "paretune": "9.9"}
        else:
            said["members"]["files/../../../escaped"] = [0, ""]
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("manifest.json", json.dumps(said))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut off", "no whole archive"),
        ("a byte", "damaged"),
        ("no zip", "no whole archive"),
        ("newer", "9.9"),
        ("escapes", "outside"),
    ],
)
def test_what_is_no_whole_archive_restores_nothing(
    make: Make, store: Store, other: StateFolder, tmp_path: Path, how: str, said: str
) -> None:
    make("a").release()
    archive_sweep("a", tmp_path / "a.zip", store)
    damaged(tmp_path / "a.zip", how)
    with pytest.raises(OrchestratorError, match=said):
        restored(tmp_path / "a.zip", other)
    assert files_in(other.root / "sweeps") == {}
    with pytest.raises(UsageError, match="no file"):
        read_manifest(tmp_path / "absent.zip")


@pytest.mark.parametrize("here", [False, True])
def test_files_of_a_storage_are_archived_too(
    make: Make, store: Store, other: StateFolder, tmp_path: Path, here: bool
) -> None:
    shared = tmp_path / "shared"
    kept = shared / "sweeps" / "a" / "trials" / "00000" / "model.safetensors"
    make("a", storage=str(shared)).release()
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"in the storage")
    archive_sweep("a", tmp_path / "a.zip", store)
    delete_sweep("a", store)
    assert not kept.exists()
    if here:
        (other.root).mkdir(parents=True)
        manifest = read_manifest(tmp_path / "a.zip")
        assert "storage/trials/00000/model.safetensors" in manifest.members
        with pytest.raises(OrchestratorError, match="another content"):
            restored(tmp_path / "a.zip", other, here=True)  # both had a trial 0 in this test
        return
    restored(tmp_path / "a.zip", other)
    assert kept.read_bytes() == b"in the storage"
