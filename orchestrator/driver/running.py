"""Run a sweep to its end: what `paretune run` and `paretune resume` call.

The only place where a spec becomes objects: store, lease, sampler, scheduler, executor, mirror.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from orchestrator.driver.final_measures import add_final_measures, check_front_measures
from orchestrator.driver.leftovers import remove_leftovers
from orchestrator.driver.loop import Parts, SweepLoop
from orchestrator.errors import (
    LeaseLostError,
    OrchestratorError,
    StorageFullError,
    UsageError,
)
from orchestrator.execution.batches import batches_of
from orchestrator.execution.task import Task
from orchestrator.fronts.front import Front, compute_front
from orchestrator.queries.data_notes import data_notes
from orchestrator.sampling import build_sampler, check_sampler
from orchestrator.scheduling import build_scheduler
from orchestrator.search.cost_model import CostModel, sized_backbones
from orchestrator.search.warm_start import WarmStart, warm_start
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import SweepRecord, SweepState, Trial, TrialState

logger = logging.getLogger(__name__)

# How long a driver may be silent before another one may take its sweep.
_LEASE_S = float(os.environ.get("PARETUNE_LEASE_S", "60"))
_LAST_DRAIN_S = 60.0
# How often a driver looks whether it was asked to stop.
_LOOK_S = 5.0

ExecutorFactory = Callable[[Task], Executor]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        sweep: The sweep, as stored.
        front: Its Pareto front.
        complete: Trials measured.
        stopped: Trials that the scheduler stopped early.
        failed: Trials that failed.
        interrupted: Whether a signal ended the run; `resume` goes on.
    """

    sweep: SweepRecord
    front: Front
    complete: int
    stopped: int
    failed: int
    interrupted: bool


def run(
    spec: SweepSpec,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
    address: str | None = None,
    executor: ExecutorFactory | None = None,
    state: StateFolder | None = None,
) -> RunResult:
    """Run a sweep until its budget is used up; go on where an earlier run ended.

    Ctrl-C (or SIGTERM) interrupts the running trials, which keep their finished epochs.

    Args:
        spec: The sweep.
        store: Where it is recorded; default: what the spec says.
        progress: Is told what happens; default: silence.
        address: Of a running Ray cluster; default: ``RAY_ADDRESS``, else this machine.
        executor: Makes the executor; default: Ray.
        state: Where trials are kept; default: `StateFolder.find`.

    Raises:
        SweepExistsError: The name is taken by a sweep with another spec.
        LeaseHeldError: Another driver runs this sweep.
        TrainerError: The images or the weights cannot be used by any trial.
        UsageError: A grid of a space that has none, or a warm start that cannot be had.
    """
    # First of all, because it refuses a grid of an endless space.
    check_sampler(spec.sampler.kind, spec.search_space)
    store = store or _open(spec.store)
    progress = progress or Silent()
    done = _finished_before(spec, store)
    if done is not None:
        return _result(done, spec, store, interrupted=False)
    # Before workers start: what cannot be read is said at once.
    prior = warm_start(spec, store)
    folder = state or StateFolder.find()
    _warm_up(spec, folder)
    worker = (executor or _ray(address))(_task(spec, folder))
    interrupted = True
    try:
        # Before anything is stored: a mistyped path must not take the sweep's name.
        progress.note("starting workers, reading the images")
        prepared = worker.prepare()
        for note in data_notes(spec, prepared, store):
            progress.note(note)
        known = CostModel(spec.trial_config(), prepared)
        interrupted = _drive(spec, store, worker, known, prior, progress, folder)
    finally:
        worker.close()
        if interrupted:
            _remove_late_checkpoints(spec.name, store, folder)
    return _result(store.sweep(spec.name), spec, store, interrupted=interrupted)


def _remove_late_checkpoints(name: str, store: Store, folder: StateFolder) -> None:
    """Remove what interrupted workers kept of trials that ended elsewhere.

    A driver that stalled, and was replaced, interrupts its trials when it wakes up; by then they
    may be over, and nobody will look for their checkpoints again.
    """
    # What cannot be asked or removed now stays for the next driver.
    with suppress(OrchestratorError, OSError):
        over = store.trials(name, [TrialState.COMPLETE, TrialState.FAILED])
        remove_leftovers(folder.trial_folder(name, trial.number) for trial in over)


