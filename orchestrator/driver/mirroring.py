"""The mirror of one run: loaded early, fed in the background, emptied at the end."""

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.contracts import Mirror, Progress, Store
from orchestrator.errors import ClusterLostError, OrchestratorError
from orchestrator.metrics.timing import Timed
from orchestrator.redaction import redacted
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import SweepState

_LAST_DRAIN_S = 60.0
# Surprise (Ray 2.60): a process whose cluster has no head any more is ended by Ray's library after
# 60 s, with exit code 1, whatever it does. The watch for the head has taken some of them.
_LAST_DRAIN_WITHOUT_HEAD_S = 20.0


def load_report(spec: SweepSpec) -> None:
    """Load what draws the report, in a thread, while others measure the front of a sweep."""
    if spec.tracking.kind != "none":
        work = threading.Thread(
            target=importlib.import_module,
            args=("orchestrator.reporting.sweep_report",),
            name="report-warm-up",
            daemon=True,
        )
        work.start()


@contextmanager
def mirrored(
    spec: SweepSpec,
    store: Store,
    progress: Progress,
    state: StateFolder,
    tell: Timed | None = None,
) -> Iterator[Callable[[], None]]:
    """Copy the sweep to MLflow in the background, and completely when the block is left.

    Yields:
        A function to call when workers have started, so that loading MLflow takes no time of
        theirs; without it, copying begins after some seconds.

    Args:
        spec: The sweep.
        store: Holds it.
        progress: Told of trouble.
        state: Holds the default database.
        tell: Told how long each batch of changes took.
    """
    from orchestrator.tracking import BackgroundMirror, build_mirror

    mirror = build_mirror(
        spec.tracking.kind,
        store,
        experiment=spec.name,
        state=state,
        uri=spec.tracking.uri,
    )
    mirror = mirror if tell is None else _TimedMirror(mirror, tell)
    if words := chosen_tracking(spec, state):
        progress.note(f"tracked at {words}")
    background = BackgroundMirror(mirror, spec.name, on_trouble=progress.note)
    last_s = _LAST_DRAIN_S
    try:
        yield background.begin
    except ClusterLostError:
        last_s = _LAST_DRAIN_WITHOUT_HEAD_S
        raise
    finally:
        left = background.close(last_s)
        if left:
            progress.note(
                f"{left} changes are not in MLflow yet; 'paretune sync {spec.name}' copies them"
            )
        elif spec.tracking.kind != "none" and background.is_over:
            _keep_report(spec.name, store, mirror, progress, state)


def _keep_report(
    name: str, store: Store, mirror: Mirror, progress: Progress, state: StateFolder
) -> None:
    """Put a report of the sweep into MLflow if it is complete."""
    from orchestrator.queries.sweeps import Sweep
    from orchestrator.reporting.sweep_report import keep_report

    sweep = Sweep(name, store)
    with suppress(OrchestratorError):  # a store that is away now has told so before
        if sweep.record.state is SweepState.COMPLETE and (
            trouble := keep_report(sweep, mirror, state)
        ):
            progress.note(trouble)


class _TimedMirror:
    """A mirror that tells how long it took to copy something."""

    def __init__(self, mirror: Mirror, tell: Timed) -> None:
        self._mirror, self._tell = mirror, tell

    def drain(self, sweep: str, *, limit: int | None = None) -> int:
        from orchestrator.tracking import TrackingError

        began = time.perf_counter()
        try:
            done = self._mirror.drain(sweep, limit=limit)
        except TrackingError:
            self._tell("drain", time.perf_counter() - began, failed=True)
            raise
        if done:
            self._tell("drain", time.perf_counter() - began, failed=False)
        return done

    def pending(self, sweep: str) -> int:
        return self._mirror.pending(sweep)

    def attach(self, sweep: str, file: Path) -> None:
        self._mirror.attach(sweep, file)


def chosen_tracking(spec: SweepSpec, state: StateFolder) -> str:
    """Say where a sweep is tracked if a variable decides that, not its file; else empty.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=["tracking=none"])
    >>> chosen_tracking(spec, StateFolder.find())
    ''
    """
    if spec.tracking.uri is not None or spec.tracking.kind == "none":
        return ""
    address, variable = state.tracking_address(None)
    if not variable:
        return ""
    return f"{redacted(address)}, as {variable} says, because the sweep file names no tracking.uri"


def chosen_store(url: str | None, state: StateFolder) -> str:
    """Say where a sweep is stored if a variable decides that; else empty.

    >>> chosen_store("sqlite:///sweeps.db", StateFolder.find())
    ''
    """
    address, variable = state.store_address(url)
    return f"{redacted(address)}, as {variable} says" if variable else ""
