"""Copies the store into MLflow: one experiment, one parent run, and one run per attempt.

A mark in the outbox says that a sweep or an attempt changed. Mirroring it means: read the
current state from the store, find its run (by the recorded id, else by its tags) or make it, send
the difference, forget the mark. Nothing depends on the order of the marks, doing it twice changes
nothing, and a crash at any point is repaired by the next try.
"""

import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.contracts import Mark, Store
from orchestrator.file_storage.trial_files import local_files
from orchestrator.fronts.front import Front, compute_front
from orchestrator.places import file_trouble
from orchestrator.redaction import redacted_section
from orchestrator.spec.stored import spec_constraints, spec_objectives
from orchestrator.tracking.errors import RefusedError
from orchestrator.tracking.first_view import view_tags
from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.tracking.parent_run import with_progress
from orchestrator.tracking.run_content import (
    FRONT_RANK,
    PARETO,
    SWEEP_ID,
    attempt_content,
    attempt_identity,
    choice_tags,
    sweep_content,
    sweep_id,
    sweep_identity,
)
from orchestrator.tracking.run_description import (
    FRONT_PAGE,
    NOTE,
    WRITTEN,
    experiment_description,
    trial_description,
)
from orchestrator.tracking.runs import Changes, RunContent, RunView, safe_tags
from orchestrator.trials import Choice, SweepRecord, SweepState, Trial

SPEC = "sweep.json"
FRONT_TABLE = "front.csv"
TRACEBACK = "traceback.txt"

_FRONT_PAUSE_S = 30.0
_PROGRESS_PAUSE_S = 2.0
_SHARE = 20.0
"""What depends on all trials costs more the longer a sweep is. It is only redone after this many
times its last duration, so that it takes a twentieth of the time at most."""