def resume(
    name: str,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
    address: str | None = None,
) -> RunResult:
    """Go on with a stored sweep; its sweep file is not needed.

    Raises:
        UnknownNameError: There is no sweep of this name.
        UsageError: Its stored spec cannot be read by this version.
    """
    store = store or _open("default", create=False)
    record = store.sweep(name)
    try:
        spec = SweepSpec.model_validate(record.spec)
    except ValueError as error:
        raise UsageError(
            f"The stored spec of {name!r} cannot be read by this version of paretune: {error}"
        ) from error
    return run(spec, store=store, progress=progress, address=address)


def _drive(  # noqa: PLR0913 - what a run is put together from
    spec: SweepSpec,
    store: Store,
    worker: Executor,
    known: KnownValues,
    prior: WarmStart,
    progress: Progress,
    folder: StateFolder,
) -> bool:
    """Run the loop under the sweep's lease; whether it was interrupted."""
    plain = spec.model_dump(mode="json")
    record = store.create_sweep(spec.name, plain, spec.fingerprint())
    writer = store.take(spec.name, _holder(), lease_s=_LEASE_S)
    with ExitStack() as stack:
        stack.callback(_released, writer)
        writer.set_spec(plain)
        writer.set_sweep_state(SweepState.RUNNING)
        stack.enter_context(_mirrored(spec, store, progress, folder))
        parts = Parts(
            store,
            writer,
            prior.taught(_sampler(spec, known), writer, progress),
            build_scheduler(spec.scheduler, spec.directed, spec.limits, spec.most_epochs),
            progress,
            folder,
            worker.name,
            worker.clock,
            known,
        )
        loop = SweepLoop(spec, parts)
        budget, epochs = spec.budget, spec.training.epochs
        plan = Plan(record, spec.directed, budget.trials, budget.seconds, epochs, loop.trials)
        progress.begin(plan)
        state, reason = SweepState.INTERRUPTED, "the driver failed"
        try:
            with _signals(loop), _lease_kept(writer, loop):
                worker.run(loop)
                if not loop.interrupted:
                    add_final_measures(worker, loop, spec, progress)
                if not loop.interrupted:
                    state = SweepState.COMPLETE
                    loop.remove_leftovers()
            reason = loop.stop_reason
            if loop.error is not None:
                raise loop.error
        finally:
            _say(writer, state, reason)
            progress.end(store.sweep(spec.name))
    return loop.interrupted


def _finished_before(spec: SweepSpec, store: Store) -> SweepRecord | None:
    """The stored sweep, if it is complete and its budget has not changed."""
    record = next((record for record in store.sweeps() if record.name == spec.name), None)
    if record is None:
        return None
    # Says what differs, before a worker is started for nothing.
    store.create_sweep(spec.name, spec.model_dump(mode="json"), spec.fingerprint())
    same_budget = record.spec.get("budget") == spec.budget.model_dump(mode="json")
    has_reference = record.spec.get("reference", False) or not spec.reference
    check_front_measures(record.spec, spec)
    asked = spec.model_dump(mode="json")["front_measures"]
    same_measures = record.spec.get("front_measures") == asked
    same = same_budget and has_reference and same_measures
    done = record.state is SweepState.COMPLETE and same
    return record if done else None


def _result(record: SweepRecord, spec: SweepSpec, store: Store, *, interrupted: bool) -> RunResult:
    trials = store.trials(spec.name)
    return RunResult(
        record,
        compute_front(trials, spec.directed, spec.limits),
        complete=_count(trials, TrialState.COMPLETE),
        stopped=_count(trials, TrialState.STOPPED),
        failed=_count(trials, TrialState.FAILED),
        interrupted=interrupted,
    )


def _count(trials: list[Trial], state: TrialState) -> int:
    return sum(trial.state is state for trial in trials)


