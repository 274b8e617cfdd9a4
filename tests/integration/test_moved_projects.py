"""A project that lies elsewhere than where it was made is the same project.

It is made once, with a complete sweep and one that was interrupted within a trial; then it is
moved, copied beside the original, or mounted read-only, and asked for everything.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import trainers.networks.backbones
from orchestrator.cli.app import app
from orchestrator.contracts import Silent
from orchestrator.driver.running import RunResult, resume, run
from orchestrator.errors import OrchestratorError, SweepExistsError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.fronts.member import FrontMember
from orchestrator.places import LostNetworkError
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, SweepState, TrialState
from tests.servers import mlflow_client

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]

SWEEP = """
name: done
backbone: {name: digitnet, weights: weights.safetensors}
data: {npz: data/images.npz}
space: {bits: {type: choice, values: [4, 8]}}
head: {widths: [8]}
training: {epochs: 3}
objectives: {accuracy: maximize, memory_bytes: minimize}
sampler: {kind: grid}
budget: {trials: 3}
execution: {cache: "off"}
reference: true
"""


@dataclass
class Listener(Silent):
    """Hears what a person would read, and presses Ctrl-C after some epochs of a trial."""

    stops_at: tuple[int, int] = (-1, -1)
    told: list[str] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.told.append(text)

    def trial_reported(self, trial: int, report: Report) -> None:
        self.epochs.append((trial, report.epoch))
        if (trial, report.epoch) == self.stops_at:
            signal.raise_signal(signal.SIGINT)


@dataclass(frozen=True)
class Project:
    """A folder with a sweep file, data, weights and a state folder."""

    folder: Path

    def run(self, name: str, listener: Listener | None = None) -> RunResult:
        """What ``paretune run sweep.yaml --name NAME`` does, without Ray."""
        spec = load_sweep(self.folder / "sweep.yaml", name=name)
        # Closed, or SQLite would tidy the file up at some later moment.
        with closing(open_store()) as store:
            heard = listener or Listener()
            return run(spec, store=store, progress=heard, executor=InlineExecutor)

    def call(self, *words: object) -> Result:
        """A command, as a person types it in the folder."""
        return CliRunner().invoke(app, list(map(str, words)))

    def contents(self) -> dict[str, str]:
        """Digest of every file, but for those by which SQLite locks."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if not path.name.endswith(("-shm", "-wal"))
        }


def make(folder: Path, enter: Callable[[Path], None]) -> Project:
    (folder / "data").mkdir(parents=True)
    (folder / "sweep.yaml").write_text(SWEEP)
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 4
    images = rng.integers(0, 120, (240, 8, 8)) + 40 * (labels[:, None, None] % 2)
    np.savez(folder / "data" / "images.npz", images=images.astype(np.uint8), labels=labels)
    weights = Path(trainers.networks.backbones.__file__).parent / "weights"
    shutil.copy(weights / "digitnet.safetensors", folder / "weights.safetensors")
    project = Project(folder)
    enter(folder)
    assert project.run("done").sweep.state is SweepState.COMPLETE
    result = project.run("cut", Listener(stops_at=(1, 2)))
    assert result.sweep.state is SweepState.INTERRUPTED
    assert list((folder / ".paretune" / "sweeps" / "cut").rglob("checkpoint.safetensors"))
    return project


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project where it was made; each test has a place of its own for what becomes of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PARETUNE_HOME", raising=False)
        patch.setattr("orchestrator.execution.trial_runner.SLICE_S", 0.0)
        return make(tmp_path_factory.mktemp("made") / "project", patch.chdir)


