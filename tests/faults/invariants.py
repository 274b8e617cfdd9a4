"""What must be true after any fault, once the sweep has been brought to its end."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.places import LostNetworkError, network_file
from orchestrator.trials import Trial, TrialState
from tests.faults.mirrored import unmirrored
from tests.faults.testbed import BITS, NAME, WIDTHS, Testbed

Values = Mapping[int, Mapping[str, float]]


def values_of(testbed: Testbed) -> Values:
    """What each trial measured of its network."""
    store = testbed.store()
    trials = store.trials(NAME)
    store.close()
    return {trial.number: steady(trial) for trial in trials}


def violations(testbed: Testbed, undisturbed: Values) -> list[str]:
    """Sentences for every promise that is broken; none is as it should be.

    Args:
        testbed: After its sweep was brought to an end and `paretune sync` was run.
        undisturbed: What the same sweep measures when nothing happens to it.
    """
    return [
        *_of_trials(testbed, undisturbed),
        *_of_times(testbed),
        *unmirrored(testbed),
        *_of_files(testbed),
        *_of_the_lease(testbed),
    ]


def _of_trials(testbed: Testbed, undisturbed: Values) -> Iterator[str]:
    store = testbed.store()
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
        elif steady(trial) != undisturbed[trial.number]:
            yield f"trial {trial.number} measured something else than without the fault"
    with _environment(testbed):
        for trial in trials:
            try:
                if trial.artifact:
                    network_file(trial.artifact, f"trial {trial.number}")
            except LostNetworkError as error:
                yield str(error)


def _of_times(testbed: Testbed) -> Iterator[str]:
    """Nothing ends before it began, whatever the clock did."""
    store = testbed.store()
    sweep, trials = store.sweep(NAME), store.trials(NAME)
    spans: dict[str, tuple[datetime | None, datetime | None]] = {}
    spans["the sweep"] = (sweep.created, sweep.ended)
    for trial in trials:
        spans[f"trial {trial.number}"] = (trial.created, trial.ended)
        for attempt in store.attempts(NAME, trial.number):
            name = f"attempt {attempt.number} of trial {trial.number}"
            spans[name] = (attempt.started, attempt.ended)
    store.close()
    for name, (began, ended) in spans.items():
        if began is None or ended is None or ended < began:
            yield f"{name} began {began} and ended {ended}"


def _of_files(testbed: Testbed) -> Iterator[str]:
    for path in (testbed.state / "sweeps").rglob("*"):
        if path.name.startswith(".") or "checkpoint" in path.name:
            yield f"{path.relative_to(testbed.state)} was left behind"


def _of_the_lease(testbed: Testbed) -> Iterator[str]:
    store = testbed.store()
    try:
        store.take(NAME, "elsewhere:1:1").release()
    except OrchestratorError as error:
        yield f"the lease is not free: {error}"
    finally:
        store.close()


def steady(trial: Trial) -> Mapping[str, float]:
    """Without times, and without what was at hand in the stage cache."""
    return {
        name: value
        for name, value in trial.values.items()
        if not name.endswith("_s") and name != "cached_stages"
    }


@contextmanager
def _environment(testbed: Testbed) -> Iterator[None]:
    """What a command of the testbed has in its environment: the way to a storage."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**testbed.environment, "PARETUNE_HOME": str(testbed.state)}.items():
            patch.setenv(name, value)
        yield
