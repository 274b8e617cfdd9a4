"""What must be true after any fault, once the sweep has been brought to its end."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.trials import Trial, TrialState
from tests.faults.world import BITS, NAME, TRIALS, WIDTHS, World

Values = Mapping[int, Mapping[str, float]]


def values_of(world: World) -> Values:
    """What each trial measured, times left out."""
    store = world.store()
    trials = store.trials(NAME)
    store.close()
    return {trial.number: _steady(trial) for trial in trials}


def violations(world: World, undisturbed: Values) -> list[str]:
    """Sentences for every promise that is broken; none is as it should be.

    Args:
        world: After its sweep was brought to an end and `paretune sync` was run.
        undisturbed: What the same sweep measures when nothing happens to it.
    """
    return [
        *_of_trials(world, undisturbed),
        *_of_mlflow(world),
        *_of_files(world),
        *_of_the_lease(world),
    ]


def _of_trials(world: World, undisturbed: Values) -> Iterator[str]:
    store = world.store()
    trials = store.trials(NAME)
    store.close()
    expected = Counter((width, bits) for width in WIDTHS for bits in BITS)
    found = Counter((t.params["fc_width_1"], t.params["bits"]) for t in trials)
    if found != expected:
        yield f"the configurations are {dict(found)}, not each of the grid once"
    for trial in trials:
        if trial.state is not TrialState.COMPLETE:
            reason = trial.failure.kind.value if trial.failure else "no reason"
            yield f"trial {trial.number} is {trial.state.value}: {reason}"
        elif _steady(trial) != undisturbed[trial.number]:
            yield f"trial {trial.number} measured something else than without the fault"
        if trial.artifact and not _has(trial.artifact.path, trial.artifact.bytes):
            yield f"the artifact of trial {trial.number} is not the file that was stored"


def _of_mlflow(world: World) -> Iterator[str]:
    """Exactly one ended run an attempt, and one parent."""
    runs = _runs(world)
    store = world.store()
    attempts = {
        (str(trial.number), str(attempt.number))
        for trial in store.trials(NAME)
        for attempt in store.attempts(NAME, trial.number)
    }
    store.close()
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    if len(runs) - len(nested) != 1:
        yield f"MLflow has {len(runs) - len(nested)} parent runs"
    if len(nested) != len(attempts):
        yield f"MLflow has {len(nested)} runs for {len(attempts)} attempts"
    for run in runs:
        if run.info.status not in ("FINISHED", "FAILED", "KILLED"):
            yield f"MLflow's run {run.info.run_name} is {run.info.status}"
    finished = sum(run.info.status == "FINISHED" for run in nested)
    if finished != TRIALS:
        yield f"{finished} of MLflow's runs are FINISHED, for {TRIALS} trials"


def _of_files(world: World) -> Iterator[str]:
    for path in (world.state / "sweeps").rglob("*"):
        if path.name.startswith(".") or "checkpoint" in path.name:
            yield f"{path.relative_to(world.state)} was left behind"


def _of_the_lease(world: World) -> Iterator[str]:
    store = world.store()
    try:
        store.take(NAME, "elsewhere:1:1").release()
    except OrchestratorError as error:
        yield f"the lease is not free: {error}"
    finally:
        store.close()


def _runs(world: World) -> list:  # type: ignore[type-arg]
    from mlflow.tracking import MlflowClient

    with warnings.catch_warnings():
        # MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        client = MlflowClient(tracking_uri=world.mlflow_uri)
        (experiment,) = [e for e in client.search_experiments() if e.name == NAME]
        return list(client.search_runs([experiment.experiment_id], max_results=1000))


def _steady(trial: Trial) -> Mapping[str, float]:
    return {name: value for name, value in trial.values.items() if not name.endswith("_s")}


def _has(path: str, size: int) -> bool:
    return Path(path).is_file() and Path(path).stat().st_size == size
