"""A run as it is watched from outside: its log, and its metrics where they are asked for."""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts import (
    Decision,
    Executor,
    Job,
    JobSource,
    News,
    Outcome,
    Plan,
    Progress,
    Store,
    SweepWriter,
)
from orchestrator.errors import OrchestratorError
from orchestrator.logs.lines import Subject, driver_subject
from orchestrator.logs.run_log import LogFormat, RunLog
from orchestrator.metrics.serving import MetricsPlace, exposed
from orchestrator.metrics.timing import Timed, timed
from orchestrator.objectives import human_values
from orchestrator.quantities import human_params
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Failure, Report, SweepRecord, Trial
from trainers.errors import TrainerError

if TYPE_CHECKING:
    from orchestrator.metrics.meters import Meters

logger = logging.getLogger(__name__)

LOOK_S = float(os.environ.get("PARETUNE_METRICS_S", "5"))
"""How often a run looks at its outbox, its slots and its disk."""


@dataclass(frozen=True, slots=True)
class Watch:
    """How a run is to be watched; what is None is as the environment says.

    Attributes:
        log_format: Form of its log.
        metrics: Where its metrics are read.
    """

    log_format: LogFormat | None = None
    metrics: MetricsPlace | None = None


class RunWatch:
    """Watches one run.

    Args:
        spec: The sweep.
        log: Its log.
        meters: Its metrics, if anybody reads them.
        write: Writes them to their file, if there is one.
    """

    def __init__(
        self,
        spec: SweepSpec,
        log: RunLog,
        meters: "Meters | None" = None,
        write: Callable[[], None] = lambda: None,
    ) -> None:
        self.log, self.meters = log, meters
        self._spec, self._write = spec, write
        self._driver = driver_subject(spec.name)
        self._subjects: dict[int, Subject] = {}
        self._failure: tuple[int, Failure] | None = None
        self._when_reported: Callable[[], None] | None = None

    def when_reported(self, call: Callable[[], None]) -> None:
        """Call this once the first epoch of a trial was reported."""
        self._when_reported = call

    def reported(self) -> None:
        """Hear that an epoch was reported."""
        call, self._when_reported = self._when_reported, None
        if call is not None:
            call()

    def progress(self, shown: Progress) -> Progress:
        """Return what is told of events: it shows them, and watches them."""
        return _WatchedProgress(shown, self)

    def jobs(self, source: JobSource) -> JobSource:
        """Return a source whose jobs are watched."""
        return _WatchedJobs(source, self)

    def writer(self, writer: SweepWriter) -> SweepWriter:
        """Return a writer whose transactions are timed, if there are metrics."""
        return writer if self.meters is None else timed(writer, self.meters.stored)

    @property
    def mirrored(self) -> Timed | None:
        """Told how long MLflow takes; None without metrics."""
        return None if self.meters is None else self.meters.mirrored

    @contextmanager
    def looking(self, executor: Executor, store: Store, folder: StateFolder) -> Iterator[None]:
        """Look every few seconds at what no event tells of, and once more at the end."""
        if self.meters is None:
            yield
            return
        over = threading.Event()
        meters = self.meters

        def look() -> None:
            meters.loaded(executor.load)
            try:
                meters.look(store, folder.root, _free)
                self._write()
            except Exception as error:
                # The outermost handler of this thread: the metrics must not cost the sweep.
                logger.warning("The metrics lack what could not be looked at: %s", error)

        def work() -> None:
            look()
            while not over.wait(LOOK_S):
                look()

        thread = threading.Thread(target=work, name="paretune-metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(LOOK_S)
            look()

    def say(self, text: str, subject: Subject | None = None, **facts: object) -> None:
        """Write a line that the user has been shown already; of a failure, as a warning."""
        level = logging.WARNING if "failure" in facts else logging.INFO
        extra = {"subject": subject or self._driver, "is_shown": True, "facts": facts}
        logger.log(level, "%s", text, extra=extra)

    def begun(self, job: Job) -> None:
        """Remember which attempt of a trial runs."""
        subject = replace(self._driver, trial=job.trial, attempt=job.attempt)
        self._subjects[job.trial] = subject
        text = f"trial {job.trial} started: {human_params(job.params) or 'the reference'}"
        self.say(text, subject, event="trial_started")

    def placed(self, job: Job, worker: str) -> None:
        """Remember where it runs."""
        node, name = _place(worker)
        subject = replace(self.subject(job.trial), node=node, worker=name)
        self._subjects[job.trial] = subject
        self.say(f"trial {job.trial} runs there", subject, event="trial_placed")

    def subject(self, trial: int) -> Subject:
        """Return what lines about a trial are about."""
        return self._subjects.get(trial) or replace(self._driver, trial=trial)

    def failed(self, job: Job, failure: Failure | None) -> None:
        """Remember what went wrong with an attempt that is about to be recorded."""
        self._failure = None if failure is None else (job.trial, failure)

    def with_failure(self, trial: Trial) -> Trial:
        """Return a trial that says what its attempt met, though it goes on: a lost worker."""
        if trial.failure is not None or self._failure is None:
            return trial
        number, failure = self._failure
        return replace(trial, failure=failure) if number == trial.number else trial

    def ended(self, trial: Trial) -> None:
        """Write how an attempt ended."""
        subject = self.subject(trial.number)
        text = f"trial {trial.number} {trial.state.value}"
        facts: dict[str, object] = {"event": "trial_ended", "state": trial.state.value}
        if trial.failure is not None:
            facts["failure"] = trial.failure.kind.value
            text += f", {trial.failure.kind.value}: {trial.failure.message}"
        elif trial.values:
            text += f": {human_values(self._spec.directed, trial.values)}"
        self.say(text, subject, **facts)

    def told(self, news: News, worker: str) -> None:
        """Write what a worker logged, and count what it counted."""
        self.log.write(news.lines, *_place(worker))
        if self.meters is not None:
            self.meters.told(news, worker)


@contextmanager
def watched(
    spec: SweepSpec, folder: StateFolder, watch: Watch, say: Callable[[str], None]
) -> Iterator[RunWatch]:
    """Watch a run within this block.

    Args:
        spec: The sweep.
        folder: Holds the log.
        watch: How.
        say: Told where the metrics are.

    Raises:
        UsageError: The metrics' port is taken, or their file cannot be written.
    """
    place = watch.metrics or MetricsPlace.find()
    log = RunLog(
        spec.name, folder.log_folder(spec.name), watch.log_format or LogFormat.of_environment()
    )
    with ExitStack() as stack:
        stack.enter_context(log.attached())
        stack.enter_context(_end_in_the_log())
        if not place:
            yield RunWatch(spec, log)
            return
        from orchestrator.metrics.meters import Meters

        meters = Meters(spec.name, spec.execution.kind)
        write = stack.enter_context(exposed(meters.registry, place, say))
        yield RunWatch(spec, log, meters, write)


@contextmanager
def _end_in_the_log() -> Iterator[None]:
    """Write into the log why a run ended early; the caller tells the user."""
    try:
        yield
    except Exception as error:
        trace = None if isinstance(error, OrchestratorError | TrainerError) else error
        logger.error("the run failed: %s", error, exc_info=trace, extra={"is_shown": True})
        raise


class _WatchedProgress:
    """Shows events, and passes them on to the log and the metrics."""

    def __init__(self, shown: Progress, watch: RunWatch) -> None:
        self._watch = watch
        self._told = [shown] if watch.meters is None else [shown, watch.meters]

    def begin(self, plan: Plan) -> None:
        if path := self._watch.log.begin():
            self._told[0].note(f"log: {path}")
        for each in self._told:
            each.begin(plan)
        past = sum(trial.state.is_final for trial in plan.past)
        text = f"the run begins: {plan.trials} trials of {plan.epochs} epochs, {past} done before"
        self._watch.say(text, event="run_began")

    def note(self, text: str) -> None:
        self._told[0].note(text)
        self._watch.say(text, event="note")

    def trial_started(self, trial: Trial) -> None:
        for each in self._told:
            each.trial_started(trial)

    def trial_reported(self, trial: int, report: Report) -> None:
        for each in self._told:
            each.trial_reported(trial, report)
        self._watch.reported()

    def trial_ended(self, trial: Trial) -> None:
        shown, *meters = self._told
        shown.trial_ended(trial)
        trial = self._watch.with_failure(trial)
        for each in meters:
            each.trial_ended(trial)
        self._watch.ended(trial)

    def end(self, sweep: SweepRecord) -> None:
        for each in self._told:
            each.end(sweep)
        why = f": {sweep.stop_reason}" if sweep.stop_reason else ""
        self._watch.say(f"the run ended, {sweep.state.value}{why}", event="run_ended")


class _WatchedJobs:
    """Passes everything on to another source."""

    def __init__(self, source: JobSource, watch: RunWatch) -> None:
        self._source, self._watch = source, watch

    def next_job(self) -> Job | None:
        return self._source.next_job()

    def started(self, job: Job) -> None:
        self._watch.begun(job)
        self._source.started(job)

    def reported(self, job: Job, reports: Sequence[Report]) -> Decision:
        return self._source.reported(job, reports)

    def placed(self, job: Job, worker: str) -> None:
        self._watch.placed(job, worker)
        self._source.placed(job, worker)

    def troubled(self, job: Job, trouble: Failure) -> None:
        self._source.troubled(job, trouble)

    def told(self, news: News, worker: str) -> None:
        self._watch.told(news, worker)
        self._source.told(news, worker)

    def ended(self, job: Job, outcome: Outcome) -> None:
        self._watch.failed(job, outcome.failure)
        self._source.ended(job, outcome)

    @property
    def left(self) -> int:
        return self._source.left

    @property
    def must_stop(self) -> bool:
        return self._source.must_stop


def _place(worker: str) -> tuple[str | None, str | None]:
    """The node and the name of a worker, of what an attempt records of it.

    >>> _place("ray 10.0.0.7:4711 node 5e2f")
    ('5e2f', '10.0.0.7:4711')
    """
    words = worker.split()
    return (words[3], words[1]) if len(words) == 4 else (None, None)


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return 0
