"""What runs now: each running trial's epochs and time left, and the time left of the sweep."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from orchestrator.contracts import Store
from orchestrator.trials import Standing, SweepRecord, SweepState, Trial

Record = dict[str, object]


def running_records(
    store: Store, sweep: SweepRecord, trials: Sequence[Trial], now: datetime
) -> list[Record]:
    """Describe running trials: worker, epochs done and planned, seconds, the newest values.

    The seconds that are left are those of the epochs that are left, at the pace of the attempt so
    far; None where an attempt took over epochs of an earlier one, whose pace is not known.
    """
    return [_running(store, sweep, trial, now) for trial in trials]


def _running(store: Store, sweep: SweepRecord, trial: Trial, now: datetime) -> Record:
    attempts = store.attempts(sweep.name, trial.number)
    reports = store.reports(sweep.name, trial.number)
    last = reports[-1] if reports else None
    epoch, planned = last.epoch if last else 0, planned_epochs(sweep.spec, trial.params)
    spent = (now - attempts[-1].started).total_seconds() if attempts else 0.0
    left = None
    if epoch and planned and len(attempts) == 1:
        left = spent / epoch * max(planned - epoch, 0)
    return {
        "trial": trial.number,
        "worker": attempts[-1].worker if attempts else "",
        "attempt": len(attempts),
        "epoch": epoch,
        "epochs": planned,
        "spent_s": spent,
        "left_s": left,
        "values": dict(last.values) if last else {},
    }


def planned_epochs(spec: Mapping[str, object], params: Mapping[str, object]) -> int | None:
    """Return how many epochs a trial is to be trained; None if the spec does not say.

    >>> planned_epochs({"training": {"epochs": 12}}, {}), planned_epochs({}, {"epochs": 3})
    (12, 3)
    """
    training = spec.get("training")
    of_sweep = training.get("epochs") if isinstance(training, Mapping) else None
    epochs = params.get("epochs", of_sweep)
    return epochs if isinstance(epochs, int) else None


def seconds_left(sweep: SweepRecord, standings: Sequence[Standing], now: datetime) -> float | None:
    """Estimate the seconds that remain of a sweep that runs, at the pace of its present driver.

    The first limit that is reached counts: the trials of the budget, or its seconds, which begin
    anew with each run. None while neither can be told.

    >>> from datetime import UTC
    >>> from orchestrator.trials import Driver, TrialState
    >>> at = lambda minute: datetime(2026, 1, 1, 12, minute, tzinfo=UTC)
    >>> driver = Driver("node7:12:34", since=at(0), heard=at(9), expires=at(11))
    >>> spec = {"budget": {"trials": 6}}
    >>> sweep = SweepRecord("s", spec, "", SweepState.RUNNING, at(0), driver=driver)
    >>> seconds_left(sweep, [Standing(0, TrialState.COMPLETE, at(5))], now=at(10))
    3000.0
    """
    if sweep.state is not SweepState.RUNNING or sweep.driver is None:
        return None
    budget = sweep.spec.get("budget")
    limits = budget if isinstance(budget, Mapping) else {}
    spent = (now - sweep.driver.since).total_seconds()
    left = []
    if limits.get("seconds"):
        left.append(max(float(limits["seconds"]) - spent, 0.0))
    final = [each for each in standings if each.state.is_final]
    ended = sum(each.ended is not None and each.ended >= sweep.driver.since for each in final)
    if limits.get("trials") and ended:
        left.append(max(int(limits["trials"]) - len(final), 0) * spent / ended)
    return min(left, default=None)
