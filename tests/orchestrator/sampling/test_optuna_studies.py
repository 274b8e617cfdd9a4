"""A sweep as an Optuna study, and a study as points: real storages, both ways."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState as OptunaState

from orchestrator.addresses import anchored, sqlite_url
from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Direction, Objective
from orchestrator.sampling.optuna_logging import bold, quiet
from orchestrator.sampling.optuna_studies import Exported, export_study, study_rows
from orchestrator.sampling.study_trials import distribution, label
from orchestrator.search.prior_points import fit
from orchestrator.trials import (
    REFERENCE_ATTRS,
    Artifact,
    Failure,
    FailureKind,
    Report,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
    Value,
)
from search_spaces import Choice, Domain, Float, Int, SearchSpace
from tests.orchestrator.driving import make_spec

SPACE = SearchSpace(
    {
        "fc_width_1": Int(8, 64, step=8),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "fc_bits": Choice((2, 4, 8)),
    }
)
BORN = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = {"fc_width_1": 16, "learning_rate": 0.01, "fc_bits": 4}
MEASURED = {"accuracy": 0.5, "memory_bytes": 900.0, "macs": 3.0}
GOALS = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
)


def sweep(space: SearchSpace = SPACE, **changes: Any) -> SweepRecord:
    spec = make_spec(space=space.as_mapping(), constraints=["memory_bytes <= 1kB"], **changes)
    plain = spec.model_dump(mode="json")
    return SweepRecord("a", plain, spec.fingerprint(), SweepState.RUNNING, BORN)


def a_trial(number: int, state: TrialState = TrialState.COMPLETE, **changes: Any) -> Trial:
    ended = BORN + timedelta(minutes=number + 1) if state.is_final else None
    made = Trial("a", number, FIRST, 7 + number, state, created=BORN, ended=ended)
    values = MEASURED if state is TrialState.COMPLETE else {}
    return replace(made, **{"values": values, **changes})


def no_reports(number: int) -> list[Report]:
    return []


def read(storage: str, name: str = "a") -> optuna.Study:
    with quiet(), bold():
        return optuna.load_study(study_name=name, storage=_storage(storage))


def _storage(storage: str) -> Any:
    if "://" in storage:
        return storage
    backend = optuna.storages.journal.JournalFileBackend(storage)
    return optuna.storages.JournalStorage(backend)


@pytest.fixture(scope="session")
def empty_study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Optuna database without studies, to be copied: faster than making one."""
    path = tmp_path_factory.mktemp("optuna") / "empty.db"
    with quiet():
        optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture(params=["database", "journal"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, empty_study_file: Path) -> str:
    if request.param == "journal":
        return str(tmp_path / "study.log")
    return f"sqlite:///{shutil.copy(empty_study_file, tmp_path / 'study.db')}"


@pytest.mark.slow
def test_a_sweep_becomes_a_study_with_its_states_values_and_times(storage: str) -> None:
    failure = Failure(FailureKind.OUT_OF_MEMORY, "no room", "Traceback")
    artifact = Artifact("t/0.safetensors", 900, "0" * 64)
    trials = [
        a_trial(0, artifact=artifact, mlflow_run_id="run-0"),
        a_trial(1, values={**MEASURED, "memory_bytes": 2_000.0}),
        a_trial(2, TrialState.STOPPED),
        a_trial(3, TrialState.FAILED, failure=failure),
        *(a_trial(4 + n, state) for n, state in enumerate(TrialState) if not state.is_final),
    ]
    reports = [Report(1, {"float_accuracy": 0.25}), Report(2, {"float_accuracy": 0.5})]
    done = export_study(sweep(), trials, lambda n: reports if n == 0 else [], storage)
    assert done == Exported(added=7)
    study = read(storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy", "memory_bytes"]
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING", "RUNNING", "RUNNING"]
    first, violating, _, failed, *_ = study.trials
    assert first.params == FIRST
    assert first.distributions["fc_width_1"] == optuna.distributions.IntDistribution(8, 64, step=8)
    assert first.values == [0.5, 900.0]
    assert first.user_attrs == {
        **MEASURED,
        "trial": 0,
        "seed": 7,
        "replicate": 0,
        "mlflow_run_id": "run-0",
        "artifact": "t/0.safetensors",
        "epochs:float_accuracy": [[1, 0.25], [2, 0.5]],
    }
    assert first.datetime_start == BORN.astimezone().replace(tzinfo=None)
    assert first.datetime_complete - first.datetime_start == timedelta(minutes=1)
    assert violating.constraints["memory_bytes <= 1000"] == 1.0
    assert failed.user_attrs["failure"] == "out_of_memory: no room"
    assert [trial.number for trial in study.best_trials] == [0]


@pytest.mark.slow
def test_curves_of_one_objective_are_intermediate_values(storage: str) -> None:
    alone = sweep(objectives={"accuracy": "maximize"})
    reports = [
        Report(1, {"float_accuracy": 0.25, "train_loss": 2.0}),
        Report(2, {"float_accuracy": 0.5, "milestone_accuracy": 0.375}),
    ]
    export_study(alone, [a_trial(0)], lambda n: reports, storage)
    assert read(storage).trials[0].intermediate_values == {2: 0.375}


@pytest.mark.slow
def test_writing_again_adds_what_is_new_and_ends_what_was_running(storage: str) -> None:
    before = [a_trial(0), a_trial(1, TrialState.RUNNING), a_trial(2, TrialState.WAITING)]
    export_study(sweep(), before, no_reports, storage)
    now = [
        a_trial(0),
        a_trial(1, values={**MEASURED, "memory_bytes": 3_000.0}),
        a_trial(2, TrialState.STOPPED),
        a_trial(3, TrialState.RUNNING),
    ]
    assert export_study(sweep(), now, no_reports, storage) == Exported(1, 2, 1)
    trials = read(storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "PRUNED", "RUNNING"]
    assert trials[1].values == [0.5, 3_000.0]
    assert trials[1].constraints["memory_bytes <= 1000"] == 2.0
    assert trials[1].user_attrs["macs"] == 3.0
    assert export_study(sweep(), now, no_reports, storage) == Exported(unchanged=4)
    assert read(storage).trials == trials


def test_values_that_came_later_are_counted_and_change_nothing(storage: str) -> None:
    export_study(sweep(), [a_trial(0)], no_reports, storage)
    tested = a_trial(0, values={**MEASURED, "test_accuracy": 0.4})
    assert export_study(sweep(), [tested], no_reports, storage) == Exported(unchanged=1, late=1)


def test_the_reference_is_left_out_and_siblings_name_their_origin(storage: str) -> None:
    reference = a_trial(0, params={}, sampler_attrs=REFERENCE_ATTRS)
    sibling = a_trial(2, sampler_attrs={"origin": 1})
    done = export_study(sweep(), [reference, a_trial(1), sibling], no_reports, storage)
    assert done == Exported(added=2, references=1)
    assert [t.user_attrs.get("origin") for t in read(storage).trials] == [None, 1]


def test_the_best_trials_of_the_study_are_the_front(storage: str) -> None:
    sizes = (900.0, 500.0, 950.0, 300.0, 1_500.0)
    accuracies = (0.9, 0.7, 0.8, 0.75, 0.99)
    trials = [
        a_trial(number, values={"accuracy": accuracy, "memory_bytes": size})
        for number, (accuracy, size) in enumerate(zip(accuracies, sizes, strict=True))
    ]
    export_study(sweep(), trials, no_reports, storage)
    front = compute_front(trials, GOALS, (Constraint("memory_bytes", "<=", 1_000.0),))
    best = [trial.user_attrs["trial"] for trial in read(storage).best_trials]
    assert sorted(best) == sorted(member.trial for member in front) == [0, 3]


@pytest.mark.slow
def test_a_study_of_something_else_is_left_alone(storage: str) -> None:
    with quiet():
        optuna.create_study(storage=_storage(storage), study_name="a").add_trial(
            optuna.create_trial(value=1.0)
        )
    with pytest.raises(UsageError, match=r"'a' that is not this sweep's: .* --study"):
        export_study(sweep(), [a_trial(0)], no_reports, storage)
    assert export_study(sweep(), [a_trial(0)], no_reports, storage, "b").added == 1
    later = replace(sweep(), created=BORN + timedelta(days=1))
    with pytest.raises(UsageError, match="'b' that is not this sweep's"):
        export_study(later, [a_trial(0)], no_reports, storage, "b")
    with pytest.raises(UsageError, match=r"2 studies \(a, b\): name the one"):
        study_rows(storage)
    with pytest.raises(UnknownNameError, match="Known: a, b"):
        study_rows(storage, "c")


@pytest.mark.slow
def test_trials_that_somebody_added_with_optuna_stay(storage: str) -> None:
    export_study(sweep(), [a_trial(0)], no_reports, storage)
    read(storage).add_trial(optuna.create_trial(values=[0.25, 1.0]))
    assert export_study(sweep(), [a_trial(0), a_trial(1)], no_reports, storage).added == 1
    assert len(read(storage).trials) == 3


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    from orchestrator.storage import open_store

    file = tmp_path / "store.db"
    open_store(f"sqlite:///{file}").close()
    before = file.read_bytes()
    with pytest.raises(UsageError, match="a database of another program"):
        export_study(sweep(), [a_trial(0)], no_reports, f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("url", ["nowhere://x", "sqlite:///no/such/folder/study.db"])
def test_a_storage_that_cannot_be_used_is_a_sentence(url: str) -> None:
    with pytest.raises(OrchestratorError, match=r"Optuna storage .* cannot be used: .* Write"):
        export_study(sweep(), [a_trial(0)], no_reports, url)


def test_reading_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'none.db'}", str(tmp_path / "none.log")):
        with pytest.raises(UsageError, match="There is no Optuna storage at"):
            study_rows(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_study_of_plain_optuna_is_read_by_its_names(storage: str) -> None:
    def both(trial: optuna.Trial) -> tuple[float, float]:
        width = trial.suggest_int("fc_width_1", 8, 64, step=8)
        trial.set_user_attr("macs", 2.0 * width)
        if width == 8:
            raise optuna.TrialPruned
        return trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True), float(width)

    with quiet():
        study = optuna.create_study(
            storage=_storage(storage),
            study_name="x",
            directions=["minimize"] * 2,
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
        study.optimize(both, n_trials=5)
    complete = [trial for trial in study.trials if trial.state is OptunaState.COMPLETE]
    assert study_rows(storage) == [
        {
            **trial.params,
            "macs": trial.user_attrs["macs"],
            "values_0": trial.values[0],
            "values_1": trial.values[1],
        }
        for trial in complete
    ]


_steps = st.sampled_from([1, 2, 3, 7])
_ints = st.builds(
    lambda low, span, step: Int(low, low + span, step=step),
    st.integers(-(10**6), 10**6),
    st.integers(0, 1_000),
    _steps,
)
_log_ints = st.builds(
    lambda low, span: Int(low, low + span, log=True), st.integers(1, 99), st.integers(0, 999)
)
_floats = st.builds(
    lambda low, span, step: Float(low, low + span, step=step),
    st.floats(-10, 10),
    st.floats(0.5, 10),
    st.sampled_from([None, 0.1, 1 / 3, 0.25]),
)
_options = st.one_of(st.booleans(), st.integers(-4, 4), st.sampled_from([1.0, 0.5, "1", "true"]))
_choices = st.lists(_options, min_size=1, max_size=5, unique_by=lambda v: (type(v), v)).map(
    lambda options: Choice(tuple(options))
)
_domains: st.SearchStrategy[Domain] = st.one_of(_ints, _log_ints, _floats, _choices)


@st.composite
def _points(draw: st.DrawFn) -> tuple[SearchSpace, list[dict[str, Value]], list[float]]:
    """A space of any kinds of domains, configurations of it, and a number for each."""
    domains = draw(st.lists(_domains, min_size=1, max_size=3))
    space = SearchSpace({f"p{number}": domain for number, domain in enumerate(domains)})
    rng = draw(st.randoms(use_true_random=False))
    params = [space.canonical(space.sample(rng)) for _ in range(draw(st.integers(1, 4)))]
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
    return space, params, draw(st.lists(numbers, min_size=len(params), max_size=len(params)))


@settings(max_examples=25)
@given(drawn=_points())
def test_what_is_written_to_a_journal_is_read_back_as_the_same_points(
    tmp_path_factory: pytest.TempPathFactory, drawn: Any
) -> None:
    check_round_trip(str(tmp_path_factory.mktemp("study") / "study.log"), drawn)


@pytest.mark.slow
@settings(max_examples=5)
@given(drawn=_points())
def test_what_is_written_to_a_database_is_read_back_as_the_same_points(
    tmp_path_factory: pytest.TempPathFactory, empty_study_file: Path, drawn: Any
) -> None:
    file = shutil.copy(empty_study_file, tmp_path_factory.mktemp("study") / "study.db")
    check_round_trip(f"sqlite:///{file}", drawn)


def check_round_trip(storage: str, drawn: Any) -> None:
    space, params, numbers = drawn
    trials = [
        a_trial(number, params=each, values={"accuracy": value, "memory_bytes": -value})
        for number, (each, value) in enumerate(zip(params, numbers, strict=True))
    ]
    export_study(sweep(space), trials, no_reports, storage)
    found = fit(study_rows(storage), space, ("accuracy", "memory_bytes"), "s")
    assert json.dumps([point.params for point in found.points]) == json.dumps(params)
    assert [point.values["accuracy"] for point in found.points] == numbers


@given(_domains, st.randoms(use_true_random=False))
def test_optuna_accepts_every_value_of_a_domain_where_it_is_shown(domain: Any, rng: Any) -> None:
    shown, value = distribution(domain), domain.canonical(domain.sample(rng))
    space = SearchSpace({"p": domain})
    assert shown._contains(shown.to_internal_repr(label(domain, value)))
    if domain.size is not None and domain.size <= 50 and not isinstance(domain, Float):
        labels = {json.dumps(label(domain, each)) for each in domain.values()}
        internal = {shown.to_internal_repr(json.loads(text)) for text in labels}
        assert len(internal) == space.size


def test_a_missing_driver_is_a_sentence_with_what_installs_it() -> None:
    with pytest.raises(OrchestratorError, match="pip install mysqlclient"):
        study_rows("mysql://h/d")


@pytest.mark.slow
def test_a_storage_lies_in_a_folder_of_any_name_and_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a#b %20?{c}"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for storage in ("sqlite:///~/x.db", sqlite_url(folder / "y.db")):
        optuna.create_study(storage=anchored(storage, folder), study_name="s")
        assert study_rows(storage, "s") == []
    assert {each.name for each in folder.iterdir()} == {"x.db", "y.db"}
    assert list(tmp_path.iterdir()) == [folder]
