import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome, Store
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.objectives import Direction, Objective, parse_objectives
from orchestrator.quantities import QUANTITIES
from orchestrator.queries.records import trial_record
from orchestrator.queries.sweeps import (
    list_sweeps,
    open_sweep,
    pareto_front,
    spec_objectives,
)
from orchestrator.storage import open_store
from orchestrator.trials import Failure, FailureKind, SweepState, TrialState

ROOT = Path(__file__).resolve().parents[3]

SPEC = {
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": {"name": "digits"},
    "space": {"bits": {"type": "int", "low": 2, "high": 8}, "depth": {"type": "int"}},
    "objectives": {"accuracy": "maximize", "memory_bytes": {"direction": "minimize"}},
    "constraints": ["memory_bytes <= 400B"],
}

# bits, accuracy, memory, what the test set said
ROWS = [
    (2, 0.70, 100.0, {"test_accuracy": 0.75}),
    (3, 0.80, 150.0, {"test_accuracy": 0.72}),
    (4, 0.75, 300.0, {}),
    (8, 0.95, 900.0, {}),
]


def fill(store: Store, name: str, spec=SPEC, rows=ROWS) -> None:
    store.create_sweep(name, spec, "fingerprint")
    writer = store.take(name, "test")
    for bits, accuracy, memory, tested in rows:
        number = writer.add_trial({"bits": bits}, seed=0).number
        attempt = writer.start_attempt(number, "here").number
        values = {"accuracy": accuracy, "memory_bytes": memory, "latency_ms": 5.0 - bits / 2}
        writer.finish_attempt(number, attempt, Outcome(TrialState.COMPLETE, values))
        if tested:
            writer.add_values(number, tested)
    number = writer.add_trial({"bits": 5}, seed=0).number
    attempt = writer.start_attempt(number, "here").number
    failure = Failure(FailureKind.DIVERGED, "the loss became NaN")
    writer.finish_attempt(number, attempt, Outcome(TrialState.FAILED, failure=failure))
    writer.set_sweep_state(SweepState.COMPLETE)
    writer.release()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    store = open_store(f"sqlite:///{folder / 'paretune.db'}")
    fill(store, "small")
    wide = {**SPEC, "backbone": {"name": "vgg16"}}
    fill(store, "large", wide, [(6, 0.85, 120.0, {}), (7, 0.60, 350.0, {})])
    fill(store, "other", {**SPEC, "objectives": {"accuracy": "maximize"}}, ROWS[:1])
    store.create_sweep("empty", SPEC, "fingerprint")
    return store


def numbers(front) -> list[tuple[str, int]]:
    return [(member.sweep, member.trial) for member in front]


def test_a_sweep_is_what_the_store_holds(store) -> None:
    sweep = open_sweep("small", store)
    assert sweep.state is SweepState.COMPLETE
    assert sweep.spec == SPEC
    assert [str(goal) for goal in sweep.objectives] == [
        "accuracy (maximize)", "memory_bytes (minimize)"
    ]  # fmt: skip
    assert [str(limit) for limit in sweep.constraints] == ["memory_bytes <= 400"]
    assert sweep.trial(1).params == {"bits": 3}
    assert len(sweep.trials()) == 5


def test_a_front_keeps_to_the_constraints_of_the_sweep(store) -> None:
    assert numbers(open_sweep("small", store).front()) == [("small", 1), ("small", 0)]


def test_an_unknown_sweep_is_answered_with_the_known_ones(store) -> None:
    with pytest.raises(UnknownNameError, match="empty, large, other, small"):
        open_sweep("smal", store)
    assert [record.name for record in list_sweeps(store)] == ["small", "large", "other", "empty"]


def test_without_a_store_in_the_state_folder_a_sentence_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "nothing"))
    with pytest.raises(UsageError):
        open_sweep("small")
    assert not (tmp_path / "nothing").exists()


def test_a_store_may_be_named_by_its_url_or_be_the_default(store, monkeypatch) -> None:
    assert open_sweep("small", store.url).front() == open_sweep("small", store).front()
    home = Path(store.url.removeprefix("sqlite:///")).parent
    monkeypatch.setenv("PARETUNE_HOME", str(home))
    assert open_sweep("small").front() == open_sweep("small", store).front()


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("bits <= 3", [0, 1]),
        ("state == 'failed' or accuracy > 0.9", [3, 4]),
        ("trial in [1, 2] and sweep == 'small'", [1, 2]),
        ("backbone == 'digitnet' and data == 'digits' and memory_bytes <= 0.2kB", [0, 1]),
        ("backbone == 'vgg16'", []),
        ("depth == 2", []),  # of the space, though no trial has it active
        ("test_accuracy >= 0.7", [0, 1]),
    ],
)
def test_trials_can_be_filtered_by_params_values_and_facts(store, where, kept) -> None:
    assert [trial.number for trial in open_sweep("small", store).trials(where)] == kept


def test_a_filter_on_an_unknown_name_is_answered_with_the_known_ones(store) -> None:
    sweep = open_sweep("small", store)
    for question in (sweep.trials, lambda where: sweep.front(where=where)):
        with pytest.raises(UnknownNameError, match="accuracy, backbone, bits, data") as error:
            question("bit <= 4")
        assert "Did you mean 'bits'?" in str(error.value)
        assert error.value.exit_code == 2


