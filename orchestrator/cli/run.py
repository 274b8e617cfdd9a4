"""``check``, ``run``, ``resume`` and ``stop``."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    AddressOption,
    FileArgument,
    LogFormatOption,
    MetricsFileOption,
    MetricsPortOption,
    NameArgument,
    RunStoreOption,
    SettingsOption,
    StoreOption,
    print_table,
    say,
)
from orchestrator.logs.run_log import LogFormat

if TYPE_CHECKING:
    from orchestrator.contracts import Progress, Store
    from orchestrator.driver.run_result import RunResult
    from orchestrator.driver.watch import Watch

_INTERRUPTED = 130
_STDERR = 2


def check(file: FileArgument, settings: SettingsOption = None) -> None:
    """Check a sweep file without running it: keys, ranges, names, sizes, resources.

    Example: paretune check examples/sweeps/digits.yaml
    """
    from orchestrator.driver.preflight import check as check_sweep
    from orchestrator.spec.files import load_sweep

    report = check_sweep(load_sweep(file, settings=settings or ()))
    width = max((len(label) for label, _ in report.lines), default=0)
    for label, text in report.lines:
        typer.echo(f"{label:<{width}}  {text}")
    for problem in report.problems:
        say(f"error: {problem}")
    if report.problems:
        raise typer.Exit(1)


def run(  # noqa: PLR0913 - the options of a command
    file: FileArgument,
    *,
    name: Annotated[
        str | None, typer.Option(help="Replaces the name in the file.", show_default=False)
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Replaces budget.trials.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Learn from earlier results first: a sweep's name, a table (.csv), or a mapping "
            "such as '{optuna: sqlite:///study.db}'; replaces warm_start in the file.",
            show_default=False,
        ),
    ] = None,
    address: AddressOption = None,
    store: RunStoreOption = None,
    log_format: LogFormatOption = None,
    metrics_port: MetricsPortOption = None,
    metrics_file: MetricsFileOption = None,
) -> None:
    """Run a sweep to its end; after a crash, the same command goes on where it was.

    Example: paretune run examples/sweeps/digits.yaml --trials 48 --set training.epochs=8
    """
    from orchestrator.spec.files import load_sweep

    _own_stderr()
    spec = load_sweep(
        file, settings=settings or (), name=name, trials=trials, warm_start=warm_start
    )

    from orchestrator.driver.running import run as run_sweep

    began = time.monotonic()
    watch = _watch(log_format, metrics_port, metrics_file)
    result = run_sweep(spec, store=store, progress=_progress(watch), address=address, watch=watch)
    _finish(result, time.monotonic() - began)


def resume(
    name: NameArgument,
    address: AddressOption = None,
    store: StoreOption = None,
    *,
    log_format: LogFormatOption = None,
    metrics_port: MetricsPortOption = None,
    metrics_file: MetricsFileOption = None,
) -> None:
    """Go on with a sweep that was interrupted; its file is not needed.

    Example: paretune resume digits-fc
    """
    from orchestrator.driver.running import resume as resume_sweep

    _own_stderr()
    began = time.monotonic()
    watch = _watch(log_format, metrics_port, metrics_file)
    opened = _opened(store, create=False)
    result = resume_sweep(
        name, store=opened, progress=_progress(watch), address=address, watch=watch
    )
    _finish(result, time.monotonic() - began)


def stop(name: NameArgument, store: StoreOption = None) -> None:
    """Ask the driver of a sweep, on any machine, to interrupt it; finished epochs are kept.

    Example: paretune stop digits-fc
    """
    import getpass
    import socket

    from orchestrator.errors import OrchestratorError
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.trials import SweepState

    sweep = open_sweep(name, store)
    if sweep.state is SweepState.RUNNING:
        driver = sweep.store.ask_to_stop(name, f"{getpass.getuser()} on {socket.gethostname()}")
        if driver is not None:
            say(f"Asked {driver.holder}, which looks every few seconds: paretune status {name}")
            return
    raise OrchestratorError(
        f"No driver runs {name!r}: it is {sweep.state.value}"
        + (f" ({sweep.record.stop_reason})" if sweep.record.stop_reason else "")
        + f". Go on with it: paretune resume {name}"
    )


def _watch(form: LogFormat | None, port: int | None, file: Path | None) -> "Watch":
    from orchestrator.driver.watch import Watch
    from orchestrator.metrics.serving import MetricsPlace

    return Watch(form or LogFormat.of_environment(), MetricsPlace.find(port, file))


def _progress(watch: "Watch") -> "Progress":
    """What shows the run: nothing where its log goes to standard error."""
    from orchestrator.contracts import Silent
    from orchestrator.reporting.terminal import progress_for

    return Silent() if watch.log_format is LogFormat.JSON else progress_for()


def _own_stderr() -> None:
    """Give Python a standard error of its own, so that what Ray's C++ prints can go to a file."""
    with suppress(OSError, ValueError, AttributeError):  # It is closed, or no file.
        if sys.stderr.fileno() == _STDERR:
            encoding, errors = sys.stderr.encoding, sys.stderr.errors
            own = os.dup(_STDERR)
            sys.stderr = os.fdopen(own, "w", buffering=1, encoding=encoding, errors=errors)


def _opened(url: str | None, *, create: bool) -> "Store | None":
    if url is None:
        return None
    from orchestrator.storage.opening import open_store

    return open_store(url, create=create)


def _finish(result: "RunResult", seconds: float) -> None:
    """Print the front and, last, the count; the exit code says whether anything came of it."""
    from orchestrator.quantities import duration
    from orchestrator.reporting.tables import front_heading, front_table
    from orchestrator.reporting.terminal import has_room_for_params

    name = result.sweep.name
    if len(result.front):
        knee = result.front.knee() if len(result.front) > 2 else None
        typer.echo(front_heading(result.front, knee=knee))
        with_params = has_room_for_params(sys.stdout, result.front)
        print_table(front_table(result.front, knee=knee, with_params=with_params))
        typer.echo(f"Plot it:        paretune front {name} --plot front.html")
        typer.echo("Browse trials:  paretune ui")
    if result.failed:
        typer.echo(f"Why they failed: paretune trials {name} --where \"state == 'failed'\"")
    if result.interrupted:
        typer.echo(f"Interrupted; go on with: paretune resume {name}")
    typer.echo(
        f"{name}: {result.complete} complete, {result.stopped} stopped early, "
        f"{result.failed} failed, in {duration(seconds)}"
    )
    if result.interrupted:
        raise typer.Exit(_INTERRUPTED)
    if result.failed and not result.complete and not result.stopped:
        raise typer.Exit(1)
