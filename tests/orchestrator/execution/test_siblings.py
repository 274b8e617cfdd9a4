"""A real sweep whose finished trainings bring their siblings, inline and on Ray."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.contracts import Store
from orchestrator.driver.running import run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.ray_executor import RayExecutor
from orchestrator.execution.task import Task
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Trial, TrialState

MakeSpec = Callable[..., SweepSpec]
TIMES = {"train_s", "eval_s", "cached_stages"}
SPACE = {
    "fc_width_1": {"type": "choice", "values": [4, 8]},
    "bits": {"type": "choice", "values": [3, 8, 32]},
}


def measured(trial: Trial) -> dict[str, float]:
    return {name: value for name, value in trial.values.items() if name not in TIMES}


def by_params(trials: list[Trial]) -> dict[tuple[object, ...], dict[str, float]]:
    return {(*sorted(trial.params.items()), trial.seed): measured(trial) for trial in trials}


@pytest.mark.slow
def test_siblings_share_a_training_and_measure_what_they_would_have_measured_alone(
    store: Store, make_spec: MakeSpec
) -> None:
    grid = {"space": SPACE, "sampler": {"kind": "grid"}, "budget": {"trials": 6}}
    # One after another, so that it is known which one is the origin.
    shared = make_spec(**grid, execution={"fuse": "off"})
    alone = make_spec(**grid, name="alone", execution={"cache": "off", "fuse": "off"})
    for spec in (shared, alone):
        assert run(spec, store=store, executor=InlineExecutor).complete == 6
    trials = store.trials("tiny")
    assert by_params(trials) == by_params(store.trials("alone"))
    origins = [trial.origin for trial in trials]
    assert origins == [None, 0, 0, None, 3, 3]
    for trial in trials:
        origin = trials[trial.origin or 0] if trial.origin is not None else trial
        assert trial.params["fc_width_1"] == origin.params["fc_width_1"]
        reports = store.reports("tiny", trial.number)
        assert [report.epoch for report in reports] == [1, 2]
        spent = sum(report.values["seconds"] for report in reports)
        assert (spent == 0) == (trial.origin is not None)
    # The training, or the features for another head; later those of the packed backbone too.
    assert [trial.values["cached_stages"] for trial in trials] == [0, 1, 1, 2, 2, 2]
    assert {trial.values["cached_stages"] for trial in store.trials("alone")} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"siblings": False}, {"cache": "off"}])
def test_there_are_no_siblings_where_they_are_not_wanted(
    store: Store, make_spec: MakeSpec, changes: dict[str, object]
) -> None:
    spec = make_spec(space=SPACE, execution=changes, training={"epochs": 1, "batch_size": 64})
    run(spec, store=store, executor=InlineExecutor)
    assert {trial.origin for trial in store.trials("tiny")} == {None}


@pytest.mark.slow
def test_a_sweep_takes_trainings_from_one_before_it_wherever_the_cache_is(
    store: Store, make_spec: MakeSpec, tmp_path: Path
) -> None:
    elsewhere = {"cache": (tmp_path / "shared").as_uri(), "siblings": False}
    first = make_spec(space=SPACE, sampler={"kind": "grid"}, execution=elsewhere)
    second = make_spec(**first.model_dump(mode="json") | {"name": "second"})
    for spec in (first, second):
        run(spec, store=store, executor=InlineExecutor)
    assert by_params(store.trials("tiny")) == by_params(store.trials("second"))
    assert all(trial.values["cached_stages"] == 2 for trial in store.trials("second"))
    assert not StateFolder.find().cache.exists()


@pytest.mark.ray
def test_workers_share_trainings_over_the_cache(
    store: Store, make_spec: MakeSpec, ray_cluster: None
) -> None:
    spec = make_spec(space=SPACE, budget={"trials": 6}, sampler={"kind": "tpe"}, replicates=1)

    def on_ray(task: Task) -> RayExecutor:
        return RayExecutor(task)

    assert run(spec, store=store, executor=on_ray).complete == 6
    trials = store.trials("tiny")
    siblings = [trial for trial in trials if trial.origin is not None]
    assert siblings
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == 6
    for trial in siblings:
        assert trial.values["cached_stages"] in (1, 2)
        assert store.trial("tiny", trial.origin or 0).state is TrialState.COMPLETE
