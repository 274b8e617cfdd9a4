"""A sweep that begins with what was measured before, from every source."""

import os
import signal
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.contracts import Job, Outcome, Silent, Store
from orchestrator.driver.running import run
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.queries.records import trial_record
from orchestrator.reporting.tables import as_csv
from orchestrator.sampling.optuna_studies import export_study
from orchestrator.search.warm_start import WarmStart, csv_rows, warm_start
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Artifact, TrialState
from search_spaces import parse_space
from tests.orchestrator.driver import test_running
from tests.orchestrator.driver.test_running import Played

BEST = 200
NARROW = {"fc_width_1": {"type": "int", "low": 1, "high": 250}}
WIDE = {
    "fc_width_1": {"type": "int", "low": 1, "high": 512},
    "fc_bits": {"type": "choice", "values": [2, 4, 8]},
}


def make_spec(**changes: Any) -> SweepSpec:
    space = parse_space({**WIDE, **NARROW}).as_mapping()
    given = {"objectives": {"accuracy": "maximize"}, "sampler": {"kind": "tpe"}, "space": space}
    return test_running.make_spec(**{**given, **changes})


def measured(job: Job) -> Outcome:
    """Accurate near one width; memory is what no closed form knows here."""
    accuracy = 1 - abs(float(job.params["fc_width_1"]) - BEST) / 512
    artifact = Artifact(f"{job.trial}.safetensors", 100, "0" * 64)
    return Outcome(TrialState.COMPLETE, {"accuracy": accuracy, "macs": 10.0}, artifact)


@dataclass
class Notes(Silent):
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def learned(self) -> list[str]:
        return [note for note in self.notes if note.startswith("learned")]


@dataclass(frozen=True)
class Old:
    """An earlier sweep of 24 trials, and forms in which it can be learned from."""

    store: Store
    sources: dict[str, Any]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Old:
    folder = tmp_path_factory.mktemp("old")
    store = open_store(f"sqlite:///{folder / 'old.db'}")
    spec = make_spec(
        name="old",
        space=parse_space(WIDE).as_mapping(),
        sampler={"kind": "random"},
        budget={"trials": 24},
    )
    run(spec, store=store, executor=Played(ends=measured), state=StateFolder(folder))
    trials, table = store.trials("old"), folder / "old.csv"
    table.write_text(as_csv([trial_record(trial) for trial in trials]), encoding="utf-8")
    rdb, journal = f"sqlite:///{folder / 'study.db'}", str(folder / "study.log")
    for storage in (rdb, journal):
        export_study(store.sweep("old"), trials, lambda n: store.reports("old", n), storage)
    sources = {
        "sweep": {"sweep": "old", "store": f"sqlite:///{folder / 'old.db'}"},
        "table": str(table),
        "database study": {"optuna": rdb, "study": "old"},
        "journal study": {"optuna": journal},
    }
    return Old(store, sources)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    store = open_store()
    yield store
    store.close()


@pytest.mark.parametrize("source", ["sweep", "table", "database study", "journal study"])
def test_every_source_gives_the_same_points(old: Old, store: Store, source: str) -> None:
    check_points(old.store, warm_start(make_spec(warm_start=old.sources[source]), store))


