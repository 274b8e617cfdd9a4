"""The mirror of one run: loaded early, fed in the background, emptied at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.contracts import Progress, Store
from orchestrator.redaction import redacted
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder

_LAST_DRAIN_S = 60.0


@contextmanager
def warmed_up_mirror(spec: SweepSpec, state: StateFolder) -> Iterator[Callable[[], None]]:
    """Load what the mirror of a sweep will need, in a background thread.

    Yields:
        A function to call once the mirror is needed; only then is a missing database created.
    """
    from orchestrator.tracking import warm_up

    work = warm_up(spec.tracking.kind, state=state, uri=spec.tracking.uri)
    try:
        yield work.want
    finally:
        work.end()


@contextmanager
def mirrored(
    spec: SweepSpec, store: Store, progress: Progress, state: StateFolder
) -> Iterator[None]:
    """Copy the sweep to MLflow in the background, and completely when the block is left."""
    from orchestrator.tracking import BackgroundMirror, build_mirror

    mirror = build_mirror(
        spec.tracking.kind,
        store,
        experiment=spec.name,
        state=state,
        uri=spec.tracking.uri,
    )
    if words := chosen_tracking(spec, state):
        progress.note(f"tracked at {words}")
    background = BackgroundMirror(mirror, spec.name, on_trouble=progress.note)
    try:
        yield
    finally:
        left = background.close(_LAST_DRAIN_S)
        if left:
            progress.note(
                f"{left} changes are not in MLflow yet; 'paretune sync {spec.name}' copies them"
            )


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
