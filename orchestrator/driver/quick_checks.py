"""What a run tries before it starts a worker: the quick part of `paretune doctor`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.addresses import sqlite_file
from orchestrator.doctor.finding import Finding, wrong
from orchestrator.doctor.machine import examine_state_folder
from orchestrator.doctor.nodes import examine_storage_here
from orchestrator.doctor.services import examine_store_use, examine_tracking
from orchestrator.errors import OrchestratorError
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder


@contextmanager
def quick_checks(
    spec: SweepSpec, url: str | None, state: StateFolder, say: Callable[[str], None]
) -> Iterator[None]:
    """Write to the store and to the storage, and ask MLflow for experiments meanwhile.

    What MLflow answers is said when it has answered: no trial needs it.

    Args:
        spec: The sweep.
        url: Of its store; None if the caller has opened it.
        state: Holds the default store.
        say: Told what is not right and does not keep the sweep from running.

    Raises:
        OrchestratorError: The store or the storage cannot be written to.
    """
    over = threading.Event()

    def ask() -> None:
        for finding in _tracking(spec, state):
            if not over.is_set():
                say(f"{finding.name}: {finding.detail}. {finding.fix} No trial waits for it.")

    threading.Thread(target=ask, name="paretune-checks", daemon=True).start()
    found = [*(_store(url, state) if url is not None else []), *examine_storage_here(spec)]
    for finding in found:
        if not finding.ok and finding.name == "store's disk":
            say(f"{finding.name}: {finding.detail}. {finding.fix}")
        elif not finding.ok:
            raise OrchestratorError(f"{finding.name}: {finding.detail}. {finding.fix}")
    try:
        yield
    finally:
        over.set()


def _store(url: str, state: StateFolder) -> list[Finding]:
    address, variable = state.store_address(url)
    file = sqlite_file(address)
    if file is not None and not file.exists():
        return _new_file(file)
    return examine_store_use(address, variable)


def _new_file(file: Path) -> list[Finding]:
    folder = next(each for each in examine_state_folder(file.parent) if each.name != "free disk")
    if folder.ok:
        return []
    fix = "Name another store, or set PARETUNE_HOME to a folder that you may write to."
    return [wrong("store", folder.detail, fix)]


def _tracking(spec: SweepSpec, state: StateFolder) -> list[Finding]:
    """What is wrong with MLflow; a database is made or opened by the mirror, and says so."""
    if spec.tracking.kind != "mlflow":
        return []
    address, _ = state.tracking_address(spec.tracking.uri)
    if not address.startswith(("http://", "https://")):
        return []
    finding = examine_tracking(address)
    return [] if finding.ok else [finding]
