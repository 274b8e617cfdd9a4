"""``export-study``."""

from typing import Annotated

import typer

from orchestrator.cli.options import NameArgument, StoreOption, say


def export_study(
    name: NameArgument,
    to: Annotated[
        str,
        typer.Option(
            metavar="STORAGE",
            help="Optuna storage: a database URL, such as sqlite:///study.db, or the path of a "
            "journal file; made where it is missing.",
        ),
    ],
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study; by default the sweep's.", show_default=False),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write a sweep as an Optuna study, for optuna-dashboard; again, and it adds what is new.

    Example: paretune export-study digits-fc --to sqlite:///study.db
    """
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.sampling.optuna_studies import export_study as write_study

    sweep = open_sweep(name, store)
    done = write_study(
        sweep.record,
        sweep.trials(),
        lambda trial: sweep.store.reports(name, trial),
        to,
        study,
    )
    typer.echo(
        f"study {study or name}: {done.added} trials added, {done.ended} brought to their end, "
        f"{done.unchanged} there already"
    )
    if done.references:
        say(f"Left out: {done.references} trials of the reference, no part of the search.")
    if done.late:
        say(
            f"{done.late} trials have values that were measured after they were written, and "
            f"Optuna changes no finished trial: write to another study with --study."
        )
    say(f"Look at it: optuna-dashboard {to}")
