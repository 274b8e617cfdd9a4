"""``ui``."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli.options import say
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.redaction import redacted
from orchestrator.state_folder import TRACKING_VARIABLE, StateFolder

if TYPE_CHECKING:
    from orchestrator.trials import SweepRecord

_LOCALHOST = "127.0.0.1"
_ENVIRONMENT = {
    # Eight more processes for jobs that this project never submits (MLflow 3.17), and telemetry.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # What people are to see first is the address: MLflow 3.17 begins with what it and starlette
    # tell their developers.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore:starlette.middleware.wsgi is deprecated",
}
_LOOKS_PER_S = 5


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow UI on what this project has tracked; Ctrl-C ends it.

    Example: paretune ui --port 5001
    """
    from orchestrator.addresses import mlflow_address

    state = StateFolder.find()
    database = state.tracking_database
    if not database.is_file():
        raise OrchestratorError(
            f"There is nothing to show: {database} does not exist. Run a sweep first, or go to "
            f"the folder where one was run, or set PARETUNE_HOME to its state folder."
            f"{_elsewhere()}"
        )
    _check_free(port)
    say("Starting MLflow, which takes some seconds")
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", mlflow_address(state.tracking_uri)),
        *("--artifacts-destination", state.tracking_artifacts.as_uri()),
        *("--host", _LOCALHOST, "--port", str(port), "--workers", "1"),
        *("--uvicorn-opts", "--log-level warning"),
    ]
    with suppress(KeyboardInterrupt), _server(command) as server:
        if _answers(server, port):
            say(f"MLflow UI at {_address(port)} (Ctrl-C ends it)")
        code = server.wait()
        raise OrchestratorError(f"'mlflow server' ended with exit code {code}; see above.")


@contextmanager
def _server(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server that ends with this process, however that is asked to end."""
    # MLflow starts a process of its own; in a session of their own one signal reaches both.
    environment = {**_ENVIRONMENT, **os.environ}
    # On standard output it greets, on standard error it complains.
    with subprocess.Popen(  # noqa: S603 - our own words
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as server:
        before = {
            each: signal.signal(each, _interrupt) for each in (signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()
            for each, handler in before.items():
                signal.signal(each, handler)


def _address(port: int) -> str:
    """Where the newest sweep's runs are, or where its experiment would be listed."""
    from orchestrator.queries.sweeps import list_sweeps

    mirrored = [sweep for sweep in list_sweeps() if _is_here(sweep)]
    page = f"/{mirrored[-1].mlflow_experiment_id}/runs" if mirrored else ""
    # Without the last part MLflow 3.17 shows its pages for language models, all of them empty.
    return f"http://{_LOCALHOST}:{port}/#/experiments{page}?workflowType=machine_learning"


def _elsewhere() -> str:
    """Where sweeps whose files name no MLflow are tracked instead, as the environment says."""
    named = os.environ.get(TRACKING_VARIABLE)
    return f" {TRACKING_VARIABLE} names {redacted(named)}: open that." if named else ""


def _is_here(sweep: "SweepRecord") -> bool:
    """Whether the sweep is mirrored to the state folder, and not to a server elsewhere."""
    tracking = sweep.spec.get("tracking")
    named = tracking.get("uri") if isinstance(tracking, Mapping) else None
    elsewhere = named or os.environ.get(TRACKING_VARIABLE)
    return sweep.mlflow_experiment_id is not None and not elsewhere


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server takes connections; False if it ends before that."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            server.wait(1 / _LOOKS_PER_S)
            return False
        with suppress(OSError), socket.create_connection((_LOCALHOST, port), timeout=1):
            return True


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOCALHOST, port))
        except OSError as error:
            raise UsageError(
                f"Port {port} cannot be used ({error.strerror}). Choose another one, for example "
                f"'paretune ui --port {port + 1 if port < 65535 else 5000}'."
            ) from None
