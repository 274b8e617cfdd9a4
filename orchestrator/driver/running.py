"""Run a sweep to its end: what `paretune run` and `paretune resume` call.

The only place where a spec becomes objects: store, lease, sampler, scheduler, executor, mirror.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event
from typing import Literal

from orchestrator.contracts import (
    Executor,
    KnownValues,
    Plan,
    Progress,
    Sampler,
    Silent,
    Store,
    SweepWriter,
)
from orchestrator.driver.address_checks import address_problems
from orchestrator.driver.callbacks import with_callbacks
from orchestrator.driver.executors import ExecutorFactory, closed, executor_of
from orchestrator.driver.final_measures import add_final_measures, check_front_measures
from orchestrator.driver.identity import checked_content, claim, stored
from orchestrator.driver.lease import LEASE_S, lease_kept
from orchestrator.driver.leftovers import remove_empty_folder, remove_leftovers
from orchestrator.driver.loop import Parts, SweepLoop
from orchestrator.driver.mirroring import chosen_store, load_report, mirrored
from orchestrator.driver.part_checks import with_parts_code
from orchestrator.driver.quick_checks import quick_checks
from orchestrator.driver.resource_probe import with_probed_resources
from orchestrator.driver.run_result import RunResult, result_of
from orchestrator.driver.samplers import (
    sampler_of,
    with_checked_sampler,
    with_sampler_code,
)
from orchestrator.driver.schedulers import check_scheduler, scheduler_of, with_scheduler_code
from orchestrator.driver.signals import interrupted_by_signals, terminated_as_interrupted
from orchestrator.driver.suggested_cap import with_suggested_cap
from orchestrator.driver.tasks import task_of
from orchestrator.driver.watch import RunWatch, Watch, watched
from orchestrator.errors import (
    ClusterLostError,
    LeaseLostError,
    OrchestratorError,
    StorageFullError,
    UsageError,
)
from orchestrator.queries.data_notes import data_notes
from orchestrator.search.cost_model import CostModel
from orchestrator.search.warm_start import WarmStart, warm_start
from orchestrator.spec.files import stored_sweep
from orchestrator.spec.stored import with_places
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import SweepRecord, SweepState, TrialState

logger = logging.getLogger(__name__)


def run(  # noqa: PLR0913 - what a caller may bring along
    spec: SweepSpec,
    *,
    store: Store | str | None = None,
    progress: Progress | Literal["auto"] | None = None,
    address: str | None = None,
    executor: ExecutorFactory | None = None,
    state: StateFolder | None = None,
    sampler: object = None,
    callbacks: Sequence[object] = (),
    watch: Watch | None = None,
) -> RunResult:
    """Run a sweep until its budget is used up; continue where an earlier run ended.

    Ctrl-C (or SIGTERM) interrupts the running trials, which keep their finished epochs.

    Args:
        spec: The sweep.
        store: A store or its URL; default: the spec's. Created once the images were read.
        progress: Receives the events; ``"auto"`` shows a live table in a notebook, and lines on
            standard error elsewhere. Default: silence.
        address: Of a running Ray cluster; default: ``RAY_ADDRESS``, else this machine.
        executor: Builds the executor; default: what `execution.kind` says.
        state: Where trials are kept; default: `StateFolder.find`.
        sampler: Of our protocol or Optuna's; `resume` needs it again.
        callbacks: Objects with methods of `Callback`, beside those of the spec.
        watch: The form of its log, and where its metrics are read; default: what the environment
            says, see docs/reference/metrics.md.

    Raises:
        SweepExistsError: The name is taken by a sweep with another spec.
        LeaseHeldError: Another driver runs this sweep.
        TrainerError: The images or the weights cannot be used by any trial.
        UsageError: The sampler, scheduler, a callback, warm start or address cannot be used.
    """
    # First of all, because it refuses a grid of an endless space.
    spec = with_suggested_cap(with_checked_sampler(spec, sampler))
    check_scheduler(spec)
    folder, shown = state or StateFolder.find(), _shown(progress)
    with watched(spec, folder, watch or Watch(), shown.note) as seen:
        shown = with_callbacks(seen.progress(shown), callbacks, spec)
        return _run(spec, store, executor, address, sampler, folder, shown, seen)


def _shown(progress: Progress | Literal["auto"] | None) -> Progress:
    """Return what receives the events of a run."""
    if progress is None:
        return Silent()
    if progress != "auto":
        return progress
    from orchestrator.reporting.terminal import quiet_progress

    return quiet_progress()


def _run(  # noqa: PLR0913 - what a run works with
    spec: SweepSpec,
    store: Store | str | None,
    executor: ExecutorFactory | None,
    address: str | None,
    sampler: object,
    folder: StateFolder,
    progress: Progress,
    seen: RunWatch,
) -> RunResult:
    where = store if isinstance(store, str) else spec.store
    found, url = (
        (_find(where, folder), where) if store is None or isinstance(store, str) else (store, None)
    )
    done = None if found is None else _finished_before(spec, found)
    if found is not None and done is not None:
        return result_of(done, spec, found, interrupted=False)
    prior = warm_start(spec, found)
    _refuse_places(spec, found, folder)
    if url is not None and (words := chosen_store(where, folder)):
        progress.note(f"stored at {words}")
    probed = with_probed_resources(spec, address)
    spec = probed.spec
    for note in probed.notes:
        progress.note(note)
    interrupted = True
    with (
        terminated_as_interrupted(),
        quick_checks(spec, url, folder, progress.note),
    ):
        worker = (executor or executor_of(spec, address, folder, progress))(task_of(spec, folder))
        try:
            with closed(worker) as close:
                # Before anything is stored: a mistyped path leaves neither name nor state folder.
                known, content = _images_read(spec, worker, found, folder, progress)
                found = found or _open(where, state=folder)
                parts = (spec, found, worker, known, sampler_of(spec, known, sampler), prior)
                interrupted = _drive(*parts, progress, folder, content, seen, close)
        finally:
            if interrupted and found is not None:
                _remove_late_checkpoints(spec.name, found, folder)
            remove_empty_folder(folder.sweep_folder(spec.name))
    return result_of(found.sweep(spec.name), spec, found, interrupted=interrupted)


def _images_read(
    spec: SweepSpec,
    worker: Executor,
    store: Store | None,
    folder: StateFolder,
    progress: Progress,
) -> tuple[KnownValues, Mapping[str, object]]:
    """Have the workers read the images; return what is then known of any trial, and the content.

    Raises:
        TrainerError: The images or the weights cannot be used by any trial.
        SweepExistsError: The sweep was begun with other images.
    """
    workers = "" if spec.execution.kind == "inline" else "starting workers, "
    progress.note(f"{workers}reading the images")
    prepared = with_scheduler_code(spec, with_sampler_code(spec, worker.prepare()))
    prepared = with_parts_code(spec, prepared)
    content = checked_content(spec, prepared, store, folder, progress)
    for note in data_notes(spec, prepared, stored(spec.name, store)):
        progress.note(note)
    if prepared is not None and prepared.known is not None:
        return prepared.known, content
    return CostModel(spec.trial_config(), prepared), content


def _remove_late_checkpoints(name: str, store: Store, folder: StateFolder) -> None:
    """Remove what interrupted workers kept of trials that ended elsewhere.

    A driver that stalled, and was replaced, interrupts its trials when it wakes up; by then they
    may be over, and no later driver would look for their checkpoints.
    """
    # What cannot be asked or removed now stays for the next driver.
    with suppress(OrchestratorError, OSError):
        over = store.trials(name, [TrialState.COMPLETE, TrialState.FAILED])
        remove_leftovers(folder.trial_folder(name, trial.number) for trial in over)


def resume(  # noqa: PLR0913 - what a caller may bring along
    name: str,
    *,
    store: Store | None = None,
    progress: Progress | Literal["auto"] | None = None,
    address: str | None = None,
    sampler: object = None,
    callbacks: Sequence[object] = (),
    watch: Watch | None = None,
) -> RunResult:
    """Continue a stored sweep; its sweep file is not needed. Arguments are those of `run`.

    Raises:
        UnknownNameError: There is no sweep of this name.
        UsageError: Its stored spec cannot be read by this version.
    """
    store = store or _open("default", create=False)
    record = store.sweep(name)
    spec = stored_sweep(name, with_places(record.spec, record.content, StateFolder.find()))
    return run(
        spec,
        store=store,
        progress=progress,
        address=address,
        sampler=sampler,
        callbacks=callbacks,
        watch=watch,
    )


def _drive(  # noqa: PLR0913 - what a run is put together from
    spec: SweepSpec,
    store: Store,
    worker: Executor,
    known: KnownValues,
    sampler: Sampler,
    prior: WarmStart,
    progress: Progress,
    folder: StateFolder,
    content: Mapping[str, object],
    seen: RunWatch,
    close: Callable[[], object],
) -> bool:
    """Run the loop under the sweep's lease; returns whether it was interrupted."""
    record = claim(spec, store)
    writer = seen.writer(store.take(spec.name, _holder(), lease_s=LEASE_S))
    with ExitStack() as stack:
        stack.callback(_released, writer)
        stack.enter_context(_interrupted_early(writer, begun := Event()))
        _begin(writer, spec, content)
        stack.enter_context(seen.looking(worker, store, folder))
        mirror = mirrored(spec, store, progress, folder, seen.mirrored)
        seen.when_reported(stack.enter_context(mirror))
        loop = SweepLoop(
            spec,
            Parts(
                store,
                writer,
                prior.taught(sampler, writer, progress),
                scheduler_of(spec),
                progress,
                folder,
                worker.name,
                worker.clock,
                known,
            ),
        )
        _tell_begin(record, spec, loop, progress, begun)
        state, reason = SweepState.INTERRUPTED, "the driver failed"
        try:
            with interrupted_by_signals(loop), lease_kept(writer, loop):
                state = _searched(worker, loop, spec, progress, seen)
            reason = loop.stop_reason
            if loop.error is not None:
                raise loop.error
        except ClusterLostError as error:
            reason = "the head of the Ray cluster was lost"
            raise error.of(spec.name) from error
        finally:
            _say(writer, state, reason)
            progress.end(store.sweep(spec.name))
        if state is SweepState.COMPLETE:
            # Meanwhile, the mirror gets the last values.
            close()
    return loop.interrupted