@contextmanager
def elsewhere(
    original: Project, how: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """The project in a new folder; the original is gone ("moved"), or is there, untouched."""
    away = original.folder.with_name("away")
    new = Project(folder)
    shutil.copytree(original.folder, new.folder)
    if how == "moved":
        original.folder.rename(away)
    before = original.contents()
    monkeypatch.chdir(new.folder)
    monkeypatch.delenv("PARETUNE_HOME", raising=False)
    monkeypatch.setattr("orchestrator.execution.trial_runner.SLICE_S", 0.0)
    yield new
    assert original.contents() == before
    if how == "moved":
        assert not original.folder.exists()
        away.rename(original.folder)


@pytest.fixture(params=["moved", "copied"])
def project(
    request: pytest.FixtureRequest,
    original: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Project]:
    with elsewhere(original, request.param, tmp_path / "größer 2", monkeypatch) as new:
        yield new


def answers(project: Project, to: Path) -> None:
    """Everything that can be asked of a complete sweep, from the files of this project alone."""
    state = project.folder / ".paretune"
    member = open_sweep("done").front()[0]
    assert Path(member.artifact).is_relative_to(state)
    assert member.load_model() is not None
    exported = project.call("export", "done", member.trial, "--to", to / "out")
    assert exported.exit_code == 0, exported.stderr
    tested = project.call("front", "done", "--set", "test", "--format", "json")
    assert all("test_accuracy" in each["values"] for each in json.loads(tested.stdout))
    reported = project.call("report", "done", "--to", to / "report.html")
    assert reported.exit_code == 0, reported.stderr
    # With its tests, which need what each network answered.
    assert open_sweep("done").study().selection.left_out == ()
    status = json.loads(project.call("status", "done", "--format", "json").stdout)
    assert status["lost_networks"] == []


def test_a_complete_sweep_is_asked_for_everything(project: Project, tmp_path: Path) -> None:
    answers(project, tmp_path)
    listener = Listener()
    assert project.run("done", listener).sweep.state is SweepState.COMPLETE
    assert listener.epochs == []
    synced = project.call("sync", "done")
    assert synced.exit_code == 0, synced.stderr
    uri = f"sqlite:///{project.folder / '.paretune' / 'mlflow.db'}"
    experiment = mlflow_client(uri).get_experiment_by_name("done")
    assert experiment.artifact_location.startswith((project.folder / ".paretune").as_uri())


@pytest.mark.parametrize("by_name", [False, True])
def test_an_interrupted_sweep_goes_on(
    project: Project, by_name: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    if by_name:
        monkeypatch.setattr("orchestrator.driver.executors._ray", lambda *_: InlineExecutor)
        result = resume("cut", progress=listener)
    else:
        result = project.run("cut", listener)
    assert result.sweep.state is SweepState.COMPLETE
    # From its checkpoint: an epoch of it may be told again, none is trained twice.
    assert open_store().attempts("cut", 1)[-1].failure is None
    told = [text for text in listener.told if "the content is the same" in text]
    assert [text.partition(" ")[0] for text in told] == ["data.npz", "backbone.weights"]
    assert all("test_accuracy" in member.values for member in result.front)
    again = Listener()
    project.run("cut", again)
    assert again.told == []
    store = open_store()
    paths = [trial.artifact.path for trial in store.trials("cut") if trial.artifact]
    assert all(Path(path).is_relative_to(project.folder) for path in paths)


def test_other_images_at_the_same_path_are_refused(project: Project) -> None:
    path = project.folder / "data" / "images.npz"
    arrays = dict(np.load(path))
    arrays["images"][0, 0, 0] += 1
    np.savez(path, **arrays)
    before = open_store().trials("cut")
    with pytest.raises(SweepExistsError, match=r"started with other images.*images\.npz.*--name"):
        project.run("cut")
    assert open_store().trials("cut") == before


def test_other_weights_at_the_same_path_are_refused(project: Project) -> None:
    from safetensors.torch import load_file, save_file

    path = project.folder / "weights.safetensors"
    tensors = load_file(path)
    first = next(iter(tensors))
    save_file({**tensors, first: tensors[first] * 1.5}, path)
    with pytest.raises(SweepExistsError, match="started with other backbone weights"):
        project.run("cut")


def forget(name: str) -> None:
    """Make of a sweep what a version stored that knew neither roots nor digests."""
    from sqlalchemy import text

    store = open_store()
    for trial in store.trials(name):
        path = (
            trial.artifact
            and "/gone/project/.paretune/" + trial.artifact.path.partition("/.paretune/")[2]
        )
        with store._database.writing() as connection:
            connection.execute(
                text(
                    "UPDATE trials SET artifact_root = NULL, artifact_path = :path WHERE "
                    "number = :number AND sweep_id = (SELECT id FROM sweeps WHERE name = :name)"
                ),
                {"path": path, "number": trial.number, "name": name},
            )
    with store._database.writing() as connection:
        connection.execute(
            text("UPDATE sweeps SET content = NULL, fingerprint = 'older' WHERE name = :name"),
            {"name": name},
        )
    store.close()


def test_a_sweep_of_an_older_version_goes_on(project: Project, tmp_path: Path) -> None:
    for name in ("done", "cut"):
        forget(name)
    answers(project, tmp_path)
    listener = Listener()
    assert project.run("cut", listener).sweep.state is SweepState.COMPLETE
    unchecked = [text for text in listener.told if "kept no digest" in text]
    assert len(unchecked) == 2
    assert {"data", "weights", "labels", "places"} == open_store().sweep("cut").content.keys()


def test_a_sweep_of_an_older_version_does_not_go_on_with_images_of_other_labels(
    project: Project,
) -> None:
    forget("cut")
    path = project.folder / "data" / "images.npz"
    arrays = dict(np.load(path))
    np.savez(path, images=arrays["images"][:-40], labels=arrays["labels"][:-40])
    with pytest.raises(SweepExistsError, match="their labels are not those"):
        project.run("cut")


def test_another_projects_trial_of_the_same_number_does_not_stand_in(project: Project) -> None:
    first, second = (trial for trial in open_store().trials("done")[:2])
    Path(first.artifact.path).write_bytes(Path(second.artifact.path).read_bytes())
    with pytest.raises(LostNetworkError, match=r"trial 0 of 'done' is not the one that was"):
        FrontMember.of(first).load_model()
    with pytest.raises(OrchestratorError, match="is not the one that was measured"):
        open_sweep("done").study()


@pytest.mark.parametrize("how", ["removed", "changed"])
def test_a_lost_network_costs_its_own_late_measures_alone(project: Project, how: str) -> None:
    result = project.run("cut", Listener(stops_at=(2, 2)))
    assert result.interrupted
    lost = open_store().trial("cut", 1)
    assert lost.state is TrialState.COMPLETE
    file = Path(lost.artifact.path)
    if how == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    listener = Listener()
    result = project.run("cut", listener)
    assert result.sweep.state is SweepState.COMPLETE
    assert [text for text in listener.told if text.startswith("trial 1 is not measured any")]
    tested = {t.number for t in open_store().trials("cut") if "test_accuracy" in t.values}
    assert tested
    assert 1 not in tested
    status = json.loads(project.call("status", "cut", "--format", "json").stdout)
    (told,) = status["lost_networks"]
    assert told["trial"] == 1
    assert str(file) in told["reason"]
    page = project.call("status", "cut").stdout
    assert "lost networks" in page
    assert "trial 1: it is not" in page
    again = Listener()
    assert project.run("cut", again).sweep.state is SweepState.COMPLETE
    assert again.told == []


READ = """
import json, sys
from pathlib import Path
from typer.testing import CliRunner
from orchestrator.cli.app import app
from orchestrator.queries.sweeps import open_sweep

to, found = Path(sys.argv[1]), {}
for words in (
    ("export", "done", "0", "--to", to / "out"),
    ("front", "done", "--set", "test", "--format", "json"),
    ("report", "done", "--to", to / "report.html"),
    ("status", "done", "--format", "json"),
    ("list", "--format", "json"),
    ("run", "sweep.yaml"),
    ("run", "sweep.yaml", "--name", "cut"),
    ("sync", "done"),
):
    result = CliRunner().invoke(app, list(map(str, words)))
    found[" ".join(map(str, words[:1] + words[-2:]))] = [result.exit_code, result.stderr]
found["load_model"] = [type(open_sweep("done").front()[0].load_model()).__name__, ""]
json.dump(found, (to / "found.json").open("w"))
"""


@pytest.mark.parametrize("older", [False, True])
def test_a_project_that_is_mounted_read_only_is_read(
    original: Project, tmp_path: Path, older: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, to = Project(tmp_path / "there"), tmp_path / "to"
    shutil.copytree(original.folder, there.folder)
    to.mkdir()
    if older:
        monkeypatch.chdir(there.folder)
        forget("done")
        with open_store()._database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE trials DROP COLUMN artifact_root")
            connection.exec_driver_sql("ALTER TABLE sweeps DROP COLUMN content")
            connection.exec_driver_sql("DROP TABLE choices")
            connection.exec_driver_sql("UPDATE paretune_version SET version_num = '0004'")
    before = there.contents()
    # In a namespace of its own, which takes the mount with it when it ends.
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@"'
    mounted = ["unshare", "--mount", "sh", "-c", mount, str(there.folder)]
    if not shutil.which("unshare") or subprocess.run([*mounted, "true"], check=False).returncode:
        pytest.skip("needs the right to mount a folder read-only")
    environment = {key: value for key, value in os.environ.items() if key != "PARETUNE_HOME"}
    process = subprocess.run(
        [*mounted, sys.executable, "-c", READ, str(to)],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads((to / "found.json").read_text())
    assert found.pop("load_model") == ["Network", ""]
    refused = {words: told for words, told in found.items() if told[0]}
    # A complete sweep has nothing to be run; an older store would have to be changed for it.
    refusing = ["run", "run", "sync"] if older else ["run", "sync"]
    assert [words.partition(" ")[0] for words in refused] == refusing
    for code, sentence in refused.values():
        assert code == 1
        assert "can be read and not written to" in sentence
    assert (to / "out" / "model.safetensors").is_file()
    assert (to / "report.html").is_file()
    assert there.contents() == before


@pytest.mark.parametrize("kind", ["home", "store"])
def test_files_are_under_the_state_folder_of_the_process_that_asks(
    original: Project, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``PARETUNE_HOME`` elsewhere; and a store elsewhere, whose state folder was moved."""
    home, folder = tmp_path / "home", tmp_path / "folder"
    shutil.copytree(original.folder / ".paretune", home)
    folder.mkdir()
    monkeypatch.chdir(folder)
    url = None
    if kind == "home":
        monkeypatch.setenv("PARETUNE_HOME", str(home))
    else:
        monkeypatch.delenv("PARETUNE_HOME", raising=False)
        for file in home.glob("paretune.db*"):
            shutil.move(file, tmp_path / file.name.replace("paretune", "store"))
        home.rename(folder / ".paretune")
        home, url = folder / ".paretune", f"sqlite:///{tmp_path / 'store.db'}"
    member = open_sweep("done", url).front()[0]
    assert Path(member.artifact).is_relative_to(home)
    assert member.load_model() is not None
    if kind == "store":
        # Nobody here has the files, and the store's own folder has none either.
        monkeypatch.chdir(tmp_path)
        with pytest.raises(LostNetworkError, match="PARETUNE_HOME"):
            open_sweep("done", url).front()[0].load_model()
    else:
        # A store is found by its URL, and its files beside it.
        monkeypatch.delenv("PARETUNE_HOME")
        found = open_sweep("done", f"sqlite:///{home / 'paretune.db'}").front()[0]
        assert found.artifact == member.artifact
