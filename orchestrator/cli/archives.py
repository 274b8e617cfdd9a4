"""``archive``, ``restore`` and ``rename``."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import (
    Format,
    FormatOption,
    NameArgument,
    StoreOption,
    print_record,
    say,
    sweep_names,
)

WithoutRunsOption = Annotated[
    bool,
    typer.Option(
        "--without-runs",
        help="Leave MLflow alone; 'paretune sync' makes the runs from the store.",
    ),
]


def archive(
    name: NameArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    *,
    without_runs: WithoutRunsOption = False,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Write a sweep into one file: its rows in the store, its networks, its MLflow runs.

    Example: paretune archive digits-fc --to digits-fc.zip
    """
    from orchestrator.housekeeping.archiving import archive_sweep
    from orchestrator.quantities import human

    done = archive_sweep(name, to, store, keep_runs=without_runs)
    record = {
        "sweep": done.sweep,
        "file": str(done.file),
        "bytes": done.bytes,
        "trials": done.trials,
        "files": done.files,
        "mlflow_runs": done.runs,
        "lost_networks": list(done.lost),
    }
    if done.lost:
        say(f"{len(done.lost)} packed networks were lost before: paretune status {name}")
    line = (
        f"{done.file}: {done.trials} trials, {done.files} files, {done.runs} MLflow runs, "
        f"{human('memory_bytes', done.bytes)}"
    )
    print_record(record, line, how)


def rename(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="Name of the sweep.", autocompletion=sweep_names)
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    *,
    without_runs: WithoutRunsOption = False,
    store: StoreOption = None,
) -> None:
    """Give a sweep another name: in the store, on disk, and in MLflow.

    Example: paretune rename digits-fc digits-2026
    """
    from orchestrator.housekeeping.renaming import rename_sweep

    rename_sweep(old, new, store, without_runs=without_runs)
    say(f"{old} is called {new} now")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'paretune archive' wrote.")],
    *,
    without_runs: WithoutRunsOption = False,
    here: Annotated[
        bool,
        typer.Option(
            "--here", help="Put what the sweep kept in its 'storage' into the state folder."
        ),
    ] = False,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Restore a sweep from its archive, here or on another machine; nothing is overwritten.

    Example: paretune restore digits-fc.zip
    """
    from orchestrator.housekeeping.restoring import restore_sweep

    done = restore_sweep(file, store, without_runs=without_runs, here=here)
    record = {
        "sweep": done.sweep,
        "trials": done.trials,
        "files": done.files,
        "folder": str(done.folder),
        "storage": done.storage or None,
        "mlflow_runs": done.runs,
    }
    line = (
        f"{done.sweep}: {done.trials} trials, {done.files} files in "
        f"{done.storage or done.folder}, {done.runs} MLflow runs"
    )
    print_record(record, line, how)
