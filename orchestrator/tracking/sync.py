"""``paretune sync``: copy everything again, then count through MLflow's own search."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.contracts import Store
from orchestrator.fronts.front import compute_front
from orchestrator.spec.stored import spec_constraints, spec_objectives
from orchestrator.tracking.mlflow_mirror import FRONT_TABLE, SPEC, TRACEBACK, MlflowMirror
from orchestrator.tracking.run_content import (
    ATTEMPT,
    SWEEP_ID,
    TRIAL,
    attempt_content,
    sweep_content,
    sweep_id,
)
from orchestrator.tracking.run_description import FRONT_PAGE
from orchestrator.tracking.runs import RunContent, RunView
from orchestrator.trials import SweepRecord, SweepState


@dataclass(slots=True)
class Count:
    """The number expected in MLflow, and the number that its search found."""

    expected: int = 0
    found: int = 0


@dataclass(slots=True)
class SyncReport:
    """The result of `sync` after everything was copied.

    Attributes:
        runs: The parent run and one run per attempt, each with its true status.
        params: Params of all of them.
        metrics: Metrics of all of them, each with its newest value.
        artifacts: Files beside them: spec, front, tracebacks, packed networks of the front.
        missing: A sentence for everything that is not in MLflow as it should be.
        repaired: A sentence for every run that did not belong there.
    """

    runs: Count = field(default_factory=Count)
    params: Count = field(default_factory=Count)
    metrics: Count = field(default_factory=Count)
    artifacts: Count = field(default_factory=Count)
    missing: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether MLflow has everything that the store has."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class _Expected:
    what: str
    run_id: str | None
    content: RunContent
    files: Set[str]


def sync(store: Store, sweep: str, mirror: MlflowMirror) -> SyncReport:
    """Repair MLflow's copy of a sweep, and count what it holds.

    It is idempotent. Runs that the sweep does not own any more (a second run of the same attempt)
    are deleted in MLflow, from where they can be restored.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    refused = len(mirror.refused)
    store.outbox.mark_all(sweep)
    mirror.drain(sweep)
    report = SyncReport(missing=mirror.refused[refused:])
    record = store.sweep(sweep)
    wanted = {SWEEP_ID: sweep_id(record)}
    found = {run.run_id: run for run in mirror.server.runs(mirror.experiment_id(), wanted)}
    for expected in _expectations(store, record):
        run = found.pop(expected.run_id or "", None)
        _count(report, expected, run)
        if run is not None and expected.files:
            _count_files(report, expected, mirror.server.files(run.run_id))
    for stray in found.values():
        report.repaired.append(_put_away(stray, mirror))
    return report


def _expectations(store: Store, sweep: SweepRecord) -> Iterator[_Expected]:
    trials = store.trials(sweep.name)
    front = compute_front(trials, spec_objectives(sweep.spec), spec_constraints(sweep.spec))
    files = {SPEC, FRONT_TABLE, FRONT_PAGE} if len(front) else {SPEC}
    yield _Expected("the sweep", sweep.mlflow_run_id, sweep_content(sweep), files)
    is_over = sweep.state is not SweepState.RUNNING
    on_front = {member.trial for member in front} if front.feasible and is_over else set()
    for trial in trials:
        reports = store.reports(sweep.name, trial.number)
        packed = trial.artifact if trial.number in on_front else None
        for attempt in store.attempts(sweep.name, trial.number):
            content = attempt_content(sweep, trial, attempt, reports)
            files = {TRACEBACK} if attempt.failure and attempt.failure.traceback else set()
            if packed is not None and attempt.number == trial.attempts - 1:
                files.add(Path(packed.path).name)
            yield _Expected(content.name, attempt.mlflow_run_id, content, files)


def _count(report: SyncReport, expected: _Expected, run: RunView | None) -> None:
    content = expected.content
    newest = {point.key: point.value for point in [*content.curve, *content.latest]}
    report.runs.expected += 1
    report.params.expected += len(content.params)
    report.metrics.expected += len(newest)
    if run is None:
        report.missing.append(f"{expected.what}: MLflow has no run of it")
        return
    params = content.params.keys() & run.params.keys()
    metrics = {key for key, value in newest.items() if run.metrics.get(key) == value}
    report.params.found += len(params)
    report.metrics.found += len(metrics)
    for kind, lacking in (
        ("params", content.params.keys() - params),
        ("metrics", newest.keys() - metrics),
    ):
        if lacking:
            names = ", ".join(sorted(lacking))
            report.missing.append(f"{expected.what}: its run lacks the {kind} {names}")
    if run.status == content.status:
        report.runs.found += 1
    else:
        report.missing.append(
            f"{expected.what}: its run is {run.status}, but should be {content.status}"
        )


def _count_files(report: SyncReport, expected: _Expected, found: Mapping[str, int]) -> None:
    report.artifacts.expected += len(expected.files)
    report.artifacts.found += len(expected.files & found.keys())
    for name in sorted(expected.files - found.keys()):
        report.missing.append(f"{expected.what}: its run lacks the file {name}")


def _put_away(run: RunView, mirror: MlflowMirror) -> str:
    mirror.server.delete_run(run.run_id)
    trial, attempt = run.tags.get(TRIAL), run.tags.get(ATTEMPT)
    what = f"trial {trial}, attempt {attempt}" if trial else "the sweep"
    return f"a second run of {what} ({run.run_id}) is in MLflow's bin now"