class MlflowMirror:
    """Mirrors sweeps of one store to one MLflow experiment. Used from one thread at a time.

    Args:
        store: The store that is mirrored; only its outbox is written.
        tracking_uri: URI of the MLflow server, or of its database.
        artifact_root: Folder of a new experiment's artifacts; None leaves it to the server.
        experiment: Name of the experiment, by default the sweep's.

    Attributes:
        refused: Sentences about data that MLflow rejects, however often it is sent.
    """

    def __init__(
        self, store: Store, tracking_uri: str, *, artifact_root: Path | None, experiment: str
    ) -> None:
        self.refused: list[str] = []
        self._store = store
        self._server = MlflowServer(tracking_uri)
        self._artifact_root = artifact_root
        self._experiment = experiment
        self._experiment_id: str | None = None
        self._parents: dict[str, str] = {}
        self._at_home: set[str] = set()
        self._progress = _Pause(_PROGRESS_PAUSE_S)
        self._front = _Pause(_FRONT_PAUSE_S)
        self._is_behind = False
        self._began = datetime.now(UTC)
        self._unanswered: list[Mapping[str, str]] = []

    @property
    def server(self) -> MlflowServer:
        """The MLflow that it copies to."""
        return self._server

    def pending(self, sweep: str) -> int:
        """Count the marks that wait, up to 10,000."""
        return len(self._store.outbox.pending(sweep, limit=10_000))

    def drain(self, sweep: str, *, limit: int | None = None) -> int:
        """Mirror the marked attempts, oldest first, then the sweep.

        While the sweep runs, its progress and its front are updated now and then, and always once
        it has ended.

        Args:
            sweep: Name of the sweep.
            limit: Stop after this many marks.

        Returns:
            The number of marks that were mirrored.

        Raises:
            TrackingError: MLflow cannot be reached. What was not mirrored stays marked.
        """
        done = 0
        while limit is None or done < limit:
            marks = self._store.outbox.pending(sweep)
            if not marks:
                break
            # The sweep comes last: its front names the runs of its trials.
            batch = [mark for mark in marks if mark.trial is not None] or marks
            done += self._mirror_all(batch if limit is None else batch[: limit - done])
        self._catch_up(sweep)
        return done

    def renew_links(self, name: str) -> None:
        """Renew descriptions and views of a sweep, which name its runs, after these were copied.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        trials = self._store.trials(name)
        parent, sweep = self._known(self._store.sweep(name))
        self._show_first(sweep, _front(sweep, trials))
        self._server.bring(parent, with_progress(sweep_content(sweep), parent, sweep, trials))

    def attach(self, sweep: str, file: Path) -> None:
        """Store a file as an artifact of the sweep's run, in the place of one of the same name.

        Raises:
            TrackingError: MLflow cannot be reached, or refuses the file.
        """
        self._server.put_file(self._parent(self._store.sweep(sweep)).run_id, file)

    def experiment_id(self) -> str:
        """Return the id of the experiment in MLflow, creating it if it is missing."""
        if self._experiment_id is None:
            self._experiment_id = self._server.experiment_id(
                self._experiment, artifact_root=self._artifact_root
            )
        return self._experiment_id

    def move_artifacts(self, old: str) -> None:
        """Move artifacts out of the folder of the experiment's former name, where there is one."""
        if self._artifact_root is not None:
            folders = (self._artifact_root / old, self._artifact_root / self._experiment)
            self._server.move_artifacts(self.experiment_id(), *folders)

    def _mirror_all(self, marks: Sequence[Mark]) -> int:
        """Mirror marks of one sweep, and forget those that were mirrored, also after an error."""
        mirrored: list[Mark] = []
        try:
            sweep = self._store.sweep(marks[0].sweep)
            for mark in marks:
                self._mirror(mark, sweep)
                mirrored.append(mark)
        finally:
            self._store.outbox.done_all(mirrored)
        return len(mirrored)

    def _mirror(self, mark: Mark, sweep: SweepRecord) -> None:
        try:
            if mark.trial is None:
                self._mirror_sweep(mark.sweep)
            else:
                self._mirror_attempt(mark, mark.trial, sweep)
                self._is_behind = True
        except RefusedError as error:
            what = "the sweep" if mark.trial is None else f"trial {mark.trial}"
            self.refused.append(f"{what} of {mark.sweep!r}: {error}")

    def _mirror_sweep(self, name: str) -> None:
        sweep = self._store.sweep(name)
        if sweep.state is SweepState.RUNNING:
            self._server.bring(self._parent(sweep), sweep_content(sweep))
            self._is_behind = True
        else:
            self._summarize(sweep, with_front=True)

    def _mirror_attempt(self, mark: Mark, number: int, sweep: SweepRecord) -> None:
        trial = self._store.trial(mark.sweep, number)
        tried = self._store.attempts(mark.sweep, trial.number)
        attempt = next(each for each in tried if each.number == mark.attempt)
        reports = self._store.reports(mark.sweep, trial.number)
        content = attempt_content(sweep, trial, attempt, reports)
        parent = self._parents.get(mark.sweep) or self._parent(sweep).run_id
        chosen = choice_tags(self._choice(mark.sweep, trial.number))
        tags = {**content.tags, "mlflow.parentRunId": parent, **safe_tags(chosen)}
        content = replace(content, tags=tags)
        identity = attempt_identity(sweep, trial.number, attempt.number)
        # Of an attempt that began after this mirror, no earlier process can have left a run.
        is_new = attempt.started > self._began
        run = self._found_or_made(attempt.mlflow_run_id, identity, content, is_new=is_new)
        if run.run_id != attempt.mlflow_run_id:
            which = (mark.sweep, trial.number, attempt.number)
            self._store.outbox.record_attempt_run(*which, run.run_id)
        text = attempt.failure.traceback if attempt.failure else ""
        if text and TRACEBACK not in self._server.files(run.run_id):
            self._server.put_text(run.run_id, text, TRACEBACK)
        if NOTE not in run.tags:
            # Written once: what a person writes there later stays.
            note = trial_description(mark.sweep, trial.number)
            content = replace(content, tags={**content.tags, **safe_tags({NOTE: note})})
        self._server.bring(run, content)
        for key in chosen.keys() & run.tags.keys() - content.tags.keys():
            self._server.remove_tag(run.run_id, key)

    def _choice(self, sweep: str, trial: int) -> Choice | None:
        return next((each for each in self._store.choices(sweep) if each.trial == trial), None)

    def _parent(self, sweep: SweepRecord) -> RunView:
        identity = sweep_identity(sweep)
        run = self._found_or_made(sweep.mlflow_run_id, identity, sweep_content(sweep))
        if run.run_id != sweep.mlflow_run_id:
            self._store.outbox.record_sweep_run(sweep.name, self.experiment_id(), run.run_id)
        self._parents[sweep.name] = run.run_id
        return run

    def _found_or_made(
        self,
        known: str | None,
        identity: Mapping[str, str],
        content: RunContent,
        *,
        is_new: bool = False,
    ) -> RunView:
        """Find or create the run of this identity; a deleted one is restored.

        One whose id is not known is looked for, unless it `is_new`: MLflow cannot have it.
        """
        experiment = self.experiment_id()
        if identity[SWEEP_ID] not in self._at_home:
            self._bring_home(identity)
            self._at_home.add(identity[SWEEP_ID])
        run = self._server.run(known) if known else None
        if run is None and not (is_new and identity not in self._unanswered):
            # A crash between creating a run and storing its id leaves a run without an owner.
            found = self._server.runs(experiment, identity, with_deleted=True)
            run = min(found, key=lambda each: each.is_deleted, default=None)
        if run is None:
            # Should MLflow not answer, it may have made the run all the same.
            self._unanswered.append(identity)
            run = self._server.create_run(experiment, content, {**content.tags, **identity})
            self._unanswered.remove(identity)
            # Another project may share the experiment, and have its artifacts in its own folder.
            self._bring_home(identity, run.run_id)
        if run.is_deleted:
            self._server.restore_run(run.run_id)
        return run

    def _bring_home(self, identity: Mapping[str, str], run_id: str = "") -> None:
        """Make sure that no artifact is written to a former location of this project."""
        if self._artifact_root is not None:
            home, tag = self._artifact_root / self._experiment, (SWEEP_ID, identity[SWEEP_ID])
            self._server.bring_home(self.experiment_id(), home, tag, run_id)

    def _catch_up(self, name: str) -> None:
        """Update what depends on all trials, if its cost is justified by now."""
        now = time.monotonic()
        if self._is_behind and self._progress.is_over(now):
            with_front = self._front.is_over(now)
            self._summarize(self._store.sweep(name), with_front=with_front)
            ended = time.monotonic()
            self._progress.begin(ended, cost_s=ended - now)
            if with_front:
                self._front.begin(ended, cost_s=ended - now)

    def _summarize(self, sweep: SweepRecord, *, with_front: bool) -> None:
        """Update what the sweep's run and its experiment show of all trials."""
        trials = self._store.trials(sweep.name)
        parent, sweep = self._known(sweep)
        if with_front:
            self._publish(sweep, parent.run_id, trials)
        # Last, so that a parent run that has ended has its front.
        self._server.bring(parent, with_progress(sweep_content(sweep), parent, sweep, trials))
        self._is_behind = False

    def _known(self, sweep: SweepRecord) -> tuple[RunView, SweepRecord]:
        """Return the sweep's run, and the sweep with the ids that MLflow gave."""
        parent = self._parent(sweep)
        experiment = self.experiment_id()
        return parent, replace(sweep, mlflow_experiment_id=experiment, mlflow_run_id=parent.run_id)

    def _publish(self, sweep: SweepRecord, parent: str, trials: Sequence[Trial]) -> None:
        spec = json.dumps(redacted_section(sweep.spec), indent=2)
        self._server.put_text(parent, spec, SPEC)
        front = _front(sweep, trials)
        self._show_first(sweep, front)
        if not len(front):
            return
        with tempfile.TemporaryDirectory(prefix="paretune-front-") as folder:
            page = front.plot(Path(folder) / FRONT_PAGE)
            self._server.put_file(parent, page)
        self._server.put_text(parent, front.to_frame().to_csv(index=False), FRONT_TABLE)
        if sweep.state is not SweepState.RUNNING:
            self._show_members(sweep, front, trials)

    def _show_first(self, sweep: SweepRecord, front: Front) -> None:
        """Tag the experiment with its views and its description; a person's description stays."""
        marked = sweep.state is not SweepState.RUNNING and len(front) > 0 and front.feasible
        experiment = self.experiment_id()
        present = self._server.experiment_tags(experiment)
        tags = view_tags(sweep, marked=marked)
        if present.get(NOTE, "") == present.get(WRITTEN, ""):
            note = experiment_description(sweep)
            tags |= safe_tags({NOTE: note, WRITTEN: note})
        for tag in tags.items() - present.items():
            self._server.tag_experiment(experiment, tag)

    def _show_members(self, sweep: SweepRecord, front: Front, trials: Sequence[Trial]) -> None:
        """Tag the runs of the front's members, and only them; give each its packed network."""
        numbers = {member.trial for member in front} if front.feasible else set()
        members = {
            trial.mlflow_run_id: trial
            for trial in trials
            if trial.number in numbers and trial.mlflow_run_id
        }
        wanted = {SWEEP_ID: sweep_id(sweep), PARETO: "true"}
        tagged = {run.run_id for run in self._server.runs(self.experiment_id(), wanted)}
        for run_id in tagged - members.keys():
            for key in (PARETO, FRONT_RANK):
                self._server.remove_tag(run_id, key)
        for run_id, trial in members.items():
            self._put_artifact(run_id, trial)
            if run_id not in tagged:
                tags = ((FRONT_RANK, "1"), (PARETO, "true"))
                self._server.change(run_id, Changes(tags=tags))

    def _put_artifact(self, run_id: str, trial: Trial) -> None:
        if trial.artifact is None:
            return
        name = Path(trial.artifact.path).name
        if self._server.files(run_id).get(name) == trial.artifact.bytes:
            return
        # A path on another machine, a URL out of reach, and another file's path stay a tag.
        with suppress(OSError):
            path = local_files(trial.artifact.path, [name])
            if not file_trouble(path, trial.artifact.sha256):
                self._server.put_file(run_id, path)


def _front(sweep: SweepRecord, trials: Sequence[Trial]) -> Front:
    return compute_front(trials, spec_objectives(sweep.spec), spec_constraints(sweep.spec))


class _Pause:
    """Says when something may be done again: after a while that also grows with its cost."""

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._until = -math.inf

    def is_over(self, now: float) -> bool:
        return now >= self._until

    def begin(self, now: float, *, cost_s: float) -> None:
        self._until = now + max(self._shortest_s, _SHARE * cost_s)