@pytest.mark.mlflow
def test_an_experiment_of_mlflow_gives_the_same_points(store: Store, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracked = {"kind": "mlflow", "uri": uri}
    wide = parse_space(WIDE).as_mapping()
    spec = make_spec(name="old", space=wide, budget={"trials": 6}, tracking=tracked)
    run(spec, store=store, executor=Played(ends=measured))
    source = {"mlflow": uri, "experiment": "old"}
    check_points(store, warm_start(make_spec(warm_start=source), store))


def check_points(store: Store, found: WarmStart) -> None:
    """Every trial of the sweep old that lies in the narrow space is learned, and no other."""
    trials = store.trials("old")
    inside = [trial for trial in trials if int(trial.params["fc_width_1"]) <= 250]
    assert 0 < len(inside) < len(trials)
    assert [dict(point.params) for point in found.points] == [dict(t.params) for t in inside]
    assert {type(point.params["fc_bits"]) for point in found.points} == {int}
    assert [point.values for point in found.points] == [
        {"accuracy": trial.values["accuracy"]} for trial in inside
    ]
    assert found.note.startswith(f"learned from {len(inside)} of {len(trials)} points of ")
    outside = len(trials) - len(inside)
    verb = "is" if outside == 1 else "are"
    assert f": {outside} {verb} outside the space (fc_width_1 = " in found.note


def test_a_sweep_that_begins_warm_proposes_better_ones_than_a_cold_one(
    old: Old, store: Store
) -> None:
    found = {}
    for name, source in (("cold", None), ("warm", old.sources["sweep"])):
        spec = make_spec(name=name, warm_start=source, budget={"trials": 10})
        run(spec, store=store, executor=Played(ends=measured))
        found[name] = statistics.mean(t.values["accuracy"] for t in store.trials(name))
    assert found["warm"] > found["cold"]


def test_points_are_no_trials_and_on_no_front(old: Old, store: Store) -> None:
    worse = lambda job: Outcome(  # noqa: E731
        TrialState.COMPLETE, {"accuracy": 0.01}, Artifact(f"{job.trial}.safetensors", 1, "0" * 64)
    )
    notes = Notes()
    spec = make_spec(warm_start=old.sources["table"], budget={"trials": 3})
    result = run(spec, store=store, executor=Played(ends=worse), progress=notes)
    assert result.complete == len(store.trials("a")) == 3
    assert {member.sweep for member in result.front} == {"a"}
    assert max(member.values["accuracy"] for member in result.front) == 0.01
    assert len(notes.learned) == 1


@pytest.mark.slow
def test_a_driver_that_starts_again_goes_on_as_if_nothing_had_happened_without_the_source(
    old: Old, store: Store, tmp_path: Path
) -> None:
    table = tmp_path / "gone.csv"
    table.write_bytes(Path(old.sources["table"]).read_bytes())
    spec = make_spec(warm_start=str(table), budget={"trials": 9})

    def press(job: Job) -> None:
        if job.trial == 4:
            os.kill(os.getpid(), signal.SIGINT)

    assert run(spec, store=store, executor=Played(ends=measured, before=press)).interrupted
    table.unlink()
    notes = Notes()
    run(spec, store=store, executor=Played(ends=measured), progress=notes)
    assert notes.learned == [
        f"learned from {len(store.prior_points('a'))} points of {table}, read when it began"
    ]
    whole = make_spec(name="whole", warm_start=old.sources["table"], budget={"trials": 9})
    run(whole, store=store, executor=Played(ends=measured))
    assert [t.params for t in store.trials("a")] == [t.params for t in store.trials("whole")]


@pytest.mark.slow
def test_what_was_learned_stays_when_the_file_no_longer_says_so(old: Old, store: Store) -> None:
    run(
        make_spec(warm_start=old.sources["sweep"], budget={"trials": 2}),
        store=store,
        executor=Played(ends=measured),
    )
    before, notes = store.prior_points("a"), Notes()
    again = make_spec(budget={"trials": 4})
    run(again, store=store, executor=Played(ends=measured), progress=notes)
    assert store.prior_points("a") == before
    assert len(notes.learned) == 1


def test_a_sweep_learns_from_one_source(old: Old, store: Store) -> None:
    run(
        make_spec(warm_start=old.sources["sweep"], budget={"trials": 2}),
        store=store,
        executor=Played(ends=measured),
    )
    played = Played()
    other = make_spec(warm_start=old.sources["table"], budget={"trials": 4})
    with pytest.raises(UsageError, match=r"learned from sweep 'old' .* cannot forget.*--name"):
        run(other, store=store, executor=played)
    assert played.calls == []


def test_a_sweep_that_has_begun_may_learn_later(old: Old, store: Store) -> None:
    run(make_spec(budget={"trials": 2}), store=store, executor=Played(ends=measured))
    more = make_spec(warm_start=old.sources["sweep"], budget={"trials": 4})
    assert run(more, store=store, executor=Played(ends=measured)).complete == 4
    assert store.prior_points("a")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "error", "told"),
    [
        ("nobody", UnknownNameError, "Unknown sweep 'nobody'"),
        ("nowhere.csv", UsageError, "Cannot read the table nowhere.csv .*No such file"),
        ({"optuna": "sqlite:///nowhere.db"}, UsageError, "no Optuna storage at .*nowhere.db"),
        ({"optuna": "nowhere.log"}, UsageError, "no Optuna storage at nowhere.log"),
        ({"mlflow": "sqlite:///nowhere.db", "experiment": "a"}, OrchestratorError, "nowhere.db"),
        ({"sweep": "b", "store": "sqlite:///nowhere.db"}, UsageError, "No store at .*nowhere.db"),
        ("a", UsageError, "names this sweep itself"),
    ],
)
def test_a_source_that_is_not_there_takes_no_name_and_starts_nothing(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    source: Any,
    error: type[Exception],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    played = Played()
    with pytest.raises(error, match=told):
        run(make_spec(warm_start=source), store=store, executor=played)
    assert played.calls == []
    assert store.sweeps() == []
    assert not list(tmp_path.glob("*nowhere*"))


def test_a_source_of_which_nothing_can_be_learned_says_both_sides_names(
    store: Store, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("width,fc_bits,acc\n64,4,0.5\n")
    with pytest.raises(
        UsageError,
        match=r"0 of 1 points .* 1 lacks .* It names width, fc_bits, acc, and this sweep needs "
        r"fc_width_1, fc_bits, accuracy; .*rename",
    ):
        warm_start(make_spec(warm_start=str(table)), store)
    renamed = {"csv": str(table), "rename": {"width": "fc_width_1", "acc": "accuracy"}}
    (point,) = warm_start(make_spec(warm_start=renamed), store).points
    assert point.params == {"fc_width_1": 64, "fc_bits": 4}
    assert point.values == {"accuracy": 0.5}


@pytest.mark.parametrize("kind", ["random", "grid"])
def test_a_sampler_that_does_not_learn_says_so_and_runs(old: Old, store: Store, kind: str) -> None:
    notes = Notes()
    spec = make_spec(warm_start=old.sources["sweep"], sampler={"kind": kind}, budget={"trials": 2})
    run(spec, store=store, executor=Played(ends=measured), progress=notes)
    assert notes.learned[0].endswith(f"(sampler {kind} makes no use of them)")


class TestTables:
    """Tables as this program prints them, and as people write them."""

    @staticmethod
    def rows(tmp_path: Path, text: str) -> list[Any]:
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8")
        return csv_rows(path)

    def test_prefixes_spaces_and_empty_cells_say_nothing(self, tmp_path: Path) -> None:
        text = "\ufeffparams.bits,values.accuracy,note\n 4 , 0.5 ,\n,,\n"
        assert self.rows(tmp_path, text)[0] == {"bits": "4", "accuracy": "0.5"}

    def test_trials_that_are_not_complete_and_the_reference_are_no_points(
        self, tmp_path: Path
    ) -> None:
        text = "state,params.bits,values.accuracy\ncomplete,4,0.5\nfailed,2,\ncomplete,,0.9\n"
        assert self.rows(tmp_path, text) == [{"state": "complete", "bits": "4", "accuracy": "0.5"}]

    def test_a_table_without_rows_has_no_points(self, tmp_path: Path) -> None:
        assert self.rows(tmp_path, "bits,accuracy\n") == self.rows(tmp_path, "") == []

    def test_a_row_that_is_too_long_and_bytes_that_are_no_text_are_sentences(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=r"more cells than its header: \['7'\]"):
            self.rows(tmp_path, "bits\n4,7\n")
        (tmp_path / "t.csv").write_bytes(b"bits\n\xff\xfe\n")
        with pytest.raises(UsageError, match="Cannot read the table"):
            csv_rows(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, "needs one of sweep, csv, mlflow, optuna, and has none"),
        ({"sweep": "b", "csv": "c.csv"}, "and has sweep, csv"),
        ({"csv": "c.csv", "store": "sqlite:///s.db"}, "store says nothing without sweep"),
        ({"mlflow": "http://m"}, "mlflow needs an experiment"),
        ({"sweep": "b", "stdy": "c"}, "stdy"),
        (7, "warm_start"),
    ],
)
def test_a_source_that_says_too_much_or_too_little_is_refused(source: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        make_spec(warm_start=source)


def test_a_warm_start_does_not_change_what_trials_mean() -> None:
    assert make_spec(warm_start="old").fingerprint() == make_spec().fingerprint()


def test_a_table_is_looked_for_beside_the_file_and_that_of_an_option_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_sweep: Callable[[str], Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_sweep("warm_start: old.csv\n")
    asked = load_sweep(file).warm_start
    assert asked is not None
    assert asked.csv == str(file.parent / "old.csv")
    asked = load_sweep(file, warm_start="here.csv").warm_start
    assert asked is not None
    assert asked.csv == str(tmp_path / "here.csv")
    asked = load_sweep(file, warm_start="{optuna: sqlite:///s.db, study: a}").warm_start
    assert asked is not None
    assert (asked.optuna, asked.study, asked.csv) == (f"sqlite:///{tmp_path}/s.db", "a", None)
    assert (
        load_sweep(file, warm_start="other").warm_start == make_spec(warm_start="other").warm_start
    )
    with pytest.raises(UsageError, match="--warm-start"):
        load_sweep(file, warm_start="{sweep: a, csv: b.csv}")


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a sweep file with some more lines, in a folder of its own."""

    def write(more: str) -> Path:
        path = tmp_path / "files" / "sweep.yaml"
        path.parent.mkdir()
        path.write_text(
            "name: tiny\nbackbone: {name: digitnet, weights: scratch}\ndata: {name: digits}\n"
            f"space: smoke\nobjectives: {{accuracy: maximize}}\n{more}"
        )
        return path

    return write