def test_a_front_can_be_of_other_objectives(store) -> None:
    sweep = open_sweep("small", store)
    assert numbers(sweep.front(["memory_bytes"])) == [("small", 0)]
    # 3 bits are slower than 4, but these are the directions asked for.
    assert numbers(sweep.front(["latency_ms:min"])) == [("small", 2)]
    assert numbers(sweep.front(["accuracy:min"])) == [("small", 0)]
    assert sweep.front(where="bits >= 3")[-1].trial == 1


def test_an_objective_that_was_not_measured_is_unknown(store) -> None:
    with pytest.raises(UnknownNameError, match="accuracy, latency_ms, memory_bytes"):
        open_sweep("small", store).front(["accurac"])
    with pytest.raises(UnknownNameError):
        open_sweep("small", store).front(["macs"])


def test_a_measured_value_without_a_known_direction_needs_one() -> None:
    with pytest.raises(UsageError, match="energy:min or energy:max"):
        parse_objectives(["energy"], (), {"energy"})
    with pytest.raises(UnknownNameError, match="direction 'up'"):
        parse_objectives(["energy:up"], (), {"energy"})
    assert parse_objectives("energy:max", (), {"energy"}) == (
        Objective("energy", Direction.MAXIMIZE),
    )


def test_before_anything_was_measured_the_known_quantities_can_be_asked_for(store) -> None:
    assert len(open_sweep("empty", store).front(sorted(QUANTITIES))) == 0
    assert len(open_sweep("empty", store).front(where="depth == 1 and accuracy >= 0")) == 0


def test_a_spec_may_say_a_direction_or_a_mapping_with_one() -> None:
    objectives = spec_objectives({"objectives": {"a": "minimize", "b": {"direction": "maximize"}}})
    assert objectives == (
        Objective("a", Direction.MINIMIZE), Objective("b", Direction.MAXIMIZE)
    )  # fmt: skip


def test_on_the_test_set_only_trials_measured_there_are_compared_by_what_it_said(store) -> None:
    front = open_sweep("small", store).front(select_on="test")
    assert [goal.name for goal in front.objectives] == ["test_accuracy", "memory_bytes"]
    assert numbers(front) == [("small", 0)]
    for question in ({"subset": "test"}, {"select_on": "test"}):
        with pytest.raises(OrchestratorError, match="when their sweep ends"):
            open_sweep("large", store).front(**question)


def test_test_values_are_those_of_the_members_that_were_chosen_without_them(store) -> None:
    sweep = open_sweep("small", store)
    chosen, shown = sweep.front(), sweep.front(subset="test")
    # By its test values the first one would be beaten: it stays, where it was.
    assert numbers(shown) == numbers(chosen) == [("small", 1), ("small", 0)]
    assert [goal.name for goal in shown.objectives] == ["test_accuracy", "memory_bytes"]
    assert [goal.name for goal in shown.chosen_by] == ["accuracy", "memory_bytes"]
    assert shown.losses[:, 0].tolist() == [-m.values["test_accuracy"] for m in shown]
    assert shown.knee() == chosen.knee()
    assert shown.under("memory_bytes", 1e9) == chosen.under("memory_bytes", 1e9)
    assert repr(shown).splitlines()[1].startswith("  small #1  test_accuracy=")


def test_a_front_goes_across_sweeps(store) -> None:
    front = pareto_front(["small", "large"], store=store)
    assert numbers(front) == [("large", 0), ("small", 0)]
    only = pareto_front(["small", "large"], where="backbone == 'digitnet'", store=store)
    assert numbers(only) == [("small", 1), ("small", 0)]
    assert pareto_front("small", store=store) == open_sweep("small", store).front()
    assert pareto_front(["small", "small"], store=store) == pareto_front("small", store=store)


def test_sweeps_with_different_objectives_need_them_named(store) -> None:
    with pytest.raises(UsageError, match="other: accuracy"):
        pareto_front(["small", "other"], store=store)
    assert numbers(pareto_front(["small", "other"], ["memory_bytes"], store=store)) == [
        ("other", 0), ("small", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"sweeps": []},
        {"tracking_uri": "sqlite:///x.db"},
        {"experiment": "small"},
        {"sweeps": "small", "tracking_uri": "sqlite:///x.db", "experiment": "small"},
    ],
)
def test_a_front_is_of_a_store_or_of_mlflow(store, question) -> None:
    with pytest.raises(UsageError, match="pareto_front"):
        pareto_front(**question)


def test_a_frame_has_a_row_a_trial(store) -> None:
    frame = open_sweep("small", store).to_frame()
    assert frame["state"].tolist() == ["complete"] * 4 + ["failed"]
    assert frame["bits"].tolist() == [2, 3, 4, 8, 5]
    assert frame["failure"].tolist()[-1] == "diverged: the loss became NaN"


def test_a_frame_and_the_records_of_the_command_line_say_the_same(store) -> None:
    sweep = open_sweep("small", store)
    frame = sweep.to_frame().astype(object)
    records = [trial_record(trial) for trial in sweep.trials()]
    for name in records[0].keys() - {"params", "values"}:
        found = [None if value != value else value for value in frame[name].tolist()]
        assert found == [record[name] for record in records], name


@pytest.mark.slow
def test_reading_needs_neither_ray_nor_torch_nor_optuna_nor_mlflow(store) -> None:
    program = (
        "import sys; from orchestrator.queries.sweeps import open_sweep;"
        f"front = open_sweep('small', {store.url!r}).front(where='bits <= 4'); assert len(front);"
        "print(sorted({'ray', 'torch', 'optuna', 'mlflow', 'pandas'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
