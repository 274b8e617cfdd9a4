"""One attempt at a recorded trial, an event at a time."""

from pathlib import Path

from orchestrator.contracts import Decision, Job, JobSource, Outcome
from orchestrator.errors import OrchestratorError
from orchestrator.simulation.table import Recording
from orchestrator.trials import Failure, FailureKind, Report, TrialState
from trainers.files.trial_folder import CHECKPOINT_NAME

_AT_MILESTONES = "milestone_"


class Replay:
    """Goes through the epochs of a recording, and finally to its values.

    If a recording has no ``milestone_accuracy``, the accuracy in floating point at that epoch
    replaces it.

    Args:
        job: What is replayed; epochs that an interrupted attempt left in its folder are done.
        recording: What it did.
        began: When it starts, in seconds.
        is_trained: Whether only its evaluation is left to do.

    Attributes:
        job: As given.
        due: When `step` is to be called next, in seconds.

    Raises:
        OrchestratorError: The recording has another number of epochs than the job.
    """

    def __init__(
        self, job: Job, recording: Recording, *, began: float, is_trained: bool = False
    ) -> None:
        epochs = len(recording.reports)
        if epochs not in (0, job.config.epochs):
            raise OrchestratorError(
                f"Trial {job.trial} trains for {job.config.epochs} epochs, and what was "
                f"recorded of its configuration are {epochs}: simulate with "
                f"training.epochs={epochs}, or record another table."
            )
        self.job, self._recording, self._began = job, recording, began
        self._epoch = epochs if is_trained else self._kept_epochs()
        self._untold = [self._report(index) for index in range(epochs)] if is_trained else []
        self.due = began + (0.0 if is_trained else recording.start_s) + self._next_s()

    def step(self, source: JobSource) -> Outcome | None:
        """Advance to the next event; returns the outcome if the attempt has ended."""
        if self._epoch == len(self._recording.reports):
            self._tell(source)
            return Outcome(TrialState.COMPLETE, self._recording.values)
        self._untold.append(self._report(self._epoch))
        self._epoch += 1
        limit = self.job.seconds
        if limit is not None and self.due - self._began >= limit:
            self._tell(source)
            message = f"It trained longer than budget.trial_seconds, {limit:g} s."
            return Outcome(TrialState.FAILED, failure=Failure(FailureKind.TIME_LIMIT, message))
        if self._epoch in self.job.milestones and self._tell(source) is Decision.STOP:
            if self.job.keeps_milestones:
                self._keep()
            return Outcome(TrialState.STOPPED)
        self.due += self._next_s()
        return None

    def interrupt(self, source: JobSource) -> Outcome:
        """End the attempt now, and keep its finished epochs for the next one."""
        self._tell(source)
        if self._epoch:
            self._keep()
        return Outcome(TrialState.INTERRUPTED)

    def _keep(self) -> None:
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        self._checkpoint.write_text(str(self._epoch))

    def _tell(self, source: JobSource) -> Decision:
        untold, self._untold = self._untold, []
        return source.reported(self.job, untold)

    def _next_s(self) -> float:
        """Seconds to the next event: the end of an epoch, or of the evaluation."""
        if self._epoch == len(self._recording.reports):
            return self._recording.eval_s
        values = self._recording.reports[self._epoch].values
        is_milestone = self._epoch + 1 in self.job.milestones
        return values["seconds"] + (values.get("milestone_s", 0.0) if is_milestone else 0.0)

    def _report(self, index: int) -> Report:
        """The report that a worker would have sent for an epoch."""
        report = self._recording.reports[index]
        values = {n: v for n, v in report.values.items() if not n.startswith(_AT_MILESTONES)}
        if report.epoch in self.job.milestones:
            stand_in = {"milestone_accuracy": values.get("float_accuracy")}
            values = {n: v for n, v in {**stand_in, **report.values}.items() if v is not None}
        return Report(report.epoch, values)

    @property
    def _checkpoint(self) -> Path:
        return Path(self.job.folder) / CHECKPOINT_NAME

    def _kept_epochs(self) -> int:
        try:
            return int(self._checkpoint.read_text())
        except FileNotFoundError:
            return 0
