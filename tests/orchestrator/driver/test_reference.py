"""The full-size network as trials of a sweep: stored first, resumed, never told to a sampler."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.outcomes import outcomes_of
from orchestrator.contracts import Job, Outcome, Silent, Store
from orchestrator.driver.loop import Parts, SweepLoop
from orchestrator.driver.running import run
from orchestrator.errors import OrchestratorError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.sampling import build_sampler
from orchestrator.scheduling.fifo import Fifo
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import REFERENCE_ATTRS, Failure, FailureKind, TrialState

SPACE = {
    "fc_width_1": {"type": "int", "low": 1, "high": 512},
    "bits": {"type": "choice", "values": [2, 4, 8]},
    "fc_bits": {"type": "choice", "values": [2, 8]},
}
VALUES = {"accuracy": 0.5, "memory_bytes": 1000.0}


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits"},
        "space": SPACE,
        "training": {"epochs": 7, "learning_rate": 0.01},
        "head": {"widths": [9]},
        "quantization": {"bits": 4, "fc_bits": 4},
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "budget": {"trials": 4},
        "reference": True,
        "seed": 10,
    }
    return SweepSpec.model_validate({**given, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    yield store
    store.close()


def loop(store: Store, folder: Path, spec: SweepSpec) -> SweepLoop:
    store.create_sweep("a", spec.model_dump(mode="json"), spec.fingerprint())
    sampler = build_sampler(
        spec.sampler.kind, spec.search_space, spec.directed, spec.limits, spec.seed
    )
    writer = store.take("a", "nobody", lease_s=0.0)
    parts = Parts(store, writer, sampler, Fifo(), Silent(), StateFolder(folder), "test")
    return SweepLoop(spec, parts)


def finish(running: SweepLoop, most: int = 99, outcome: Outcome | None = None) -> list[Job]:
    """Run one job after another."""
    jobs: list[Job] = []
    while len(jobs) < most and (job := running.next_job()) is not None:
        running.started(job)
        running.ended(job, outcome or Outcome(TrialState.COMPLETE, VALUES))
        jobs.append(job)
    return jobs


def references(store: Store) -> list[int]:
    return [trial.number for trial in store.trials("a") if trial.is_reference]


def test_the_first_trial_is_the_full_network_in_floating_point_trained_as_the_file_says(
    store: Store, tmp_path: Path
) -> None:
    first, *others = finish(loop(store, tmp_path, make_spec()))
    config = first.config
    assert (config.widths, config.fc_rule) == (None, None)
    assert (config.bits, config.fc_bits) == (32, 32)
    assert (config.epochs, config.learning_rate, config.seed) == (7, 0.01, 10)
    assert references(store) == [0]
    assert store.trial("a", 0).params == {}
    assert all(job.config.widths is not None for job in others)
    assert len(store.trials("a")) == 4  # the reference is part of the budget


def test_each_replicate_has_its_reference_with_its_seed(store: Store, tmp_path: Path) -> None:
    finish(loop(store, tmp_path, make_spec(replicates=2, budget={"trials": 6})))
    trials = store.trials("a")
    assert [(t.is_reference, t.replicate, t.seed) for t in trials] == [
        (True, 0, 10), (True, 1, 11), (False, 0, 10), (False, 1, 11), (False, 0, 10),
        (False, 1, 11),
    ]  # fmt: skip
    assert [t.number for t in open_sweep("a", store).reference.trials] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("died_after", range(7))
@pytest.mark.parametrize("kind", ["tpe", "nsga2", "random"])
def test_a_driver_that_died_makes_no_difference(
    store: Store, tmp_path: Path, died_after: int, kind: str
) -> None:
    spec = make_spec(replicates=2, budget={"trials": 6}, sampler={"kind": kind})
    finish(loop(store, tmp_path, spec), most=died_after)
    loop(store, tmp_path, spec).next_job()  # and nobody hears of it again
    finish(loop(store, tmp_path, spec))
    trials = store.trials("a")
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 6
    assert references(store) == [0, 1]
    assert [t.replicate for t in trials] == [0, 1] * 3


def test_a_driver_that_died_between_two_references_leaves_one_to_be_stored(
    store: Store, tmp_path: Path
) -> None:
    spec = make_spec(replicates=2)
    store.create_sweep("a", spec.model_dump(mode="json"), spec.fingerprint())
    writer = store.take("a", "nobody", lease_s=0.0)
    writer.add_trial({}, seed=10, replicate=0, sampler_attrs=REFERENCE_ATTRS)
    finish(loop(store, tmp_path, spec))
    assert references(store) == [0, 1]
    assert [trial.seed for trial in store.trials("a")] == [10, 11, 10, 11]


def test_the_sampler_proposes_what_it_would_without_a_reference(
    store: Store, tmp_path: Path
) -> None:
    finish(loop(store, tmp_path, make_spec(budget={"trials": 6}, sampler={"kind": "tpe"})))
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    without = make_spec(reference=False, budget={"trials": 5}, sampler={"kind": "tpe"})
    finish(loop(other, tmp_path, without))
    assert [t.params for t in store.trials("a")][1:] == [t.params for t in other.trials("a")]
    other.close()


def test_a_reference_may_be_asked_for_when_the_budget_is_used_up(
    store: Store, tmp_path: Path
) -> None:
    before = make_spec(reference=False)
    finish(loop(store, tmp_path, before))
    assert references(store) == []
    assert before.fingerprint() == make_spec().fingerprint()
    (job,) = finish(loop(store, tmp_path, make_spec()))
    assert (job.trial, job.config.widths) == (4, None)
    assert references(store) == [4]
    assert finish(loop(store, tmp_path, make_spec())) == []


def test_a_reference_that_was_interrupted_is_taken_up_as_what_it_is(
    store: Store, tmp_path: Path
) -> None:
    finish(loop(store, tmp_path, make_spec()), most=1, outcome=Outcome(TrialState.INTERRUPTED))
    (again,) = finish(loop(store, tmp_path, make_spec()), most=1)
    assert (again.trial, again.attempt) == (0, 1)
    assert (again.config.widths, again.config.bits) == (None, 32)


def test_the_plateau_counts_the_search_alone(store: Store, tmp_path: Path) -> None:
    spec = make_spec(replicates=3, budget={"trials": 99, "plateau": 2})
    jobs = finish(loop(store, tmp_path, spec))
    # Three references, then the first of the search changes the front, and two more do not.
    assert len(jobs) == 6


def test_a_sweep_without_a_reference_says_how_to_get_one(store: Store, tmp_path: Path) -> None:
    finish(loop(store, tmp_path, make_spec(reference=False)))
    with pytest.raises(OrchestratorError, match="write 'reference: true' into its sweep file"):
        _ = open_sweep("a", store).reference


def test_a_reference_that_failed_is_none(store: Store, tmp_path: Path) -> None:
    failed = Outcome(TrialState.FAILED, failure=Failure(FailureKind.ERROR, "too large"))
    finish(loop(store, tmp_path, make_spec()), most=1, outcome=failed)
    finish(loop(store, tmp_path, make_spec()))
    assert references(store) == [0]  # not tried again
    with pytest.raises(OrchestratorError, match="not measured: trial 0 is failed"):
        _ = open_sweep("a", store).reference


@pytest.mark.slow
def test_a_finished_sweep_is_given_its_reference_and_both_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))
    changes: dict[str, Any] = {
        "data": {"name": "digits", "limit": 400},
        "training": {"epochs": 1},
        "objectives": {
            "accuracy": "maximize",
            "memory_bytes": "minimize",
            "robust_accuracy": {"direction": "maximize", "attack": "fgsm", "samples": 50},
        },
        "budget": {"trials": 1},
        "tracking": {"kind": "none"},
    }
    run(make_spec(reference=False, **changes), executor=InlineExecutor)
    run(make_spec(**changes), executor=InlineExecutor)
    sweep = open_sweep("a")
    sized, full = sweep.trials()
    assert (sized.is_reference, full.is_reference) == (False, True)
    assert full.values["memory_bytes"] > sized.values["memory_bytes"]
    assert {"test_accuracy", "test_robust_accuracy"} <= full.values.keys()
    for trial in (sized, full):
        for name in ("accuracy", "robust_accuracy"):
            assert outcomes_of(trial, name).right.mean() == trial.values[name]
    ours, theirs = (outcomes_of(trial, "robust_accuracy") for trial in (sized, full))
    assert ours.same_images(theirs)
    keep = ["accuracy", "robust_accuracy"]
    picked = sweep.front().smallest(keep=keep, reference=sweep.reference, margin=0.9)
    assert picked.trial == sized.number
    assert "On test, which had no say in this: accuracy" in picked.reason
