"""``list``, ``status``, ``trials`` and ``show``."""

from typing import Annotated

import typer

from orchestrator.cli.options import (
    Format,
    FormatOption,
    NameArgument,
    StoreOption,
    TrialArgument,
    WhereOption,
    print_record,
    print_records,
    say,
)


def list_(how: FormatOption = Format.TABLE, store: StoreOption = None) -> None:
    """List all sweeps of the store, oldest first.

    Example: paretune list
    """
    from orchestrator.queries.sweeps import list_sweeps, open_sweep
    from orchestrator.reporting.records import sweep_record
    from orchestrator.reporting.tables import sweeps_table

    sweeps = list_sweeps(store)
    counts = {each.name: open_sweep(each.name, store).count_states() for each in sweeps}
    if not sweeps:
        say("There is no sweep yet; 'paretune run SWEEP.yaml' makes one.")
    records = [sweep_record(sweep, counts[sweep.name]) for sweep in sweeps]
    print_records(records, sweeps_table(sweeps, counts), how)


def status(
    name: NameArgument, how: FormatOption = Format.TABLE, store: StoreOption = None
) -> None:
    """Say where a sweep stands: trials by state, failures by kind, best values, what to do next.

    Example: paretune status digits-fc
    """
    from orchestrator.places import lost_networks
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.records import status_record
    from orchestrator.reporting.trial_page import sweep_page

    sweep = open_sweep(name, store)
    failures = sweep.store.failures(name)
    trials, front = sweep.trials(), sweep.front()
    asked_for = {member.trial for member in front} | {t.number for t in trials if t.is_reference}
    lost = lost_networks(trials, asked_for)
    found = (sweep.record, trials, failures, sweep.objectives, front)
    print_record(status_record(*found, lost), sweep_page(*found, lost), how)


def trials(
    name: NameArgument,
    where: WhereOption = None,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """List the trials of a sweep, whatever their state.

    Example: paretune trials digits-fc --where "bits <= 4 and accuracy >= 0.95"
    """
    from orchestrator.queries.records import trial_record
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.tables import trials_table

    sweep = open_sweep(name, store)
    found = sweep.trials(where)
    if not found:
        condition = f" that fulfills {where!r}" if where else ""
        say(f"{name} has no trial{condition}.")
    table = trials_table(found, sweep.objectives)
    print_records([trial_record(trial) for trial in found], table, how)


def show(
    name: NameArgument,
    trial: TrialArgument,
    *,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print tracebacks of failures in full.")
    ] = False,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Show one trial: parameters, values, epochs, attempts, errors, choice, MLflow run, artifact.

    Example: paretune show digits-fc 17
    """
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.records import choice_record, trial_details
    from orchestrator.reporting.trial_page import trial_page

    sweep = open_sweep(name, store)
    found = sweep.trial(trial)
    attempts = sweep.store.attempts(name, trial)
    reports = sweep.store.reports(name, trial)
    choice = next((each for each in sweep.choices if each.trial == trial), None)
    page = trial_page(found, attempts, reports, with_traceback=traceback, choice=choice)
    chosen = {"choice": choice_record(choice)} if choice else {}
    print_record(trial_details(found, attempts, reports) | chosen, page, how)
