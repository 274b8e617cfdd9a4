"""Sweeps whose files are in a storage: a folder, the memory of fsspec, and a real S3 server."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.contracts import FrontJob, Store
from orchestrator.driver.running import run
from orchestrator.errors import OrchestratorError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.ray_worker import node_task
from orchestrator.execution.task import Task
from orchestrator.execution.trial_storage import answer_probe, fetched_job, probed_storage
from orchestrator.file_storage.storage import FileStorage, StorageError
from orchestrator.file_storage.trial_files import get_trial, put_trial
from orchestrator.places import LostNetworkError, network_file
from orchestrator.queries.sweeps import open_sweep
from orchestrator.reporting.export import export
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import FailureKind, SweepState, TrialState
from tests.ray_nodes import RayNodes
from tests.servers import S3Server
from trainers.data.config import DataConfig
from trainers.files.trial_folder import ARTIFACT_NAME, PREDICTIONS_NAME, STORAGE_NAME

MakeSpec = Callable[..., SweepSpec]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of a real S3 server on the loopback."""
    pytest.importorskip("moto", reason="needs the package moto[s3]")
    fsspec_s3 = pytest.importorskip("s3fs", reason="needs the package s3fs")
    server = S3Server()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**server.CREDENTIALS, "AWS_ENDPOINT_URL": server.url}.items():
            patch.setenv(name, value)
        fsspec_s3.S3FileSystem(skip_instance_cache=True).mkdir("sweeps")
        yield "s3://sweeps/of me"
        server.end()


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3"))
    url = {"folder": str(tmp_path / "shared"), "file": f"file://{tmp_path}/shared"}
    return url.get(request.param, f"memory://{tmp_path.name}")


@pytest.mark.slow
def test_what_was_put_is_got_whole_or_not_at_all(place: str, tmp_path: Path) -> None:
    storage, sent, got = FileStorage(place), tmp_path / "sent", tmp_path / "got" / "file"
    sent.write_bytes(b"network" * 100_000)
    digest = storage.put(sent, "sweeps/a/file")
    storage.get("sweeps/a/file", got, digest)
    assert got.read_bytes() == sent.read_bytes()
    sent.write_bytes(b"another")
    storage.put(sent, "sweeps/a/file")
    with pytest.raises(StorageError, match="another checksum"):
        storage.get("sweeps/a/file", got, digest)
    # What was there is still whole.
    assert got.read_bytes() == b"network" * 100_000
    with pytest.raises(FileNotFoundError):
        storage.get("sweeps/a/absent", got)
    storage.remove("sweeps/a")
    with pytest.raises(FileNotFoundError):
        storage.get("sweeps/a/file", got)


def test_the_files_of_a_trial_are_sent_and_fetched_side_by_side(tmp_path: Path) -> None:
    """One after another, each would wait for a distant store."""
    names = (ARTIFACT_NAME, STORAGE_NAME, PREDICTIONS_NAME)
    together = threading.Barrier(len(names), timeout=60)

    class Distant(FileStorage):
        def put(self, file: Path, key: str) -> str:
            if file.name in names:
                together.wait()
            return super().put(file, key)

        def get(self, key: str, file: Path, sha256: str = "") -> None:
            if file.name in names:
                together.wait()
            super().get(key, file, sha256)

    for name in names:
        (tmp_path / name).write_text(name)
    storage, key = Distant(str(tmp_path / "shared")), "sweeps/a/trials/00000"
    put_trial(storage, key, tmp_path)
    get_trial(storage, key, tmp_path / "fetched")
    assert [(tmp_path / "fetched" / name).read_text() for name in names] == list(names)


