"""``init`` and ``schema``: what helps to write a sweep file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import say
from orchestrator.errors import UsageError

_SCHEMA_NAME = "sweep.schema.json"


def schema(
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead.")
    ] = None,
) -> None:
    """Print the JSON schema of a sweep file, with which editors complete and check it.

    Example: paretune schema --to sweep.schema.json
    """
    text = _schema_text()
    if to is None:
        typer.echo(text, nl=False)
    else:
        _write(to, text)
        typer.echo(to)


def init(
    file: Annotated[
        Path, typer.Argument(metavar="[SWEEP.yaml]", help="The file to write.")
    ] = Path("sweep.yaml"),
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Name of a data set, a folder with a folder a class, or an .npz."
        ),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="NAME", help="The pre-trained network.")
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            metavar="GOAL",
            help="What matters beside accuracy: size, 'size and latency', 'size and robustness'.",
        ),
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: take what is not given as it is.")
    ] = False,
) -> None:
    """Write a first sweep file; what no option answers is asked.

    Example: paretune init digits.yaml --data digits --yes
    """
    from orchestrator.spec.files import load_sweep
    from orchestrator.spec.first_file import GOALS, default_backbone, first_file

    if file.exists():
        raise UsageError(f"{file} exists, and is left as it is: name another file.")
    if data is None:
        data = "digits" if yes else typer.prompt("Your images: a name, folder or .npz", "digits")
    if backbone is None:
        suited = default_backbone(data)
        backbone = suited if yes else typer.prompt("Pre-trained network", suited)
    if goal is None:
        goals = " / ".join(GOALS)
        goal = "size" if yes else typer.prompt(f"Beside accuracy: {goals}", "size")
    if goal not in GOALS:
        raise UsageError(f"There is no goal {goal!r}. Known: {', '.join(GOALS)}.")
    beside = file.with_name(_SCHEMA_NAME)
    try:
        text = first_file(
            file=file.name, data=data, backbone=backbone, goal=goal, schema=beside.name
        )
    except ValueError as error:
        raise UsageError(f"--backbone: {error}") from None
    _write(file, text)
    try:
        load_sweep(file)
    except UsageError:
        file.unlink()
        raise
    _write(beside, _schema_text())
    typer.echo(file)
    say(f"Next: paretune check {file}")


def _schema_text() -> str:
    from orchestrator.spec.keys import sweep_file_schema

    return json.dumps(sweep_file_schema(), indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
