"""``ui``."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.mlflow_process import LOCALHOST, answers, check_free, mlflow_process
from orchestrator.cli.options import StoreOption, say, sweep_names
from orchestrator.cli.page import Served, serve_page
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.redaction import redacted
from orchestrator.state_folder import TRACKING_VARIABLE, StateFolder

if TYPE_CHECKING:
    from orchestrator.trials import SweepRecord

_MLFLOW_PORT, _PAGE_PORT = 5000, 5050

SweepArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        autocompletion=sweep_names,
        help="A sweep, whose own page is to be served; without it, MLflow alone.",
        show_default=False,
    ),
]


def ui(  # noqa: PLR0913 - the options of a command
    name: SweepArgument = None,
    *,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"Port of the page, by default {_PAGE_PORT}; without NAME that of MLflow, by "
            f"default {_MLFLOW_PORT}.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address that the page is served at. Anything but this machine's own makes a "
            "token part of the address that is printed."
        ),
    ] = LOCALHOST,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another name by which the page is called, such as a proxy's; may be repeated.",
            show_default=False,
        ),
    ] = None,
    allow_changes: Annotated[
        bool,
        typer.Option("--allow-changes", help="Let the page store which trials were chosen."),
    ] = False,
    mlflow: Annotated[
        bool, typer.Option(help="With NAME: also start MLflow, if its database is here.")
    ] = True,
    store: StoreOption = None,
) -> None:
    """Serve a sweep's page while it runs and after, beside MLflow; Ctrl-C ends both.

    Example: paretune ui digits-fc

    Example: paretune ui --port 5001
    """
    if name is not None:
        served = Served(host, port or _PAGE_PORT, tuple(allowed_host or ()), allow_changes)
        serve_page(name, store, served, _MLFLOW_PORT if mlflow else None)
        return
    if allow_changes or allowed_host or host != LOCALHOST:
        raise UsageError(
            "--host, --allowed-host and --allow-changes are about the page of a sweep: name it, "
            "as in 'paretune ui digits-fc'. MLflow alone is served on this machine only."
        )
    _open_mlflow(port or _MLFLOW_PORT)


def _open_mlflow(port: int) -> None:
    state = StateFolder.find()
    database = state.tracking_database
    if not database.is_file():
        raise OrchestratorError(
            f"There is nothing to show: {database} does not exist. Run a sweep first, or go to "
            f"the folder where one was run, or set PARETUNE_HOME to its state folder."
            f"{_elsewhere()}"
        )
    check_free(port)
    say("Starting MLflow, which takes some seconds")
    with suppress(KeyboardInterrupt), mlflow_process(state.tracking_uri, port) as server:
        if answers(server, port):
            for what, address in _addresses(port):
                say(f"{what} at {address}")
            say("Ctrl-C ends it")
        code = server.wait()
        raise OrchestratorError(f"'mlflow server' ended with exit code {code}; see above.")


def _addresses(port: int) -> Iterator[tuple[str, str]]:
    """What the newest sweep shows, and where; or where its experiment would be listed."""
    from orchestrator.queries.sweeps import list_sweeps
    from orchestrator.tracking.first_view import view_address

    server = f"http://{LOCALHOST}:{port}/"
    mirrored = [sweep for sweep in list_sweeps() if _is_here(sweep)]
    if not mirrored:
        yield "MLflow UI", f"{server}#/experiments?workflowType=machine_learning"
        return
    newest = mirrored[-1]
    experiment = newest.mlflow_experiment_id or ""
    yield "MLflow UI", server + view_address(newest.name, experiment)
    yield "The front in charts", server + view_address(newest.name, experiment, "front")


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
