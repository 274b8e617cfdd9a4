"""``diff``, ``delete`` and ``clean``."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    Format,
    FormatOption,
    NameArgument,
    StoreOption,
    print_record,
    print_records,
    say,
    sweep_names,
)
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.housekeeping.deletion import Holdings
    from orchestrator.queries.differences import Difference

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, as a script needs it.")]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME[:TRIAL]",
        help="A sweep, or one of its trials.",
        autocompletion=sweep_names,
    ),
]


def diff(
    first: SubjectArgument,
    second: SubjectArgument,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """List what differs between two sweeps (their files, trials and fronts), or two trials.

    Example: paretune diff digits-fc:3 digits-fc:17
    """
    from orchestrator.reporting.difference_table import differences_table

    found = _differences(first, second, store)
    if not found:
        say(f"{first} and {second} do not differ.")
    records = [{"name": each.name, "first": each.first, "second": each.second} for each in found]
    print_records(records, differences_table(found, first, second), how)


def _differences(first: str, second: str, store: str | None) -> "list[Difference]":
    from orchestrator.queries.differences import compare_sweeps, compare_trials, parse_subject
    from orchestrator.queries.sweeps import open_sweep

    (one, number), (other, its_number) = parse_subject(first), parse_subject(second)
    if (number is None) != (its_number is None):
        raise UsageError(
            f"{first} and {second} are not of one kind: compare two sweeps (A B), or two trials "
            f"(A:3 B:7)."
        )
    if number is None or its_number is None:
        return compare_sweeps(one, other, store)
    trials = open_sweep(one, store).trial(number), open_sweep(other, store).trial(its_number)
    return compare_trials(*trials)


def delete(
    name: NameArgument,
    *,
    yes: YesOption = False,
    keep_runs: Annotated[
        bool, typer.Option("--keep-runs", help="Leave its MLflow runs as they are.")
    ] = False,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Delete a sweep: its MLflow runs, its networks on disk, and its rows in the store.

    Example: paretune delete digits-fc
    """
    from orchestrator.housekeeping.deletion import delete_sweep, holdings
    from orchestrator.quantities import human

    has = holdings(name, store)
    say(f"{name}: {has.trials} trials, {human('memory_bytes', has.bytes)} of files")
    for folder in has.folders:
        say(f"  files in {folder}")
    if has.storage:
        say(f"  files in {has.storage}")
    if has.runs and not keep_runs:
        say(f"  {len(has.runs)} MLflow runs, which 'mlflow gc' removes for good")
    confirm(f"Delete {name}?", yes=yes)
    had = delete_sweep(name, store, keep_runs=keep_runs)
    say(f"Deleted {name}")
    if how is not Format.TABLE:
        print_record(_deleted(had, keep_runs=keep_runs), "", how)


def _deleted(had: "Holdings", *, keep_runs: bool) -> dict[str, object]:
    """Describe what was deleted, as ``--format json`` prints it."""
    return {
        "sweep": had.sweep,
        "trials": had.trials,
        "bytes": had.bytes,
        "folders": list(map(str, had.folders)),
        "storage": had.storage or None,
        "mlflow_runs": [] if keep_runs else list(had.runs),
    }


def clean(
    *,
    abandoned: Annotated[
        bool,
        typer.Option(
            "--abandoned",
            help="Also remove files of sweeps that the default store does not have.",
        ),
    ] = False,
    yes: YesOption = False,
    how: FormatOption = Format.TABLE,
) -> None:
    """Remove what can be computed or fetched again from the state folder; sizes are shown first.

    Example: paretune clean
    """
    from orchestrator.housekeeping.cleaning import clean as remove
    from orchestrator.housekeeping.cleaning import removable
    from orchestrator.quantities import human

    found = removable(abandoned=abandoned)
    if not found:
        say("There is nothing to remove.")
    for each in found:
        say(f"{human('memory_bytes', each.bytes):>9}  {each.folder}: {each.what}")
    if found:
        confirm("Remove them?", yes=yes)
        remove(found)
        say(f"Removed {human('memory_bytes', sum(each.bytes for each in found))}")
    if how is not Format.TABLE:
        removed = [
            {"folder": str(each.folder), "what": each.what, "bytes": each.bytes} for each in found
        ]
        print_records(removed, "", how)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person; without one, and without ``--yes``, nothing is done."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "Nothing was changed: this is not a terminal, so the question cannot be asked. Add "
            "--yes to go on without it."
        )
    typer.confirm(question, abort=True)