def _searched(
    worker: Executor, loop: SweepLoop, spec: SweepSpec, progress: Progress, seen: RunWatch
) -> SweepState:
    """Run all jobs, then measure the front; returns the state of the sweep."""
    worker.run(seen.jobs(loop))
    if not loop.interrupted:
        load_report(spec)
        add_final_measures(worker, loop, spec, progress)
    if loop.interrupted:
        return SweepState.INTERRUPTED
    loop.remove_leftovers()
    return SweepState.COMPLETE


def _tell_begin(
    record: SweepRecord, spec: SweepSpec, loop: SweepLoop, progress: Progress, begun: Event
) -> None:
    budget, epochs = spec.budget, spec.training.epochs
    plan = Plan(record, spec.directed, budget.trials, budget.seconds, epochs, loop.trials)
    progress.begin(plan)
    begun.set()


def _begin(writer: SweepWriter, spec: SweepSpec, content: Mapping[str, object]) -> None:
    """Store what the sweep is from now on."""
    writer.set_spec(spec.model_dump(mode="json"))
    if content:
        writer.set_content(content)
    writer.set_sweep_state(SweepState.RUNNING)


def _refuse_places(spec: SweepSpec, store: Store | None, folder: StateFolder) -> None:
    """Refuse a state folder that cannot be written to, and a useless address of a new sweep.

    A sweep that has begun goes on without its address.

    Raises:
        UsageError: With the first of them.
    """
    problems = address_problems(spec, folder)
    begun = [] if store is None else store.sweeps()
    if problems and all(record.name != spec.name for record in begun):
        raise UsageError(problems[0])
    _check_writable(folder)


