"""``export``, ``sync``, ``ui`` and ``doctor``."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import (
    Format,
    FormatOption,
    NameArgument,
    StoreOption,
    TrialArgument,
    print_records,
    say,
)
from orchestrator.errors import OrchestratorError, UsageError

_LOCALHOST = "127.0.0.1"
# Eight more processes for jobs that this project never submits (MLflow 3.17), and telemetry.
_UI_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def export(
    name: NameArgument,
    trial: TrialArgument,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    store: StoreOption = None,
) -> None:
    """Write the packed network of a trial, and what is needed to load it, to a folder.

    Example: paretune export digits-fc 17 --to network
    """
    from orchestrator.exporting import export as export_trial
    from orchestrator.queries import open_sweep

    sweep = open_sweep(name, store)
    for path in export_trial(name, trial, to, sweep.store):
        typer.echo(f"{path}  {path.stat().st_size} bytes")


def sync(name: NameArgument, store: StoreOption = None) -> None:
    """Repair what MLflow lacks of a sweep, then count what it has.

    Example: paretune sync digits-fc
    """
    from orchestrator.queries import open_sweep
    from orchestrator.state_folder import StateFolder
    from orchestrator.tracking import MlflowMirror, build_mirror
    from orchestrator.tracking import sync as sync_sweep

    sweep = open_sweep(name, store)
    tracking = sweep.spec.get("tracking") or {}
    mirror = build_mirror(
        tracking.get("kind", "mlflow"),
        sweep.store,
        experiment=name,
        state=StateFolder.find(),
        uri=tracking.get("uri"),
    )
    if not isinstance(mirror, MlflowMirror):
        raise UsageError(
            f"{name} is not mirrored: its file says 'tracking: none'. Run it again with "
            f"--set tracking.kind=mlflow to change that."
        )
    report = sync_sweep(sweep.store, name, mirror)
    for what in ("runs", "params", "metrics", "artifacts"):
        count = getattr(report, what)
        typer.echo(f"{what:<9}  {count.found} of {count.expected} in MLflow")
    for sentence in report.repaired:
        typer.echo(f"repaired: {sentence}")
    if not report.is_complete:
        listed = "\n  ".join(report.missing)
        raise OrchestratorError(f"MLflow lacks a part of {name}:\n  {listed}")


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow UI on what this project has tracked; Ctrl-C ends it.

    Example: paretune ui --port 5001
    """
    from orchestrator.state_folder import StateFolder

    state = StateFolder.find()
    database = state.root / "mlflow.db"
    if not database.is_file():
        raise OrchestratorError(
            f"There is nothing to show: {database} does not exist. Run a sweep first, or go to "
            f"the folder where one was run, or set PARETUNE_HOME to its state folder."
        )
    _check_free(port)
    say(f"MLflow UI at http://{_LOCALHOST}:{port} (Ctrl-C ends it)")
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", state.tracking_uri),
        *("--artifacts-destination", state.tracking_artifacts.as_uri()),
        *("--host", _LOCALHOST, "--port", str(port), "--workers", "1"),
    ]
    environment = {**_UI_ENVIRONMENT, **os.environ}
    with subprocess.Popen(command, env=environment) as server:  # noqa: S603 - our own words
        try:
            code = server.wait()
        except KeyboardInterrupt:
            # The terminal has told the server too; it gets the time to end its own processes.
            server.send_signal(signal.SIGINT)
            server.wait()
            return
    if code != 0:
        raise OrchestratorError(f"'mlflow server' ended with exit code {code}; see above.")


def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[SWEEP.yaml]", help="Also check what this sweep needs."),
    ] = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Check that this machine can run sweeps; each finding comes with its fix.

    Example: paretune doctor examples/sweeps/digits.yaml
    """
    from orchestrator.doctor import doctor as examine
    from orchestrator.reporting.tables import findings_table
    from orchestrator.spec_files import load_sweep

    findings = examine(None if file is None else load_sweep(file))
    records = [
        {"name": each.name, "ok": each.ok, "detail": each.detail, "fix": each.fix}
        for each in findings
    ]
    print_records(records, findings_table(records), how)
    if not all(each.ok for each in findings):
        raise typer.Exit(1)


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
