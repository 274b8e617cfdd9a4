"""``simulate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    Format,
    FormatOption,
    SettingsOption,
    StoreOption,
    print_records,
    say,
)

if TYPE_CHECKING:
    from orchestrator.simulation.table import Table


_File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[SWEEP.yaml]",
        help="The sweep file; or a short file with keys that say how to search a table; or "
        "nothing, and the table is searched by what it says of itself.",
        show_default=False,
    ),
]
_Source = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="NAME|FILE",
        help="What trials do: a stored sweep, or a table (.csv, .json, with .gz behind it).",
        show_default=False,
    ),
]
_Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE,...",
        help="Compare with the sweep changed so, for example "
        "sampler.kind=random,scheduler.kind=fifo; may be repeated.",
        show_default=False,
    ),
]
_Objectives = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=maximize|minimize",
        help="An objective of a table without a sweep file; may be repeated.",
        show_default=False,
    ),
]
_Known = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A value of the table that is known before training, or none; may be repeated.",
        show_default=False,
    ),
]


def simulate(  # noqa: PLR0913 - the options of a command
    file: _File = None,
    *,
    source: _Source,
    against: _Against = None,
    objective: _Objectives = None,
    known: _Known = None,
    settings: SettingsOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Simulate with so many seeds.")] = 10,
    slots: Annotated[int, typer.Option(min=1, help="Trials that run at once.")] = 8,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Replay past trials as SWEEP.yaml would run them, and compare samplers and schedulers.

    Nothing is trained: time passes on a virtual clock. Without SWEEP.yaml a table is searched
    under its own names, and samplers are compared. The table shows medians over the seeds: of a
    sweep file the time to 99 % of the hypervolume of everything recorded and the final
    hypervolume, and always how much of the recorded front is missing, measured from behind it.

    Example: paretune simulate --from nasbench201.csv.gz --set budget.trials=100
    """
    from orchestrator.simulation.comparing import compare
    from orchestrator.simulation.tables import distance_table, simulated_table
    from orchestrator.simulation.variants import TableOptions, is_sweep_file, variants_of

    options = TableOptions(objective or (), known or ())
    table = _table(source, store)
    variants, notes = variants_of(file, table, settings or (), against or (), options)
    say(f"{len(variants)} variants, {seeds} seeds, {slots} slots; trials of {table.source}")
    for note in notes:
        say(note)
    first = next(iter(variants.values())).seed
    found = compare(variants, table, seeds=range(first, first + seeds), slots=slots)
    shown = simulated_table if is_sweep_file(file) else distance_table
    print_records([sweep.as_json() for sweep in found], shown(found), how)


def _table(source: str, url: str | None) -> "Table":
    if Path(source).suffix in (".csv", ".json", ".gz"):
        from orchestrator.simulation.table_files import read_table

        return read_table(source)
    from orchestrator.simulation.table import Table
    from orchestrator.storage.opening import open_store

    return Table.of_sweep(source, open_store(url, create=False))