def _finished_before(spec: SweepSpec, store: Store) -> SweepRecord | None:
    """The stored sweep, if it is complete and its budget has not changed."""
    if stored(spec.name, store) is None:
        return None
    # Raises with the differences, before a worker is started in vain.
    record = claim(spec, store)
    same_budget = record.spec.get("budget") == spec.budget.model_dump(mode="json")
    has_reference = record.spec.get("reference", False) or not spec.reference
    check_front_measures(record.spec, spec)
    asked = spec.model_dump(mode="json")["front_measures"]
    same_measures = record.spec.get("front_measures") == asked
    same = same_budget and has_reference and same_measures
    done = record.state is SweepState.COMPLETE and same
    return record if done else None


def _find(url: str, state: StateFolder) -> Store | None:
    from orchestrator.storage.opening import find_store

    return find_store(None if url == "default" else url, state=state)


def _open(url: str, *, create: bool = True, state: StateFolder | None = None) -> Store:
    from orchestrator.storage.opening import open_store

    return open_store(None if url == "default" else url, create=create, state=state)


def _check_writable(folder: StateFolder) -> None:
    """Refuse a folder without write permission now, and not after the workers have started."""
    if folder.root.exists() and not os.access(folder.root, os.W_OK):
        raise OrchestratorError(
            f"The state folder {folder.root} can be read and not written to, so that no trial can "
            f"be run: it is mounted read-only, or belongs to somebody else. Copy the project to a "
            f"folder that you may write to, or set PARETUNE_HOME."
        )


def _holder() -> str:
    from orchestrator.storage.lease_holders import this_holder

    return this_holder()


def _say(writer: SweepWriter, state: SweepState, reason: str) -> None:
    # A driver that was replaced may not write any more, and on a full disk the stored state
    # stays as it is.
    with suppress(LeaseLostError, StorageFullError):
        writer.set_sweep_state(state, reason)


@contextmanager
def _interrupted_early(writer: SweepWriter, begun: Event) -> Iterator[None]:
    """Store that the run was interrupted before its loop had begun, which stores that itself."""
    try:
        yield
    except KeyboardInterrupt:
        if not begun.is_set():
            _say(writer, SweepState.INTERRUPTED, "interrupted before its first trial")
        raise


def _released(writer: SweepWriter) -> None:
    # Without it the lease runs out.
    with suppress(StorageFullError):
        writer.release()
