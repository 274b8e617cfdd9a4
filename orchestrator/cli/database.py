"""``database``: the store's schema, and backups of all of it."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Format, FormatOption, StoreOption, print_record, say
from orchestrator.cli.tidy import YesOption, confirm

app = typer.Typer(
    name="database",
    help="The store as a database: its state, its schema, backups of all sweeps.",
    no_args_is_help=True,
)


def _address(store: str | None) -> str:
    from orchestrator.state_folder import StateFolder

    return StateFolder.find().store_address(store)[0]


@app.command("status")
def status(how: FormatOption = Format.TABLE, store: StoreOption = None) -> None:
    """Say what kind of database the store is, its schema, its size, and whether it is damaged.

    Example: paretune database status
    """
    from orchestrator.quantities import human
    from orchestrator.storage.backups import database_status

    found = database_status(_address(store))
    is_newest = found.schema == found.newest
    record = {
        "url": found.url,
        "kind": found.kind,
        "schema": found.schema,
        "newest": found.newest,
        "up_to_date": is_newest,
        "sweeps": found.sweeps,
        "trials": found.trials,
        "bytes": found.bytes,
        "problem": found.problem or None,
    }
    schema = "none: the first run makes it"
    if found.schema is not None:
        hint = "" if is_newest else f"; this paretune makes {found.newest}"
        schema = f"{found.schema}{hint}"
    lines = [
        f"store   {found.url}",
        f"kind    {found.kind}",
        f"schema  {schema}",
        f"holds   {found.sweeps} sweeps, {found.trials} trials, "
        f"{human('memory_bytes', found.bytes)}",
    ]
    print_record(record, "\n".join(lines), how)
    if found.problem:
        say(f"The database is damaged: {found.problem}")
        raise typer.Exit(1)


@app.command("upgrade")
def upgrade(*, yes: YesOption = False, store: StoreOption = None) -> None:
    """Bring the schema of the store up to date, as the first run of a newer paretune does.

    Example: paretune database upgrade --yes
    """
    from orchestrator.storage import schema_version
    from orchestrator.storage import upgrade as bring_up

    url = _address(store)
    before, newest = schema_version(url)
    if before == newest:
        say(f"The schema is {newest}, the newest.")
        return
    if before is not None:
        say(f"The schema goes from {before} to {newest}; an older paretune cannot read it then.")
        say("A backup first: paretune database backup --to FILE")
        confirm("Upgrade it?", yes=yes)
    bring_up(url)
    say(f"The schema is {newest} now.")


@app.command("backup")
def backup(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Write all sweeps of the store into one SQLite file; runs may go on meanwhile.

    Example: paretune database backup --to backup.db
    """
    from orchestrator.quantities import human
    from orchestrator.storage.backups import back_up

    size = back_up(_address(store), to)
    line = f"{to}: {human('memory_bytes', size)}"
    print_record({"file": str(to), "bytes": size}, line, how)


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'backup' wrote.")],
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Put the sweeps of a backup into an empty store, SQLite or PostgreSQL.

    Example: paretune database restore backup.db --store sqlite:///sweeps.db
    """
    from orchestrator.storage.backups import put_back

    names = put_back(file, _address(store))
    print_record({"sweeps": names}, f"{len(names)} sweeps: {', '.join(names)}", how)
