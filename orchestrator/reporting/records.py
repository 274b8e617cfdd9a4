"""Trials, attempts and sweeps as the plain records that ``--format json`` prints."""

from collections.abc import Mapping, Sequence

from orchestrator.fronts.front import Front
from orchestrator.objectives import Objective
from orchestrator.queries.records import Record, trial_record
from orchestrator.queries.trial_log import Event
from orchestrator.trials import Attempt, Choice, FailureKind, Report, SweepRecord, Trial


def trial_details(trial: Trial, attempts: Sequence[Attempt], reports: Sequence[Report]) -> Record:
    """Describe one trial with every attempt, every report and its artifact.

    >>> from orchestrator.trials import TrialState
    >>> details = trial_details(Trial("digits", 3, {}, 0, TrialState.WAITING), [], [])
    >>> details["trial"], details["artifact_bytes"], details["attempts"]
    (3, None, [])
    """
    artifact = trial.artifact
    return trial_record(trial) | {
        "created": trial.created,
        "ended": trial.ended,
        "origin": trial.origin,
        "artifact_bytes": artifact.bytes if artifact else None,
        "artifact_sha256": artifact.sha256 if artifact else None,
        "attempts": [_attempt_record(attempt) for attempt in attempts],
        "reports": [{"epoch": r.epoch, "values": dict(r.values)} for r in reports],
    }


def choice_record(choice: Choice) -> Record:
    """Describe what a person decided about a trial.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import ChoiceKind
    >>> made = datetime(2026, 1, 1, tzinfo=UTC)
    >>> choice_record(Choice(3, ChoiceKind.PICKED, "small", "ada", made))["kind"]
    'picked'
    """
    return {
        "trial": choice.trial,
        "kind": choice.kind.value,
        "note": choice.note,
        "who": choice.who,
        "made": choice.made,
    }


def sweep_record(sweep: SweepRecord, counts: Mapping[str, int]) -> Record:
    """Describe one sweep and how many of its trials are in each state.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> sweep = SweepRecord("digits", {}, "", SweepState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC))
    >>> sweep_record(sweep, {"complete": 3})["trials"]
    {'complete': 3}
    """
    return {
        "sweep": sweep.name,
        "state": sweep.state.value,
        "trials": dict(counts),
        "created": sweep.created,
        "ended": sweep.ended,
        "stop_reason": sweep.stop_reason,
    }


def status_record(
    sweep: SweepRecord,
    counts: Mapping[str, int],
    failures: Mapping[FailureKind, int],
    objectives: Sequence[Objective],
    front: Front,
    lost: Mapping[int, str] | None = None,
) -> Record:
    """Describe the status of a sweep: counts, budget, the best of each objective, the front.

    ``counts`` are trials by state; ``failures`` counts failed attempts by kind, also those that
    were retried; ``lost`` says by trial why packed networks are lost.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> began = datetime(2026, 1, 1, tzinfo=UTC)
    >>> sweep = SweepRecord("digits", {"budget": {"trials": 8}}, "", SweepState.RUNNING, began)
    >>> record = status_record(sweep, {}, {}, [], Front((), ()))
    >>> record["budget"], record["front"]
    (8, [])
    """
    budget = sweep.spec.get("budget")
    best = [min(front, key=lambda m: o.loss(m.values[o.name])) for o in objectives if len(front)]
    return sweep_record(sweep, counts) | {
        "budget": budget.get("trials") if isinstance(budget, Mapping) else None,
        "failures": {kind.value: count for kind, count in failures.items()},
        "best": {
            objective.name: {"trial": member.trial, "value": member.values[objective.name]}
            for objective, member in zip(objectives, best, strict=False)
        },
        "front": [member.trial for member in front],
        "feasible": front.feasible,
        "lost_networks": [
            {"trial": trial, "reason": f"Its packed network {reason}."}
            for trial, reason in (lost or {}).items()
        ],
        "mlflow_run_id": sweep.mlflow_run_id,
        "mlflow_experiment_id": sweep.mlflow_experiment_id,
    }


def event_record(event: Event) -> Record:
    """Describe one line of the log of a trial.

    >>> event_record(Event(None, 0, "INFO", "epoch 1: accuracy 0.9"))["message"]
    'epoch 1: accuracy 0.9'
    """
    return {
        "time": event.moment,
        "attempt": event.attempt,
        "level": event.level,
        "message": event.text,
        "traceback": event.traceback or None,
        "source": event.source,
    }


def _attempt_record(attempt: Attempt) -> Record:
    failure = attempt.failure
    return {
        "attempt": attempt.number,
        "state": attempt.state.value,
        "worker": attempt.worker,
        "started": attempt.started,
        "ended": attempt.ended,
        "failure": f"{failure.kind.value}: {failure.message}" if failure else None,
        "traceback": failure.traceback if failure and failure.traceback else None,
        "mlflow_run_id": attempt.mlflow_run_id,
    }
