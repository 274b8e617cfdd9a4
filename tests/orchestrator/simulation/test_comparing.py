"""Whole simulated sweeps: real driver, samplers and store, by the time of the simulation."""

import itertools
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.driver.running import run
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.objectives import missing_values
from orchestrator.simulation.comparing import SimulatedSweep, compare
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.table import Recording, Table
from orchestrator.simulation.table_files import read_table
from orchestrator.spec.files import load_sweep
from orchestrator.spec.run_sections import BudgetSection
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Params, Report, SweepState
from search_spaces import parse_space

SPACE = parse_space(
    {
        "fc_width_1": {"type": "choice", "values": [8, 16, 32, 64]},
        "bits": {"type": "choice", "values": [2, 4, 8]},
    }
)


def recorded(params: Params, seed: int = 0) -> Recording:
    """More bits and wider heads are better and larger; three epochs of a second."""
    width, bits = int(params["fc_width_1"]), int(params["bits"])
    accuracy = 1 - 1 / width - 0.5**bits
    reports = tuple(
        Report(epoch, {"seconds": 1.0, "float_accuracy": accuracy * epoch / 3})
        for epoch in (1, 2, 3)
    )
    values = {"accuracy": accuracy, "memory_bytes": 100.0 * width * bits}
    return Recording(params, seed, {**values, "train_s": 3.0, "eval_s": 1.0}, reports)


