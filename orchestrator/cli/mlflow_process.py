"""MLflow's server as a process that ends with the command that started it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from orchestrator.errors import UsageError
from orchestrator.state_folder import StateFolder

LOCALHOST = "127.0.0.1"
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


@contextmanager
def mlflow_process(tracking_uri: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start MLflow's server on a database; it ends with this process, however that is ended."""
    from orchestrator.addresses import mlflow_address

    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", mlflow_address(tracking_uri)),
        *("--artifacts-destination", StateFolder.find().tracking_artifacts.as_uri()),
        *("--host", LOCALHOST, "--port", str(port), "--workers", "1"),
        *("--uvicorn-opts", "--log-level warning"),
    ]
    with _server(command) as server:
        yield server


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


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server takes connections; False if it ends before that."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            server.wait(1 / _LOOKS_PER_S)
            return False
        with suppress(OSError), socket.create_connection((LOCALHOST, port), timeout=1):
            return True


def check_free(port: int) -> None:
    """Refuse a port that another program has.

    Raises:
        UsageError: It has.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError as error:
            raise UsageError(
                f"Port {port} cannot be used ({error.strerror}). Choose another one, for example "
                f"'paretune ui --port {port + 1 if port < 65535 else 5000}'."
            ) from None
