"""A condition chooses the same trials from columns as from trials, and reads only those."""

import random
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome, Store
from orchestrator.errors import UnknownNameError
from orchestrator.fronts.filters import Filter
from orchestrator.queries.conditions import facts_of, row_of
from orchestrator.queries.sweeps import count_sweeps, open_sweep
from orchestrator.storage import open_store
from orchestrator.storage.sql_store import SqlStore
from orchestrator.trials import SweepState, TrialState

SPEC = {
    "backbone": {"name": "digitnet"},
    "space": {"bits": {"type": "int"}},
    "objectives": {"accuracy": "maximize"},
}
CONDITIONS = [
    "bits <= 4",
    "bits == 4 and accuracy > 0.5",
    "accuracy < 0.5 or state == 'failed'",
    "not accuracy > 0.5",
    "optimizer == 'sgd' and backbone == 'digitnet'",
    "trial >= 1020 and trial < 1030",
    "state in ['waiting', 'running', 'stopped']",
    "augment == true",
    "not augment == false and bits > 6",
    "sweep == 'a' and epochs == 3",
]

# A sweep of 1,100 trials takes seconds to write.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'sweeps.db'}")
    store.create_sweep("a", SPEC, "f")
    writer, rng = store.take("a", "test"), random.Random(0)
    ends = [TrialState.COMPLETE] * 3 + [TrialState.STOPPED, TrialState.FAILED]
    for number in range(1_100):
        params = {"bits": rng.randint(2, 8), "optimizer": rng.choice(["sgd", "adamw"])}
        # As a method of its own, `epochs` is both a parameter and a value.
        params |= rng.choice([{"augment": True}, {"augment": False}, {"epochs": 3}])
        writer.add_trial(params, seed=0)
        if number > 1_090 and number % 2:
            continue
        writer.start_attempt(number, "w")
        if number > 1_080:
            continue
        values = {"accuracy": rng.random(), **rng.choice([{}, {"epochs": 3.0}])}
        writer.finish_attempt(number, 0, Outcome(rng.choice(ends), values))
    writer.set_sweep_state(SweepState.INTERRUPTED)
    writer.release()
    return store


@pytest.mark.parametrize("where", CONDITIONS)
def test_columns_choose_as_trials_do(store: Store, where: str) -> None:
    condition, facts = Filter.parse(where), facts_of(store.sweep("a"))
    expected = [trial for trial in store.trials("a") if condition.keep(row_of(trial, facts))]
    assert 0 < len(expected) < 1_100
    assert open_sweep("a", store).trials(where) == expected


def test_an_unknown_name_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(UnknownNameError, match="accuracy"):
        open_sweep("a", store).trials("acuracy > 0.5")


def test_trials_that_do_not_fulfill_it_are_not_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlStore, "trials", None)
    assert len(open_sweep("a", store).trials("trial < 3")) == 3


def test_sweeps_are_counted_with_one_opening(store: Store, tmp_path: Path) -> None:
    ((record, counts),) = count_sweeps(store)
    assert record.name == "a"
    assert counts == open_sweep("a", store).count_states()
