"""``list``, ``status``, ``trials``, ``show`` and ``logs``."""

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
    from orchestrator.queries.sweeps import count_sweeps
    from orchestrator.reporting.records import sweep_record
    from orchestrator.reporting.tables import sweeps_table

    found = count_sweeps(store)
    if not found:
        say("There is no sweep yet; 'paretune run SWEEP.yaml' makes one.")
    records = [sweep_record(sweep, counts) for sweep, counts in found]
    counted = {sweep.name: counts for sweep, counts in found}
    print_records(records, sweeps_table([sweep for sweep, _ in found], counted), how)


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
    failures, counts, front = sweep.store.failures(name), sweep.count_states(), sweep.front()
    asked_for = {member.trial for member in front}
    asked_for |= {trial.number for trial in sweep.store.references(name)}
    lost = lost_networks(sweep.store.artifacts(name), asked_for)
    found = (sweep.record, counts, failures, sweep.objectives, front)
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


def logs(
    name: NameArgument,
    trial: TrialArgument,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Print what happened to one trial: its attempts, epochs, errors, and what runs logged of it.

    Example: paretune logs digits-fc 17
    """
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.queries.trial_log import trial_log
    from orchestrator.reporting.records import event_record
    from orchestrator.reporting.trial_page import event_lines

    events = trial_log(open_sweep(name, store), trial)
    if how is Format.TABLE:
        typer.echo("\n".join(line for event in events for line in event_lines(event)))
    else:
        print_records([event_record(event) for event in events], "", how)
