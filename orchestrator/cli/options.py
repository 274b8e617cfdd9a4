"""Options and arguments that several commands share, and how they print."""

import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from rich.console import RenderableType

from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.logs.run_log import LogFormat

if TYPE_CHECKING:
    from trainers.data.config import DataConfig


class Format(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[
    Format, typer.Option("--format", "-f", help="How to print; json stands alone on stdout.")
]
_STORE_HELP = (
    "SQLAlchemy URL of the store, with its driver; by default {file}what PARETUNE_STORE names, "
    "else the one in the state folder (.paretune, or PARETUNE_HOME)."
)


def _with_a_word(url: str | None) -> str | None:
    """Say which store is meant if a variable decides that."""
    from orchestrator.redaction import redacted
    from orchestrator.state_folder import StateFolder

    address, variable = StateFolder.find().store_address(url)
    if variable:
        say(f"the store is {redacted(address)}, as {variable} says")
    return url


StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help=_STORE_HELP.format(file=""),
        show_default=False,
        callback=_with_a_word,
    ),
]
RunStoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help=_STORE_HELP.format(file="what the file names, else "),
        show_default=False,
    ),
]


def sweep_names(beginning: str) -> list[str]:
    """Names of sweeps of the default store, for a shell that completes one; none is no error."""
    from orchestrator.queries.sweeps import list_sweeps

    try:
        return [each.name for each in list_sweeps() if each.name.startswith(beginning)]
    except OrchestratorError:
        return []


NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of the sweep.", autocompletion=sweep_names),
]
TrialArgument = Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")]
FileArgument = Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        metavar="CONDITION",
        help="Only trials that fulfill a condition on parameters and values, such as "
        "\"bits <= 4 and backbone == 'vgg16'\".",
        show_default=False,
    ),
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="The accuracies that must not be worse; by default those that the sweep file claims, "
        "else accuracy.",
        show_default=False,
    ),
]
MarginOption = Annotated[
    str | None,
    typer.Option(
        metavar="POINTS",
        help="The largest loss that does not matter, as in '2 points' or 0.02; by default that of "
        "the sweep file's claim, else 2 points.",
        show_default=False,
    ),
]
AlphaOption = Annotated[
    float | None,
    typer.Option(
        help="The accepted probability of a wrong 'not worse'; by default that of the sweep "
        "file's claim, else 0.05.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        help="Address of a running Ray cluster; by default this machine.",
        show_default=False,
    ),
]
LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format",
        metavar="text|json",
        help="Form of the run's log: text, or JSON lines, which then also replace the progress on "
        "standard error; by default what PARETUNE_LOG_FORMAT says, else text.",
        show_default=False,
    ),
]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        min=0,
        max=65535,
        help="Serve metrics for Prometheus while the run lasts; 0 is any free port. Listens at "
        "PARETUNE_METRICS_HOST, else at 127.0.0.1; by default what PARETUNE_METRICS_PORT names, "
        "else none.",
        show_default=False,
    ),
]
MetricsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        metavar="FILE.prom",
        help="Write metrics to a file every few seconds, for node_exporter's textfile collector; "
        "by default what PARETUNE_METRICS_FILE names, else none.",
        show_default=False,
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE,...",
        help="Change the file, for example training.epochs=3 or sampler=random,seed=7; may be "
        "repeated. Paths are relative to the working directory.",
        show_default=False,
    ),
]


def listed(text: str | None) -> list[str] | None:
    """Split a text at its commas; None if there is no text."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def print_records(
    records: Sequence[Mapping[str, object]], table: RenderableType, how: Format
) -> None:
    """Print records on standard output in the form that was asked for; no table without them."""
    from orchestrator.reporting.tables import as_csv, as_json

    if how is Format.JSON:
        typer.echo(as_json(records))
    elif how is Format.CSV:
        typer.echo(as_csv(records), nl=False)
    elif records:
        print_table(table)


def print_record(record: Mapping[str, object], table: RenderableType, how: Format) -> None:
    """Print one record: in JSON an object, not a list."""
    from orchestrator.reporting.tables import as_json

    if how is Format.JSON:
        typer.echo(as_json(record))
    else:
        print_records([record], table, how)


def print_table(table: RenderableType) -> None:
    """Print a table or text on standard output."""
    from rich.table import Table

    from orchestrator.reporting.long_table import LONG, long_text
    from orchestrator.reporting.terminal import console_for

    if isinstance(table, Table) and table.row_count > LONG:
        typer.echo("\n".join(long_text(table)))
        return
    console_for(sys.stdout).print(table)


def say(text: str) -> None:
    """Print a note for the user on standard error; standard output is for results."""
    typer.echo(text, err=True)


def data_config(
    data: str, *, root: str | None = None, seed: int = 0, side: int = 224
) -> "DataConfig":
    """Build the data config for a data set's name, a folder, or an .npz file.

    Args:
        data: As it was given.
        root: Folder of the named data sets.
        seed: Of the split.
        side: In pixels, of pictures that have no size in common.

    Raises:
        UnknownNameError: It is none of these.
    """
    from trainers.data.config import DataConfig, data_names

    if data in data_names():
        return DataConfig(name=data, root=root, seed=seed, default_size=side)
    if data.endswith(".npz"):
        return DataConfig(npz=data, seed=seed)
    if Path(data).is_dir():
        return DataConfig(folder=data, seed=seed, default_size=side)
    raise UnknownNameError("data set, folder or .npz file", data, data_names())


def check_page(to: Path) -> None:
    """Reject a path to which no page can be written, before anything long begins.

    Raises:
        UsageError: It does not end like a page, or is a folder.
        OrchestratorError: Its folder is missing, or cannot be written to.
    """
    if to.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--to names the page to write and ends in .html; got {str(to)!r}.")
    if to.is_dir():
        raise UsageError(f"--to names the page to write, and {to} is a folder.")
    if not to.parent.is_dir():
        raise OrchestratorError(
            f"{to} cannot be written: there is no folder {to.parent}. Make it, or name another "
            f"place with --to."
        )
    if not os.access(to.parent, os.W_OK):
        raise OrchestratorError(
            f"{to} cannot be written: the folder {to.parent} is not yours to write to. Name "
            f"another place with --to."
        )


def save_page(page: str, to: Path) -> None:
    """Write a page, and say where it is."""
    from orchestrator.reporting.page_parts import write_page

    try:
        write_page(page, to)
    except OSError as error:
        raise OrchestratorError(f"{to} cannot be written: {error.strerror}.") from error
    say(f"Wrote {to}")


class Analysis(Protocol):
    """A report of an analysis, as values and as rows."""

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        ...

    def records(self) -> list[dict[str, Any]]:
        """Return its rows."""
        ...


def print_analysis(
    report: Analysis, heading: str, table: RenderableType, how: Format, *, as_rows: bool = False
) -> None:
    """Print an analysis: whole as JSON, else its rows, below a heading if people read them."""
    if how is Format.JSON and not as_rows:
        print_record(report.as_json(), "", how)
        return
    if how is Format.TABLE and heading:
        typer.echo(heading)
    print_records(report.records(), table, how)
