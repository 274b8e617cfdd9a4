"""``simulate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    FileArgument,
    Format,
    FormatOption,
    SettingsOption,
    StoreOption,
    print_records,
    say,
)

if TYPE_CHECKING:
    from orchestrator.simulation.table import Table
    from orchestrator.spec.sweep_spec import SweepSpec

_AS_GIVEN = "as given"


def simulate(  # noqa: PLR0913 - the options of a command
    file: FileArgument,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="What trials do: a stored sweep, or a table (.csv, .json, with .gz behind it).",
            show_default=False,
        ),
    ],
    *,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,...",
            help="Compare with the sweep changed so, for example "
            "sampler.kind=random,scheduler.kind=fifo; may be repeated.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Simulate with so many seeds.")] = 10,
    slots: Annotated[int, typer.Option(min=1, help="Trials that run at once.")] = 8,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Replay past trials as SWEEP.yaml would run them, and compare samplers and schedulers.

    Nothing is trained: time passes on a virtual clock. The table shows medians over the seeds: the
    time to 99 % of the hypervolume of everything recorded, the final hypervolume, and how much of
    the recorded front is missing, measured from just behind it.

    Example: paretune simulate digits.yaml --from digits-grid --against sampler.kind=random
    """
    from orchestrator.spec.files import load_sweep

    first = load_sweep(file, settings=settings or ())
    variants: dict[str, SweepSpec] = {_AS_GIVEN: first}
    for text in against or ():
        variants[text] = load_sweep(file, settings=[*(settings or ()), text])

    from orchestrator.simulation.comparing import compare
    from orchestrator.simulation.tables import simulated_table

    table = _table(source, store)
    say(f"{len(variants)} variants, {seeds} seeds, {slots} slots; trials of {table.source}")
    found = compare(variants, table, seeds=range(first.seed, first.seed + seeds), slots=slots)
    print_records([sweep.as_json() for sweep in found], simulated_table(found), how)


def _table(source: str, url: str | None) -> "Table":
    if Path(source).suffix in (".csv", ".json", ".gz"):
        from orchestrator.simulation.table_files import read_table

        return read_table(source)
    from orchestrator.simulation.table import Table
    from orchestrator.storage.opening import open_store

    return Table.of_sweep(source, open_store(url, create=False))
