"""What ``ui NAME`` does: the page of a sweep, and MLflow beside it."""

import signal
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from orchestrator.cli.mlflow_process import LOCALHOST, answers, check_free, mlflow_process
from orchestrator.cli.options import say
from orchestrator.errors import UsageError
from orchestrator.state_folder import StateFolder

if TYPE_CHECKING:
    from orchestrator.trials import SweepRecord

_TRIED_PORTS = 10


@dataclass(frozen=True, slots=True)
class Served:
    """How a page is served, as the options of ``ui`` say."""

    host: str
    port: int
    names: tuple[str, ...]
    may_change: bool


@dataclass(slots=True)
class _Tracker:
    """Where a sweep's runs can be looked at; empty until that is known."""

    address: str = field(default="")


def serve_page(name: str, store: str | None, served: Served, mlflow_port: int | None) -> None:
    """Serve the page of a sweep until the command is interrupted.

    Args:
        name: Name of the sweep.
        store: URL of the store, as the option has it.
        served: Where and to whom.
        mlflow_port: The first port that MLflow may take; None to start none.

    Raises:
        UnknownNameError: There is no such sweep.
        UsageError: The address cannot be used.
    """
    from orchestrator.pages.application import page_application
    from orchestrator.pages.serving import access_at, bind, page_address, serve
    from orchestrator.queries.sweeps import open_sweep

    sweep = open_sweep(name, store)
    access = access_at(served.host, may_change=served.may_change, names=served.names)
    try:
        bound = bind(served.host, served.port)
    except OSError as error:
        raise UsageError(
            f"{served.host}:{served.port} cannot be used ({error.strerror or error}). Choose "
            f"another --port or --host."
        ) from None
    tracker = _Tracker()
    application = page_application(sweep, access, lambda: tracker.address)
    address = page_address(served.host, served.port, access)
    with ExitStack() as opened, suppress(KeyboardInterrupt):
        opened.enter_context(bound)
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, _end)
        _show_runs(sweep.record, tracker, mlflow_port, opened)
        serve(application, bound, lambda: say(f"{name} at {address} (Ctrl-C ends it)"))


def _end(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _show_runs(
    sweep: "SweepRecord", tracker: _Tracker, first_port: int | None, opened: ExitStack
) -> None:
    """Find the MLflow server that has the sweep's runs, or start one on its database."""
    from orchestrator.addresses import is_server

    tracking = sweep.spec.get("tracking")
    settings = tracking if isinstance(tracking, Mapping) else {}
    if settings.get("kind", "mlflow") != "mlflow" or sweep.mlflow_experiment_id is None:
        return
    state = StateFolder.find()
    uri, _ = state.tracking_address(settings.get("uri"))
    if is_server(uri):
        tracker.address = _without_user(uri)
        return
    is_missing = uri == state.tracking_uri and not state.tracking_database.is_file()
    if first_port is None or is_missing:
        return
    port = _free_port(first_port)
    if port is None:
        say(f"MLflow is not started: ports {first_port} to {first_port + _TRIED_PORTS} are taken.")
        return
    server = opened.enter_context(mlflow_process(uri, port))

    def wait() -> None:
        if answers(server, port):
            tracker.address = f"http://{LOCALHOST}:{port}"
            say(f"MLflow at {tracker.address}")

    threading.Thread(target=wait, daemon=True).start()


def _free_port(first: int) -> int | None:
    for port in range(first, first + _TRIED_PORTS):
        with suppress(UsageError):
            check_free(port)
            return port
    return None


def _without_user(uri: str) -> str:
    """The address of a server as a browser may be given it: without a user and a password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
