"""The same seed, the same sweep: whatever the order in which trials end, and whoever is killed."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.contracts import Decision, Outcome
from orchestrator.driver.schedulers import scheduler_of
from orchestrator.errors import UsageError
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, TrialState
from tests.orchestrator import driving
from tests.orchestrator.driving import Driver, make_spec

store, drive = driving.store, driving.drive

SPACE = {
    "fc_width_1": {"type": "choice", "values": [8, 16, 32, 64]},
    "learning_rate": {"type": "choice", "values": [0.001, 0.003, 0.01]},
    "bits": {"type": "choice", "values": [2, 3, 4, 8]},
}
Sweep = list[tuple[Mapping[str, Any], int, object, Mapping[str, float]]]


def outcome(params: Mapping[str, Any]) -> Outcome:
    """What a training of these parameters would have measured; one in some fails."""
    if not params:  # The reference.
        return Outcome(TrialState.COMPLETE, {"accuracy": 1.0, "memory_bytes": 4096.0})
    width, bits = float(params["fc_width_1"]), float(params["bits"])
    if width == 8 and bits == 2:
        return Outcome(TrialState.FAILED)
    accuracy = 1 - 1 / width - abs(params["learning_rate"] - 0.003) * 10 - 0.3 / bits
    return Outcome(TrialState.COMPLETE, {"accuracy": accuracy, "memory_bytes": width * bits})


def played(
    folder: Path,
    order: random.Random,
    *,
    slots: int = 3,
    kills: int = 0,
    **changes: Any,
) -> Sweep:
    """A sweep whose trials end in an order of chance; a killed driver leaves its own running."""
    given = {
        "space": SPACE,
        "sampler": {"kind": "tpe"},
        "budget": {"trials": 16},
        "execution": {"reproducible": True, "max_slots": slots, "siblings": False},
    }
    spec = make_spec(**{**given, **changes})
    store = open_store(f"sqlite:///{folder / 'sweeps.db'}")
    moments = sorted(order.sample(range(1, 16), kills))
    driver, running, ended = Driver(store, folder, spec), [], 0
    while True:
        while len(running) < slots and (job := driver.start()) is not None:
            running.append(job)
        if not running:
            break
        job = running.pop(order.randrange(len(running)))
        driver.loop.ended(job, outcome(job.params))
        ended += 1
        if moments and ended == moments[0]:
            del moments[0]
            driver, running = Driver(store, folder, spec), []
    trials = store.trials("a")
    store.close()
    assert all(trial.state.is_final for trial in trials)
    return [(t.params, t.seed, t.origin, t.values) for t in trials]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_trials_are_the_same_whatever_the_order_in_which_they_end(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def sweep(order: random.Random, kills: int = 0) -> Sweep:
        changes = {"sampler": {"kind": kind}}
        return played(tmp_path_factory.mktemp("sweep"), order, kills=kills, **changes)

    first = sweep(random.Random(0))
    assert len({str(each) for each in first}) == len(first) == 16

    @settings(max_examples=4, deadline=None)
    @given(order=st.randoms(use_true_random=False), kills=st.integers(0, 3))
    def same(order: random.Random, kills: int) -> None:
        assert sweep(order, kills) == first

    same()


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"execution": {"reproducible": True, "max_slots": 3, "siblings": True}},
        {"reference": True, "replicates": 2},
        {"execution": {"reproducible": True, "max_slots": 1}, "slots": 1},
    ],
    ids=["siblings", "reference and replicates", "one slot"],
)
def test_what_else_is_proposed_is_the_same_too(
    changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    sweeps = [
        played(tmp_path_factory.mktemp("sweep"), random.Random(seed), kills=seed, **changes)
        for seed in range(3)
    ]
    assert sweeps[0] == sweeps[1] == sweeps[2]
    if "siblings" in str(changes):
        assert any(origin is not None for _, _, origin, _ in sweeps[0])


@pytest.mark.slow
def test_more_trials_later_are_those_of_a_longer_sweep(tmp_path: Path) -> None:
    folders = [tmp_path / "whole", tmp_path / "grown"]
    for folder in folders:
        folder.mkdir()
    whole = played(folders[0], random.Random(1))
    played(folders[1], random.Random(2), budget={"trials": 9})
    assert played(folders[1], random.Random(3)) == whole


def judged(folder: Path, order: random.Random, kills: int) -> list[object]:
    """A sweep under MO-ASHA on three slots, whose trials report in an order of chance."""
    spec = make_spec(
        space=SPACE,
        sampler="tpe",
        budget=24,
        training={"epochs": 4},
        scheduler="moasha",
        execution={"reproducible": True, "max_slots": 3},
    )
    store = open_store(f"sqlite:///{folder / 'sweeps.db'}")
    moments = sorted(order.sample(range(1, 60), kills))
    driver, running, told = Driver(store, folder, spec, scheduler_of(spec)), [], 0
    epochs: dict[int, int] = {}
    while True:
        while len(running) < 3 and (job := driver.start()) is not None:
            running.append(job)
        if not running:
            break
        job = running.pop(order.randrange(len(running)))
        found = outcome(job.params)
        accuracy = found.values.get("accuracy", 0.0)
        epoch = epochs[job.trial] = epochs.get(job.trial, 0) + 1
        # Curves that cross, so that an early verdict is not the last one.
        early = accuracy * epoch / 4 - job.params["learning_rate"] * (4 - epoch)
        values = {"milestone_accuracy": early} if epoch in job.milestones else {}
        verdict = driver.loop.reported(job, [Report(epoch, values)])
        if verdict is Decision.STOP:
            driver.loop.ended(job, Outcome(TrialState.STOPPED))
        elif epoch == 4:
            driver.loop.ended(job, found)
        else:
            running.append(job)
        told += 1
        if moments and told == moments[0]:
            del moments[0]
            driver, running = Driver(store, folder, spec, scheduler_of(spec)), []
    trials = [
        (t.params, t.seed, t.state, t.values, store.reports("a", t.number))
        for t in store.trials("a")
    ]
    store.close()
    return trials


@pytest.mark.slow
def test_a_scheduler_stops_the_same_trials_whatever_the_order_in_which_they_report(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    sweeps = [
        judged(tmp_path_factory.mktemp("sweep"), random.Random(seed), kills=seed)
        for seed in range(5)
    ]
    assert all(sweep == sweeps[0] for sweep in sweeps)
    states = [state for _, _, state, _, _ in sweeps[0]]
    assert {TrialState.STOPPED, TrialState.COMPLETE} <= set(states)


def test_a_sweep_that_was_begun_otherwise_is_not_taken_up_as_reproducible(
    drive: Callable[..., Driver],
) -> None:
    given = {"space": SPACE, "sampler": {"kind": "tpe"}, "budget": {"trials": 16}}
    drive(**given, execution={"siblings": False}).run(lambda job: outcome(job.params))
    with pytest.raises(UsageError, match="begun without it, with another max_slots"):
        drive(**given, execution={"reproducible": True, "max_slots": 4, "siblings": False})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"execution": {"reproducible": True}}, "write max_slots"),
        ({"budget": {"seconds": 60}}, "limit it by budget.trials alone"),
        ({"objectives": {"accuracy": "maximize", "latency_ms": "minimize"}}, "latency_ms is"),
        ({"scheduler": "mine:make", "training": {"epochs": 4}}, "mine:make is code of your own"),
        (
            {
                "scheduler": "moasha",
                "training": {"epochs": 4},
                "execution": {"reproducible": True, "max_slots": 2, "siblings": True},
            },
            "leave siblings out",
        ),
    ],
)
def test_what_a_clock_decides_is_refused_with_a_sentence(
    changes: dict[str, Any], said: str
) -> None:
    execution = {"reproducible": True, "max_slots": 2}
    with pytest.raises(ValueError, match=said):
        make_spec(**{"execution": execution, **changes})
