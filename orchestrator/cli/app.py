"""The table of commands, and how errors become exit codes.

0 done; 1 failed; 2 wrong use or a wrong file; 3 the Ray cluster died under a run, which can be
resumed; 130 interrupted. A traceback is a bug.
"""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.cli import (
    analyze,
    archives,
    database,
    fronts,
    jobs,
    plot,
    pretrain,
    report,
    run,
    show,
    simulate,
    start,
    studies,
    submit,
    tidy,
    tools,
    ui,
)
from orchestrator.errors import ClusterLostError, OrchestratorError

_INTERRUPTED = 130
# New objects after which Python looks for cycles. A command imports libraries of many thousand
# objects, none of which is garbage: at the usual 700 it spends a fifth of that time looking.
_COLLECT_AFTER = 100_000


class _Commands(TyperGroup):
    """Prints an error that is meant for a person as one sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the line names."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except Exception as error:
            code = _exit_code(error)
            if code is None:
                raise
            typer.echo(f"{typer.style('error:', fg='red', bold=True)} {error}", err=True)
            raise typer.Exit(code) from None


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error whose text is a sentence to a person; None for a bug."""
    if isinstance(error, OrchestratorError):
        return error.exit_code
    # Asked by way of what is loaded: importing trainers may take as long as importing torch.
    trainers = sys.modules.get("trainers.errors")
    if trainers is not None and isinstance(error, trainers.TrainerError):
        return 2 if isinstance(error, trainers.AbsentDataError) else 1
    return None


app = typer.Typer(
    name="paretune",
    cls=_Commands,
    help="Which fine-tuned CNNs are the best trade-offs of accuracy, memory and adversarial "
    "robustness on your data?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


_COMMANDS: Mapping[str, tuple[Callable[..., None], ...]] = {
    "Start": (start.init, start.schema),
    "Run": (run.check, run.run, submit.submit, run.resume, run.stop),
    "Look": (show.list_, show.status, show.trials, show.show, show.logs, tidy.diff),
    "Choose": (
        fronts.front,
        fronts.pick,
        plot.plot,
        report.report,
        tools.export,
        studies.export_study,
    ),
    "Care": (
        ui.ui,
        tools.sync,
        tools.doctor,
        tidy.delete,
        archives.archive,
        archives.restore,
        archives.rename,
        tidy.clean,
        pretrain.pretrain,
        simulate.simulate,
    ),
}
for panel, commands in _COMMANDS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_").replace("_", "-"), rich_help_panel=panel)(command)
app.add_typer(jobs.app, name="jobs", rich_help_panel="Run")
app.add_typer(database.app, name="database", rich_help_panel="Care")
app.add_typer(analyze.app, name="analyze", rich_help_panel="Choose")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"paretune {version('paretune')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that the process was started with."""
    gc.set_threshold(_COLLECT_AFTER)
    # Called last. Frozen objects are left out of the garbage collection at exit, which takes a
    # second.
    atexit.register(gc.freeze)
    try:
        app(prog_name="paretune")
    except SystemExit as ended:
        if ended.code != ClusterLostError.exit_code:
            raise
        # Surprise (Ray 2.60): without its head, Ray's library crashes in the end of the process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ClusterLostError.exit_code)