TABLE = Table(tuple(map(recorded, SPACE.grid())), "twelve trials")


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits"},
        "space": SPACE.as_mapping(),
        "training": {"epochs": 3},
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "budget": {"trials": 6},
        "execution": {"cache": "off"},
        "tracking": {"kind": "none"},
    }
    return SweepSpec.model_validate({**given, **changes})


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a state folder that a simulation must leave alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.mark.slow
def test_variants_are_compared_over_seeds(elsewhere: Path) -> None:
    variants = {"random": make_spec(), "all": make_spec(budget={"trials": 12})}
    found = compare(variants, TABLE, seeds=[5, 6], slots=2)
    assert [(each.variant, each.seed) for each in found] == [
        ("random", 5),
        ("all", 5),
        ("random", 6),
        ("all", 6),
    ]
    half, whole = found[:2]
    assert (half.complete, half.seconds) == (6, 12.0)
    assert (whole.complete, whole.stopped, whole.failed, whole.seconds) == (12, 0, 0, 24.0)
    assert whole.moments.tolist() == [4.0 * (1 + n // 2) for n in range(12)]
    # Whoever measures all of the table has all of its front.
    assert whole.volume == pytest.approx(1.0)
    assert half.volume <= whole.volume
    assert whole.share == pytest.approx(1.0)
    assert whole.epsilon == pytest.approx(0.0, abs=1e-9)
    assert half.share < whole.share
    assert half.epsilon > 0
    assert 0 < whole.mean_difference < half.mean_difference + 1
    assert (np.diff(whole.volumes) >= 0).all()
    assert 4.0 <= whole.seconds_to() <= 24.0
    assert found[0].moments.tolist() == found[2].moments.tolist()
    assert found[0].volumes.tolist() != found[2].volumes.tolist()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.slow
def test_an_undisturbed_simulation_is_deterministic(elsewhere: Path) -> None:
    first, again = (
        compare({"tpe": make_spec(sampler={"kind": "tpe"})}, TABLE, seeds=[3], slots=3)[0]
        for _ in range(2)
    )
    assert first.as_json() == again.as_json()
    assert first.volumes.tolist() == again.volumes.tolist()


def test_trainings_are_shared_where_the_sweep_shares_them(elsewhere: Path) -> None:
    cached = make_spec(execution={"cache": "auto", "siblings": False}, budget={"trials": 12})
    (found,) = compare({"cached": cached}, TABLE, seeds=[0], slots=1)
    # Four trainings, and twelve evaluations.
    assert found.seconds == 4 * 3.0 + 12 * 1.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_simulation_that_a_signal_cuts_short_is_no_result(
    elsewhere: Path, number: signal.Signals
) -> None:
    asked = itertools.count()

    def interrupted(params: Params, seed: int) -> Recording:
        if next(asked) == 3:
            os.kill(os.getpid(), number)
        return recorded(params, seed)

    class Interrupting(Table):
        recording = staticmethod(interrupted)

    table = Interrupting(TABLE.recordings, TABLE.source)
    with pytest.raises(KeyboardInterrupt, match=number.name):
        compare({"a": make_spec(), "b": make_spec()}, table, seeds=[0, 1], slots=1)
    # Neither the rest of the first sweep was simulated, nor any other.
    assert next(asked) <= 5


def test_a_reference_is_not_replayed(elsewhere: Path) -> None:
    (found,) = compare({"a": make_spec(reference=True)}, TABLE, seeds=[0], slots=1)
    assert (found.complete, found.failed) == (6, 0)


def test_what_a_table_lacks_is_told_before_the_first_trial(elsewhere: Path) -> None:
    lacking = Table(TABLE.recordings[:-2], "ten trials")
    with pytest.raises(OrchestratorError, match=r"ten trials lacks 2 of the space's 12") as caught:
        compare({"a": make_spec()}, lacking, seeds=[0], slots=1)
    assert "fc_width_1=64, bits=4" in str(caught.value)
    assert "--trials 12" in str(caught.value)


def test_fronts_of_other_objectives_are_not_compared(elsewhere: Path) -> None:
    variants = {"a": make_spec(), "b": make_spec(objectives={"accuracy": "maximize"})}
    with pytest.raises(UsageError, match="the same objectives"):
        compare(variants, TABLE, seeds=[0], slots=1)


def test_constraints_that_nothing_meets_leave_nothing_to_find(elsewhere: Path) -> None:
    spec = make_spec(constraints=["accuracy >= 0.999"])
    with pytest.raises(UsageError, match=r"No trial of twelve trials meets .*accuracy >= 0\.999"):
        compare({"a": spec}, TABLE, seeds=[0], slots=1)


def test_a_sweep_without_a_complete_trial_found_nothing() -> None:
    nothing = SimulatedSweep("a", 0, 0, 0, 5.0, np.array([]), np.array([]))
    assert (nothing.complete, nothing.volume) == (0, 0.0)
    assert nothing.seconds_to() == math.inf
    assert (nothing.share, nothing.mean_difference, nothing.epsilon) == (0.0, 1.0, math.inf)


def test_an_interrupted_simulation_is_resumed(elsewhere: Path) -> None:
    """The wall clock of the sweep is simulated; the second run goes on with kept epochs."""
    store = open_store()
    state = StateFolder.find()

    def simulated(**budget: Any) -> float:
        executor = SimulatedExecutor(TABLE.recording, slots=2)
        run(make_spec(budget=budget), store=store, executor=lambda task: executor, state=state)
        return executor.clock()

    assert simulated(trials=6, seconds=6.0) == 6.0
    assert store.sweep("a").stop_reason == "the wall-clock budget of 6 s is used up"
    # Of the second pair one had ended two epochs at that moment, and the other one.
    assert simulated(trials=6) == 2.0 + 1.0 + 1.0 + 4.0 - 1.0
    assert store.sweep("a").state is SweepState.COMPLETE
    assert [trial.attempts for trial in store.trials("a")] == [1, 1, 2, 2, 1, 1]
    once = {trial.number: trial.values for trial in store.trials("a")}
    (undisturbed,) = compare({"a": make_spec()}, TABLE, seeds=[0], slots=2)
    assert len(once) == undisturbed.complete
    store.close()


@pytest.mark.mlflow
def test_a_simulated_sweep_can_be_tracked(elsewhere: Path) -> None:
    store = open_store()
    executor = SimulatedExecutor(TABLE.recording, slots=2)
    spec = make_spec(tracking={"kind": "mlflow"}, budget={"trials": 2})
    run(spec, store=store, executor=lambda task: executor, state=StateFolder(elsewhere / "other"))
    assert all(trial.mlflow_run_id for trial in store.trials("a"))
    assert store.outbox.pending("a") == []
    assert (elsewhere / "other" / "mlflow.db").exists()
    assert not (elsewhere / "state" / "mlflow.db").exists()
    store.close()


TABLES = Path(__file__).parents[3] / "benchmarks" / "tables"


@pytest.mark.parametrize("sweep", sorted(TABLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_tables_of_the_benchmarks_hold_what_their_sweeps_need(sweep: Path) -> None:
    spec, table = load_sweep(sweep), read_table(sweep.with_suffix(".csv.gz"))
    assert {each.seed for each in table.recordings} == {spec.seed}
    assert len(table.recordings) == spec.search_space.size
    for each in table.recordings:
        assert each.params in table
        assert not missing_values(spec.directed, each.values)
        assert len(each.reports) == spec.training.epochs
        # The first milestones of a scheduler that keeps one in three.
        for epoch in (1, 3, 9):
            measured = each.reports[epoch - 1].values
            assert measured["milestone_s"] > 0
            assert 0 <= measured["milestone_accuracy"] <= 1
            assert 0 <= measured["milestone_robust_accuracy"] <= 1
    (found,) = compare(
        {"a": spec.model_copy(update={"budget": BudgetSection(trials=3)})},
        table,
        seeds=[0],
        slots=2,
    )
    assert 0 < found.volume < 1


def test_there_is_a_table() -> None:
    assert list(TABLES.glob("*.yaml"))