def test_an_object_store_is_sent_a_file_and_asked_nothing_before(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no folders to be made, and no object of it is ever half written."""
    for superfluous in ("makedirs", "mkdir", "_mkdir", "mv", "_cp_file"):
        monkeypatch.setattr("s3fs.S3FileSystem." + superfluous, None)
    (tmp_path / "sent").write_text("whole")
    storage = FileStorage(s3)
    storage.put(tmp_path / "sent", "sweeps/a/file")
    storage.get("sweeps/a/file", tmp_path / "got")
    assert (tmp_path / "got").read_text() == "whole"


def test_a_bucket_that_does_not_exist_is_refused_and_not_made(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name may be a slip."""
    monkeypatch.setattr("orchestrator.file_storage.storage._PAUSES_S", ())
    with pytest.raises(OrchestratorError, match="bucket does not exist"):
        probed_storage("s3://sweebs/of me", [])
    with pytest.raises(OrchestratorError, match="bucket does not exist"):
        probed_storage("s3://sweebs/of me", [])


def test_predictions_that_cannot_be_put_back_cost_no_measured_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage, key = FileStorage(str(tmp_path / "shared")), "sweeps/a/trials/00000"
    file = tmp_path / "file"
    file.write_text("network")
    for name in (ARTIFACT_NAME, STORAGE_NAME):
        storage.put(file, f"{key}/{name}")
    job = FrontJob(storage.address(f"{key}/{ARTIFACT_NAME}"), test=True)
    with fetched_job(job, str(tmp_path / "shared")) as here:
        Path(here.path).with_name(PREDICTIONS_NAME).write_text("which images")
        # A folder is where the file should be.
        (tmp_path / "shared" / key / PREDICTIONS_NAME / "x").mkdir(parents=True)
    assert "is not kept" in caplog.text


@pytest.mark.slow
def test_a_sweep_is_whole_without_the_folder_that_it_ran_in(
    place: str, store: Store, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures = {"masked_gradient_signs": {"samples": 8, "steps": 2}}
    spec = make_spec(storage=place, front_measures=measures, budget={"trials": 2})
    result = run(spec, store=store, executor=InlineExecutor)
    assert result.sweep.state is SweepState.COMPLETE
    # Only what the state folder had of the trials is gone.
    shutil.rmtree(tmp_path / "sweeps", ignore_errors=True)
    shutil.rmtree(tmp_path / "fetched", ignore_errors=True)
    trials = store.trials("tiny")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    for trial in trials:
        assert trial.artifact is not None
        expected = place.removeprefix("file://") + f"/sweeps/tiny/trials/{trial.number:05d}/"
        assert trial.artifact.path == expected + ARTIFACT_NAME
        export("tiny", trial.number, tmp_path / str(trial.number), store)
        assert network_file(trial.artifact, "it").with_name(ARTIFACT_NAME).is_file()
    measured = [trial for trial in trials if "masked_gradient_signs" in trial.values]
    assert measured
    assert all("test_accuracy" in trial.values for trial in measured)
    member = open_sweep("tiny").front()[0]
    assert member.load_model() is not None
    # A budget that grows goes on from it.
    grown = make_spec(storage=place, front_measures=measures, budget={"trials": 3})
    assert run(grown, store=store, executor=InlineExecutor).complete == 3


@pytest.mark.slow
def test_the_stage_cache_of_a_sweep_is_in_its_storage(
    place: str, store: Store, make_spec: MakeSpec, tmp_path: Path
) -> None:
    # A bucket serves all tests.
    one = {"storage": f"{place}/{tmp_path.name}", "budget": {"trials": 1}}
    for name in ("tiny", "again"):
        run(make_spec(name=name, **one), store=store, executor=InlineExecutor)
    assert [store.attempts(name, 0)[0].failure for name in ("tiny", "again")] == [None, None]
    assert not (tmp_path / "cache").exists()
    assert store.trials("tiny")[0].values["cached_stages"] == 0
    assert store.trials("again")[0].values["cached_stages"] > 0


def test_a_node_without_the_drivers_folder_keeps_a_cache_that_it_reaches(tmp_path: Path) -> None:
    own, shared = str(tmp_path / "state" / "cache"), str(tmp_path / "shared")
    in_storage = Task(DataConfig("digits"), {}, {}, cache=f"{shared}/cache", storage=shared)
    assert node_task(in_storage).cache == f"{shared}/cache"
    assert node_task(replace(in_storage, cache="s3://sweeps/cache")).cache == "s3://sweeps/cache"
    assert node_task(replace(in_storage, cache=own)).cache != own
    assert node_task(replace(in_storage, cache=None)).cache is None


@pytest.mark.slow
def test_a_place_follows_the_storage_that_moves(
    store: Store, make_spec: MakeSpec, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run(make_spec(storage=str(old), budget={"trials": 1}), store=store, executor=InlineExecutor)
    old.rename(new)
    (trial,) = store.trials("tiny")
    assert trial.artifact is not None
    with pytest.raises(LostNetworkError):
        network_file(trial.artifact, "it")
    run(make_spec(storage=str(new), budget={"trials": 2}), store=store, executor=InlineExecutor)
    for trial in store.trials("tiny"):
        assert trial.artifact is not None
        assert network_file(trial.artifact, "it").is_relative_to(new)


@pytest.mark.slow
def test_a_storage_that_goes_away_loses_no_network(
    store: Store, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.file_storage.storage._PAUSES_S", ())
    shared = tmp_path / "shared"

    class Breaking(InlineExecutor):
        def run(self, source: object) -> None:
            # A file where the folder of the trials would be.
            shutil.rmtree(shared)
            shared.write_text("")
            super().run(source)  # type: ignore[arg-type]

    result = run(
        make_spec(storage=str(shared), budget={"trials": 1}), store=store, executor=Breaking
    )
    assert result.complete == 1
    (trial,) = store.trials("tiny")
    assert trial.artifact is not None
    assert network_file(trial.artifact, "it").is_relative_to(StateFolder.find().root / "sweeps")
    (attempt,) = store.attempts("tiny", 0)
    assert attempt.failure is not None
    assert attempt.failure.kind is FailureKind.FILES_LOST
    assert "could not be written in the storage" in attempt.failure.message


def test_a_storage_that_cannot_be_used_takes_no_name(
    store: Store, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.file_storage.storage._PAUSES_S", ())
    (tmp_path / "file").write_text("")
    spec = make_spec(storage=str(tmp_path / "file" / "below"))
    with pytest.raises(OrchestratorError, match=r"cannot be used: .* Every node must be able"):
        run(spec, store=store, executor=InlineExecutor)
    assert store.sweeps() == []
    with pytest.raises(OrchestratorError, match="nowhere://bucket cannot be used here"):
        run(make_spec(storage="nowhere://bucket"), store=store, executor=InlineExecutor)


def test_a_node_that_does_not_see_what_the_driver_wrote_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(url: str, key: str, name: str) -> str:
        return answer_probe(str(tmp_path / "another disk"), key, name)

    with pytest.raises(OrchestratorError) as raised:
        probed_storage(str(tmp_path / "shared"), [answer_probe, elsewhere])
    assert str(raised.value).startswith(f"{socket.gethostname()} does not see in the storage")
    # A probe leaves nothing behind.
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.ray
@pytest.mark.serial
def test_every_node_of_a_real_cluster_writes_to_s3_and_nothing_comes_back(
    s3: str, tmp_path: Path
) -> None:
    nodes = RayNodes(tmp_path)
    try:
        nodes.start_head(cpus=1)
        nodes.add("second")
        nodes.wait_for(2)
        code, _, err = nodes.done("run", str(nodes.sweep(name="far", storage=f"{s3}/far")))
        assert code == 0, err
        store = nodes.store()
        trials = store.trials("far")
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
        assert len({store.attempts("far", each.number)[0].worker for each in trials}) == 2
        store.close()
        assert not (nodes.state / "sweeps").exists()
        code, _, err = nodes.done("export", "far", "3", "--to", str(tmp_path / "network"))
        assert code == 0, err
        # No secret of the storage is in a file of ours.
        for file in (file for file in nodes.state.rglob("*") if file.is_file()):
            assert b"QXQsecretQXQ" not in file.read_bytes()
    finally:
        nodes.close()
