"""The loop of a sweep: what its executor sees of it.

Every event is written to the store before anything depends on it: a trial before it starts, a
report before it is judged, a value before the sampler observes it.
"""

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.constraints import KnownConstraints
from orchestrator.contracts import (
    Decision,
    Job,
    KnownValues,
    News,
    Outcome,
    Progress,
    Sampler,
    Scheduler,
    Store,
    Suggestion,
    SweepWriter,
    nothing_known,
)
from orchestrator.driver.budget import Budget
from orchestrator.driver.leftovers import remove_leftovers
from orchestrator.driver.retries import Retries
from orchestrator.errors import OrchestratorError, StorageFullError
from orchestrator.objectives import Objective, missing_values
from orchestrator.scheduling.peers import Peers
from orchestrator.scheduling.promotion import Promotion
from orchestrator.search.cost_model import comparable
from orchestrator.search.in_order import InOrderProposals, lag_of
from orchestrator.search.proposals import Proposal, Proposals
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import (
    REFERENCE_ATTRS,
    Failure,
    FailureKind,
    Report,
    Trial,
    TrialState,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loop is put together from; see `orchestrator.contracts`.

    Attributes:
        workers: The executor's name, recorded as what runs the attempts.
        clock: Seconds; only differences count.
        known: What is known of a configuration before it is trained.
    """

    store: Store
    writer: SweepWriter
    sampler: Sampler
    scheduler: Scheduler
    progress: Progress
    folder: StateFolder
    workers: str
    clock: Callable[[], float] = time.monotonic
    known: KnownValues = nothing_known


class SweepLoop:
    """Hands out jobs and records what became of them; implements `JobSource`.

    Continues from the store: trials that were waiting, running or interrupted are handed
    out first, with the parameters and the seed they had. A reference that the spec asks for and
    the store lacks is stored at once and goes with them.

    Args:
        spec: The sweep.
        parts: What it works with.

    Attributes:
        error: Why the run cannot go on, unless it has ended or was interrupted.
    """

    def __init__(self, spec: SweepSpec, parts: Parts) -> None:
        self._spec, self._parts, self._trainer = spec, parts, spec.trainer()
        self.error: OrchestratorError | None = None
        self._troubles: dict[int, Failure] = {}
        self._interrupted = False
        self._budget = Budget(spec, parts.folder.sweep_folder(spec.name), parts.clock)
        self._reason = ""
        parts.writer.interrupt_running()
        self._trials = {trial.number: trial for trial in parts.store.trials(spec.name)}
        self._budget.take_up(
            self._trials.values(), lambda number: parts.store.attempts(spec.name, number)
        )
        self._takes_up_stopped = spec.takes_up_stopped
        self.remove_leftovers(but_stopped=self._takes_up_stopped)
        ordered = InOrderProposals if spec.execution.reproducible else Proposals
        self._proposals = ordered(
            spec, parts.sampler, self._trials.values(), KnownConstraints(spec.limits, parts.known)
        )
        if spec.reference:
            self._add_references()
        lag = lag_of(spec) if spec.execution.reproducible else None
        self._peers = Peers(spec.training.epochs, comparable(parts.known), lag)
        self._peers.take_up(parts.store, spec.name, self._trials, parts.scheduler.milestones)
        self._second_chances = Promotion(self._peers, parts.scheduler)
        unfinished = [trial for trial in self._trials.values() if not trial.state.is_final]
        self._unfinished = deque(unfinished)
        self._retries = Retries(spec.budget.retries)
        for trial in unfinished:
            for attempt in parts.store.attempts(spec.name, trial.number):
                self._retries.observe(trial.number, attempt.failure)
                if attempt.state is TrialState.STOPPED:
                    self._peers.pass_by(trial.number)

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials, as last written."""
        return list(self._trials.values())

    @property
    def stop_reason(self) -> str:
        """Why no further trial is started; empty while there may be one."""
        return self._reason

    @property
    def interrupted(self) -> bool:
        """Whether a person or a signal ended the run."""
        return self._interrupted

    def interrupt(self, reason: str) -> None:
        """Start nothing more and interrupt what runs; safe to call from a signal handler."""
        self._interrupted, self._reason = True, reason

    def fail(self, error: OrchestratorError) -> None:
        """Interrupt everything because of an error that the run cannot continue after."""
        self.error = self.error or error
        self.interrupt(str(error).partition(": ")[0])

    @property
    def must_stop(self) -> bool:
        """Whether running jobs are to be interrupted now."""
        over = self._budget.over_time()
        self._reason = self._reason or over
        return self._interrupted or bool(over)

    @property
    def left(self) -> int:
        """How many trials the budget leaves to be started, unfinished ones included."""
        return len(self._unfinished) + self._budget.trials_left

    def next_job(self) -> Job | None:
        """Return the next attempt, which is stored before it is returned."""
        while not self.must_stop and not self._out_of_space():
            trial = self._unfinished.popleft() if self._unfinished else self._new_trial()
            if trial is None:
                return None
            job = self._begun(trial)
            if job is not None:
                return job
        return None

    def _out_of_space(self) -> bool:
        if self._reason and not self._unfinished:
            return False  # nothing would be started anyway
        over = self._budget.over_disk(self.remove_leftovers)
        self._reason = over or self._reason
        return bool(over)

    def remove_leftovers(self, *, but_stopped: bool = False) -> None:
        """Remove files that finished trials no longer need.

        Args:
            but_stopped: Keep what a stopped trial would go on from.
        """
        kept = (TrialState.STOPPED,) if but_stopped else ()
        final = (t for t in self._trials.values() if t.state.is_final and t.state not in kept)
        remove_leftovers(self._folder(trial.number) for trial in final)

    def started(self, job: Job) -> None:
        """Report the start to the user."""
        self._parts.progress.trial_started(self._trials[job.trial])

    def reported(self, job: Job, reports: Sequence[Report]) -> Decision:
        """Store reports; judge the trial if the last of them is at a milestone."""
        if not reports:
            return Decision.CONTINUE
        reports = [Report(report.epoch, _finite(report.values)) for report in reports]
        self._parts.writer.add_reports(job.trial, job.attempt, reports)
        trial, epoch = self._trials[job.trial], reports[-1].epoch
        for report in reports:
            self._parts.progress.trial_reported(job.trial, report)
            self._peers.observe(trial, report)
        peers = self._peers.of(trial, epoch) if epoch in job.milestones else {}
        return (
            self._parts.scheduler.decide(job.trial, epoch, peers) if peers else Decision.CONTINUE
        )

    def placed(self, job: Job, worker: str) -> None:
        """Store which process on which node has the job."""
        self._parts.writer.place_attempt(job.trial, job.attempt, worker)

    def told(self, news: News, worker: str) -> None:
        """Do nothing: nothing depends on it."""

    def troubled(self, job: Job, trouble: Failure) -> None:
        """Report the trouble to the user, and keep it for the attempt's record."""
        known = self._troubles.get(job.trial)
        # Where files are lost, a cache in the same storage fails as well, and may do so earlier.
        is_worse = trouble.kind is FailureKind.FILES_LOST
        if known is None or (is_worse and known.kind is not FailureKind.FILES_LOST):
            self._troubles[job.trial] = trouble
            self._parts.progress.note(f"trial {job.trial}: {trouble.message}")

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Store how an attempt ended, then let the sampler observe the trial."""
        outcome = check_outcome(outcome, self._spec.directed)
        if outcome.state is TrialState.FAILED and outcome.failure is not None:
            outcome = self._settled(job.trial, outcome.failure)
        elif outcome.state is TrialState.INTERRUPTED and outcome.failure is None:
            why = f"The run ended: {self._reason}." if self._reason else "The run ended."
            outcome = replace(outcome, failure=Failure(FailureKind.INTERRUPTED, why))
        trial = self._record(
            job.trial, job.attempt, with_trouble(outcome, self._troubles.pop(job.trial, None))
        )
        if outcome.failure is not None and outcome.failure.kind.is_infrastructure:
            self._parts.progress.note(f"trial {trial.number}: {outcome.failure.message}")
            if not trial.state.is_final:
                self._unfinished.append(trial)

    def _settled(self, number: int, failure: Failure) -> Outcome:
        """How an attempt that failed ends."""
        if failure.kind is not FailureKind.STORAGE_FULL:
            return self._retries.outcome(number, failure)
        # Not caused by the trial, and any trial started now would fail in the same way.
        root = self._parts.folder.root
        free = shutil.disk_usage(root).free if root.exists() else 0
        sentence = (
            f"Storage is full: {failure.message} {root} has {free:,} bytes free. Everything that "
            f"was measured is stored. Free some space, then: paretune resume {self._spec.name}"
        )
        self.fail(StorageFullError(sentence))
        return Outcome(TrialState.INTERRUPTED, failure=failure)

    def _record(self, number: int, attempt: int, outcome: Outcome) -> Trial:
        trial = self._parts.writer.finish_attempt(number, attempt, outcome)
        self._budget.attempt_ended(number)
        self._trials[trial.number] = trial
        is_kept = trial.state is TrialState.STOPPED and self._takes_up_stopped
        if trial.state.is_final and not is_kept:
            # Only now: the values, or the failure, are stored.
            remove_leftovers([self._folder(number)])
        self._observe(trial)
        self._parts.progress.trial_ended(trial)
        return trial

    def _begun(self, trial: Trial) -> Job | None:
        """Store an attempt; None if no network has these parameters, so that the trial failed."""
        attempt = self._parts.writer.start_attempt(trial.number, self._parts.workers)
        self._budget.attempt_began(trial.number)
        self._trials[trial.number] = replace(trial, state=TrialState.RUNNING)
        try:
            is_reference = trial.is_reference
            config = self._trainer.config(trial.params, trial.seed, is_reference=is_reference)
        except ValueError as error:
            # A combination that the checks of the space missed must not end the sweep.
            failure = Failure(FailureKind.ERROR, str(error))
            self._record(trial.number, attempt.number, Outcome(TrialState.FAILED, failure=failure))
            return None
        return Job(
            trial=trial.number,
            attempt=attempt.number,
            config=config,
            folder=str(self._folder(trial.number)),
            milestones=self._milestones(trial, config.epochs),
            seconds=self._spec.budget.trial_seconds,
            params=trial.params,
            keeps_milestones=self._takes_up_stopped,
            origin=trial.origin,
        )

    def _milestones(self, trial: Trial, epochs: int) -> tuple[int, ...]:
        """Where the trial may be stopped; the reference never is."""
        known = () if trial.is_reference else self._parts.scheduler.milestones
        return tuple(epoch for epoch in known if epoch < epochs)

    def _folder(self, number: int) -> Path:
        return self._parts.folder.trial_folder(self._spec.name, number)

    def add_values(self, number: int, values: Mapping[str, float]) -> None:
        """Store values that were measured after the search."""
        self._parts.writer.add_values(number, values)
        trial = self._trials[number]
        self._trials[number] = replace(trial, values={**trial.values, **values})

    def _new_trial(self) -> Trial | None:
        """Store a new trial, unless a limit is reached."""
        if self._reason:
            return None
        proposal = self._budget.over_trials() or self._proposals.next()
        if proposal is None:  # It waits for the result of a running trial.
            return None
        if not isinstance(proposal, str):
            return self._add(proposal)
        if self._proposals.exhausted and self._takes_up_stopped:
            trial = self._taken_up()
            # A running trial may still be stopped, and then be resumed in its turn.
            if trial or any(t.state is TrialState.RUNNING for t in self._trials.values()):
                return trial
        self._reason = proposal
        self._tell_refused()
        return None

    def _taken_up(self) -> Trial | None:
        """A stopped trial that is resumed because nothing new is left to try; stored as such."""
        trial = self._second_chances.next(self._trials)
        if trial is None:
            return None
        self._peers.pass_by(trial.number)
        self._trials[trial.number] = self._parts.writer.resume_stopped(trial.number)
        return self._trials[trial.number]

    def _tell_refused(self) -> None:
        count = self._parts.sampler.screened_out
        if count:
            self._parts.progress.note(
                f"{count:,} configurations were refused before training: they break a constraint"
            )

    def _add(self, proposal: Proposal) -> Trial:
        """Store a trial."""
        # The same seed for the same replicate of every configuration: what differs between two
        # trials is the configuration, and tests over seeds can be paired.
        trial = self._parts.writer.add_trial(
            proposal.suggestion.params,
            seed=self._spec.seed + proposal.replicate,
            replicate=proposal.replicate,
            sampler_attrs=proposal.suggestion.sampler_attrs,
        )
        self._trials[trial.number] = trial
        self._observe(trial)
        return trial

    def _observe(self, trial: Trial) -> None:
        self._budget.observe(trial)
        self._proposals.observe(trial)

    def _add_references(self) -> None:
        """Store the replicates of the reference that are not stored."""
        stored = sum(trial.is_reference for trial in self._trials.values())
        for replicate in range(stored, self._spec.replicates):
            self._add(Proposal(Suggestion({}, REFERENCE_ATTRS), replicate))


def check_outcome(outcome: Outcome, objectives: Sequence[Objective]) -> Outcome:
    """Turn a complete outcome without a finite number for every objective into a failed one.

    >>> from orchestrator.objectives import Direction
    >>> outcome = Outcome(TrialState.COMPLETE, values={"accuracy": math.nan})
    >>> check_outcome(outcome, [Objective("accuracy", Direction.MAXIMIZE)]).failure.kind.value
    'bad_values'
    """
    if outcome.state is not TrialState.COMPLETE:
        return outcome
    lacking = missing_values(objectives, outcome.values)
    infinite = [name for name, value in outcome.values.items() if not math.isfinite(value)]
    if not lacking and not infinite:
        return outcome
    names = ", ".join(sorted({*lacking, *infinite}))
    message = f"No finite value was measured for {names}; the trial cannot be compared."
    return Outcome(TrialState.FAILED, failure=Failure(FailureKind.BAD_VALUES, message))


def with_trouble(outcome: Outcome, trouble: Failure | None) -> Outcome:
    """Add what had gone wrong before the end; the failure that ended it gives the kind.

    >>> damaged = Failure(FailureKind.BAD_CHECKPOINT, "It trained anew.")
    >>> with_trouble(Outcome(TrialState.COMPLETE), damaged).failure.kind.value
    'bad_checkpoint'
    """
    if trouble is None:
        return outcome
    if (failure := outcome.failure) is None:
        return replace(outcome, failure=trouble)
    message = f"{failure.message} Before that: {trouble.message}"
    return replace(outcome, failure=replace(failure, message=message))


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """What of an epoch's values can be stored, compared and plotted."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
