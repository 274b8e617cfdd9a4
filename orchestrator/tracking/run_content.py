"""What MLflow should show of a sweep and of an attempt, computed from the store alone."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from orchestrator.redaction import redacted_section
from orchestrator.spec.stored import flat_spec, spec_objectives
from orchestrator.tracking.runs import (
    MetricPoint,
    RunContent,
    json_tags,
    points,
    safe_params,
    safe_tags,
)
from orchestrator.trials import Attempt, Choice, Report, SweepRecord, SweepState, Trial, TrialState

# Tags that identify a run. `SWEEP_ID` also holds the moment of the sweep's creation, so that two
# stores with a sweep of the same name can share one MLflow server.
SWEEP_ID = "paretune.sweep_id"
SWEEP = "paretune.sweep"
RUN = "paretune.run"  # "sweep" or "attempt"
TRIAL = "paretune.trial"
ATTEMPT = "paretune.attempt"
# Tags that carry types and full precision to `mlflow_reader`: MLflow's params are strings.
STATE = "paretune.state"
PARAMS = "paretune.params"
VALUES = "paretune.values"
ARTIFACT = "paretune.artifact"
FAILURE = "paretune.failure"
OBJECTIVES = "paretune.objectives"
CONSTRAINTS = "paretune.constraints"
REFERENCE = "paretune.hypervolume_reference"
# Tags for people, to filter by in MLflow's table.
PARETO = "pareto"
FRONT_RANK = "front_rank"
CHOICE = "choice"  # "picked" or "candidate"
CHOICE_NOTE = "choice_note"
CHOICE_WHO = "choice_who"

_STATUS = {
    TrialState.WAITING: "SCHEDULED",
    TrialState.RUNNING: "RUNNING",
    TrialState.INTERRUPTED: "KILLED",
    TrialState.STOPPED: "KILLED",
    TrialState.COMPLETE: "FINISHED",
    TrialState.FAILED: "FAILED",
}
_SWEEP_STATUS = {
    SweepState.RUNNING: "RUNNING",
    SweepState.INTERRUPTED: "KILLED",
    SweepState.COMPLETE: "FINISHED",
    SweepState.FAILED: "FAILED",
}


def sweep_id(sweep: SweepRecord) -> str:
    """Return the value of the tag that the runs of this sweep share, and no other runs.

    >>> from datetime import UTC
    >>> from orchestrator.trials import SweepState
    >>> sweep = SweepRecord("digits", {}, "", SweepState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC))
    >>> sweep_id(sweep)
    'digits/1767225600000'
    """
    return f"{sweep.name}/{milliseconds(sweep.created)}"


def sweep_identity(sweep: SweepRecord) -> dict[str, str]:
    """Return the tags that find the parent run of a sweep.

    >>> from datetime import UTC
    >>> from orchestrator.trials import SweepState
    >>> sweep = SweepRecord("digits", {}, "", SweepState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC))
    >>> sweep_identity(sweep)
    {'paretune.sweep_id': 'digits/1767225600000', 'paretune.run': 'sweep'}
    """
    return {SWEEP_ID: sweep_id(sweep), RUN: "sweep"}


def attempt_identity(sweep: SweepRecord, trial: int, attempt: int) -> dict[str, str]:
    """Return the tags that find the run of one attempt.

    >>> from datetime import UTC
    >>> from orchestrator.trials import SweepState
    >>> sweep = SweepRecord("digits", {}, "", SweepState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC))
    >>> sorted(attempt_identity(sweep, trial=3, attempt=0))
    ['paretune.attempt', 'paretune.run', 'paretune.sweep_id', 'paretune.trial']
    """
    identity = {SWEEP_ID: sweep_id(sweep), RUN: "attempt"}
    return {**identity, TRIAL: str(trial), ATTEMPT: str(attempt)}


def sweep_content(sweep: SweepRecord) -> RunContent:
    """Build the content of the parent run, without what depends on the trials."""
    tags = {
        **sweep_identity(sweep),
        SWEEP: sweep.name,
        "paretune.fingerprint": sweep.fingerprint,
        STATE: sweep.state.value,
        "paretune.stop_reason": sweep.stop_reason,
        **json_tags(
            OBJECTIVES, {each.name: each.direction.value for each in spec_objectives(sweep.spec)}
        ),
        **json_tags(CONSTRAINTS, sweep.spec.get("constraints") or []),
    }
    return RunContent(
        name=sweep.name,
        status=_SWEEP_STATUS[sweep.state],
        started_ms=milliseconds(sweep.created),
        ended_ms=_end(sweep.ended, sweep.created, running=sweep.state is SweepState.RUNNING),
        tags=safe_tags(tags),
        params=safe_params(_flattened(redacted_section(sweep.spec))),
    )


def attempt_content(
    sweep: SweepRecord, trial: Trial, attempt: Attempt, reports: Iterable[Report]
) -> RunContent:
    """Build the content of the nested run of one attempt.

    The store keeps reports by trial. The latest attempt shows the whole curve, including epochs
    taken over from an earlier attempt's checkpoint; earlier attempts show what was mirrored while
    they ran.
    """
    is_latest = attempt.number == trial.attempts - 1
    is_complete = is_latest and trial.state is TrialState.COMPLETE
    started = milliseconds(attempt.started)
    ended = _end(attempt.ended, attempt.started, running=attempt.state is TrialState.RUNNING)
    curve = tuple(_curve(reports, started)) if is_latest else ()
    last_step = curve[-1].step + 1 if curve else 0
    values = trial.values if is_complete else {}
    return RunContent(
        name=_attempt_name(trial.number, attempt.number),
        status=_STATUS[attempt.state],
        started_ms=started,
        ended_ms=ended,
        tags=_attempt_tags(sweep, trial, attempt, is_complete=is_complete),
        params=safe_params({**_setting(sweep.spec, trial), **trial.params}),
        curve=curve,
        latest=tuple(points(values, ended or started, last_step)),
    )


def choice_tags(choice: Choice | None) -> dict[str, str]:
    """Return the tags of a run whose trial a person has chosen; an empty text is to be removed.

    >>> choice_tags(None)
    {'choice': '', 'choice_note': '', 'choice_who': ''}
    """
    if choice is None:
        return dict.fromkeys((CHOICE, CHOICE_NOTE, CHOICE_WHO), "")
    return {CHOICE: choice.kind.value, CHOICE_NOTE: choice.note, CHOICE_WHO: choice.who}


def milliseconds(moment: datetime) -> int:
    """Convert a moment to milliseconds since 1970, UTC.

    >>> from datetime import UTC
    >>> milliseconds(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))
    2000
    """
    return round(moment.timestamp() * 1_000)


def _attempt_tags(
    sweep: SweepRecord, trial: Trial, attempt: Attempt, *, is_complete: bool
) -> dict[str, str]:
    identity = attempt_identity(sweep, trial.number, attempt.number)
    tags = {**identity, SWEEP: sweep.name, STATE: attempt.state.value, "worker": attempt.worker}
    kept = {"seed": trial.seed, "replicate": trial.replicate, "params": dict(trial.params)}
    tags |= json_tags(PARAMS, kept)
    if trial.origin is not None:
        tags["paretune.origin"] = str(trial.origin)
    if is_complete:
        tags |= json_tags(VALUES, dict(trial.values))
    if is_complete and trial.artifact is not None:
        artifact = trial.artifact
        tags |= {
            "artifact_path": artifact.path,
            "artifact_sha256": artifact.sha256,
            **json_tags(ARTIFACT, [artifact.path, artifact.bytes, artifact.sha256]),
        }
    if attempt.failure is not None:
        kind, message = attempt.failure.kind.value, attempt.failure.message
        tags |= {"failure_kind": kind, "failure_message": message}
        tags |= json_tags(FAILURE, [kind, message])
    return safe_tags(tags)


def _attempt_name(trial: int, attempt: int) -> str:
    return f"trial {trial}" if attempt == 0 else f"trial {trial}, attempt {attempt + 1}"


def _curve(reports: Iterable[Report], started_ms: int) -> Iterator[MetricPoint]:
    # The store has no times of epochs. An artificial one in the order of the epochs is the same
    # whenever it is sent, so that MLflow recognises a point that it already has.
    for report in sorted(reports, key=lambda report: report.epoch):
        yield from points(report.values, started_ms + report.epoch, report.epoch)


def _end(ended: datetime | None, started: datetime, *, running: bool) -> int | None:
    return None if running else milliseconds(ended or started)


def _setting(spec: Mapping[str, object], trial: Trial) -> dict[str, object]:
    """Collect the settings that MLflow's table shows beside the trial's own params."""
    training = spec.get("training")
    tune = training.get("tune") if isinstance(training, Mapping) else None
    found = {"backbone": _named(spec.get("backbone")), "data": _named(spec.get("data"))}
    setting = {name: value for name, value in {**found, "tune": tune}.items() if value is not None}
    return {**setting, "seed": trial.seed, "replicate": trial.replicate}


def _named(section: object) -> object:
    """Return ``digits`` of ``{name: digits, ...}``, ``photos`` of ``{folder: photos}``."""
    if not isinstance(section, Mapping):
        return section
    sources = (section.get(key) for key in ("name", "folder", "npz", "dataset"))
    return next((source for source in sources if source is not None), None)


def _flattened(section: Mapping[str, object]) -> dict[str, object]:
    # Unset values would fill half of MLflow's table.
    return {
        key: json.dumps(value) if isinstance(value, list) else value
        for key, value in flat_spec(section).items()
        if value is not None and value != {}
    }
