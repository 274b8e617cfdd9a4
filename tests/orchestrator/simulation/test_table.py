"""Recordings: what can be replayed, and what a table answers."""

import math
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.simulation.table import Recording, Table
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, TrialState

VALUES = {"accuracy": 0.5, "train_s": 3.0, "eval_s": 0.5}


def epoch(number: int, **values: float) -> Report:
    return Report(number, {"seconds": 1.0, **values})


def test_what_takes_no_epoch_is_the_start() -> None:
    recording = Recording({"bits": 4}, 0, VALUES, (epoch(1), epoch(2)))
    assert (recording.start_s, recording.eval_s) == (1.0, 0.5)
    assert Recording({"bits": 4}, 0, VALUES).start_s == 3.0
    # Of a training that came from a cache little is left of `train_s`.
    assert Recording({}, 0, {"train_s": 0.1}, (epoch(1), epoch(2))).start_s == 0.0
    assert Recording({}, 0, {}, (epoch(1),)).start_s == 0.0


@pytest.mark.parametrize(
    ("values", "reports", "complaint"),
    [
        (VALUES, (epoch(2),), "each one from 1"),
        (VALUES, (epoch(1), epoch(3)), r"has the epochs \[1, 3\]"),
        (VALUES, (Report(1, {"float_accuracy": 0.5}),), "each epoch needs 'seconds'"),
        ({"accuracy": 0.5}, (), "'train_s'"),
        ({**VALUES, "eval_s": -1.0}, (), "of at least 0"),
        ({**VALUES, "train_s": math.inf}, (), "how long it took"),
        (VALUES, (epoch(1, milestone_s=math.nan),), "how long it took"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    values: dict[str, float], reports: tuple[Report, ...], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        Recording({"bits": 4}, 0, values, reports)


def test_a_table_without_recordings_is_refused() -> None:
    with pytest.raises(UsageError, match="holds no complete trial"):
        Table(())


def test_a_configuration_is_found_whatever_the_order_and_the_type_of_its_numbers() -> None:
    recording = Recording({"bits": 4, "learning_rate": 1.0}, 0, VALUES)
    table = Table((recording,))
    assert table.recording({"learning_rate": 1, "bits": 4.0}, 0) is recording
    assert {"bits": 4, "learning_rate": 1.0} in table
    for other in ({"bits": 4}, {"bits": 4, "learning_rate": True}, {}):
        assert other not in table


def test_a_configuration_that_was_not_recorded_is_a_sentence() -> None:
    table = Table((Recording({"bits": 4}, 0, VALUES),), "grid.csv")
    with pytest.raises(OrchestratorError, match=r"grid\.csv has no trial with bits=8") as caught:
        table.recording({"bits": 8}, 0)
    assert "sampler.kind=grid" in str(caught.value)
    with pytest.raises(OrchestratorError, match="no trial with no parameters"):
        table.recording({}, 0)


def test_seeds_are_counted_through() -> None:
    recordings = [Recording({"bits": 4}, seed, VALUES) for seed in (7, 3)]
    table = Table((*recordings, Recording({"bits": 8}, 0, VALUES)))
    found = [table.recording({"bits": 4}, seed).seed for seed in (3, 7, 0, 1, 2)]
    assert found == [3, 7, 3, 7, 3]
    assert [each.seed for each in table.of_seed(7)] == [7, 0]


def test_of_two_recordings_of_a_trial_the_last_one_counts() -> None:
    older, newer = (Recording({"bits": 4}, 0, {**VALUES, "accuracy": a}) for a in (0.1, 0.9))
    table = Table((older, newer))
    assert table.recording({"bits": 4}, 0) is newer
    assert list(table.of_seed(0)) == [newer]


def test_a_stored_sweep_is_a_table_of_its_complete_trials(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    store.create_sweep("a", {}, "f")
    writer = store.take("a", "test")
    for number, state in enumerate([TrialState.COMPLETE, TrialState.STOPPED]):
        trial = writer.add_trial({"bits": 4 + number}, seed=3)
        attempt = writer.start_attempt(trial.number, "here")
        writer.add_reports(trial.number, attempt.number, [epoch(1), epoch(2)])
        writer.finish_attempt(trial.number, attempt.number, Outcome(state, VALUES))
    table = Table.of_sweep("a", store)
    assert table.recordings == (Recording({"bits": 4}, 3, VALUES, (epoch(1), epoch(2))),)
    assert table.source == "Sweep 'a'"
    with pytest.raises(UnknownNameError, match="'b'"):
        Table.of_sweep("b", store)
    store.close()