def _task(spec: SweepSpec, state: StateFolder) -> Task:
    return Task(
        data=spec.data_config(),
        backbone=spec.backbone.model_dump(),
        attacks=spec.attacks,
        front_attacks=spec.front_attacks,
        cpus=spec.resources.cpus,
        gpus=spec.resources.gpus,
        cache=_cache(spec.execution.cache, state),
        cache_bytes=spec.execution.cache_bytes,
        batches=batches_of(spec),
        sized=sized_backbones(spec),
    )


def _cache(where: str, state: StateFolder) -> str | None:
    """Where the stage cache is, for a worker that has another working directory."""
    if where == "off":
        return None
    if where == "auto":
        return str(state.cache)
    return where if "://" in where else str(Path(where).expanduser().resolve())


def _sampler(spec: SweepSpec, known: KnownValues) -> Sampler:
    space = spec.search_space
    return build_sampler(spec.sampler.kind, space, spec.directed, spec.limits, spec.seed, known)


def _open(url: str, *, create: bool = True) -> Store:
    from orchestrator.storage.opening import open_store

    return open_store(None if url == "default" else url, create=create)


def _holder() -> str:
    from orchestrator.storage.lease_holders import this_holder

    return this_holder()


def _ray(address: str | None) -> ExecutorFactory:
    def build(task: Task) -> Executor:
        from orchestrator.execution.ray_executor import RayExecutor

        return RayExecutor(task, address)

    return build


def _warm_up(spec: SweepSpec, state: StateFolder) -> None:
    from orchestrator.tracking import warm_up

    warm_up(spec.tracking.kind, state=state, uri=spec.tracking.uri)


def _say(writer: SweepWriter, state: SweepState, reason: str) -> None:
    # A driver that was replaced has no say in it any more, and on a full disk the store keeps
    # what it says already.
    with suppress(LeaseLostError, StorageFullError):
        writer.set_sweep_state(state, reason)


def _released(writer: SweepWriter) -> None:
    # Without it the lease runs out.
    with suppress(StorageFullError):
        writer.release()


@contextmanager
def _mirrored(
    spec: SweepSpec, store: Store, progress: Progress, state: StateFolder
) -> Iterator[None]:
    """Copy the sweep to MLflow in the background, and to the end when the block is left."""
    from orchestrator.tracking import BackgroundMirror, build_mirror

    mirror = build_mirror(
        spec.tracking.kind,
        store,
        experiment=spec.name,
        state=state,
        uri=spec.tracking.uri,
    )
    background = BackgroundMirror(mirror, spec.name, on_trouble=progress.note)
    try:
        yield
    finally:
        left = background.close(_LAST_DRAIN_S)
        if left:
            progress.note(
                f"{left} changes are not in MLflow yet; 'paretune sync {spec.name}' copies them"
            )


@contextmanager
def _signals(loop: SweepLoop) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an interruption; the second one acts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[signal.Signals, Any] = {}

    def interrupt(number: int, frame: object) -> None:
        loop.interrupt(f"interrupted by {signal.Signals(number).name}")
        for each, handler in previous.items():
            signal.signal(each, handler)

    for each in (signal.SIGINT, signal.SIGTERM):
        previous[each] = signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


@contextmanager
def _lease_kept(writer: SweepWriter, loop: SweepLoop) -> Iterator[None]:
    """Renew the lease while trials run that have nothing to write.

    A store that cannot be reached is asked again until the lease has run out; then somebody else
    may drive, and the run ends.
    """
    over = threading.Event()

    def renew() -> None:
        renewed = time.monotonic()
        while not over.wait(min(_LEASE_S / 4, _LOOK_S)):
            try:
                if asked := writer.renew():
                    loop.interrupt(f"stopped by {asked}")
                renewed = time.monotonic()
            except LeaseLostError as error:
                loop.interrupt(str(error))
                return
            except OrchestratorError as error:
                logger.warning("The lease was not renewed: %s", error)
                if time.monotonic() - renewed >= _LEASE_S:
                    loop.fail(error)
                    return

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
