"""Options of ``front`` and ``pick`` that no other command has."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import sweep_names


class Subset(StrEnum):
    """Name the images on which members are shown, or chosen."""

    VAL = "val"
    TEST = "test"


NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Sweeps; their trials compete together.",
        autocompletion=sweep_names,
    ),
]
ObjectivesOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="What to compare by, NAME:min or NAME:max where the direction is not known; "
        "by default the objectives of the sweep.",
        show_default=False,
    ),
]
SetOption = Annotated[
    Subset,
    typer.Option(
        "--set",
        help="Show the members, chosen on validation, by validation values (with test values "
        "beside them once they are measured) or by test values alone.",
    ),
]
SelectOnOption = Annotated[
    Subset,
    typer.Option(
        help="Choose the members by validation or by test values. Values of the test set by "
        "which something was chosen flatter it.",
    ),
]
IntervalsOption = Annotated[
    bool,
    typer.Option(
        "--intervals",
        help="Show on how many images accuracies were measured, their 95 % intervals, and how "
        "likely each member is on the front; in a table in the place of the parameters.",
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also draw it: .html, a page, or .png, .svg or .pdf (the extra pictures).",
        show_default=False,
    ),
]
TrackingUriOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Read this MLflow instead of the store; with --experiment.",
        show_default=False,
    ),
]
ExperimentOption = Annotated[
    str | None,
    typer.Option(help="MLflow experiment, with --tracking-uri.", show_default=False),
]
ParentRunOption = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Which sweep of the experiment, by the id of its run; by default the newest.",
        show_default=False,
    ),
]
KneeOption = Annotated[bool, typer.Option("--knee", help="The most balanced member of the front.")]
UnderOption = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE=LIMIT",
        help="The best member within a limit, such as memory_bytes=200kB.",
        show_default=False,
    ),
]
DecidingOption = Annotated[
    str | None,
    typer.Option(
        help="With --under: what decides; by default the first other objective.",
        show_default=False,
    ),
]
MinimizeOption = Annotated[
    str | None,
    typer.Option(
        "--min",
        metavar="VALUE",
        help="The trial with the smallest VALUE, such as memory_bytes, that is statistically "
        "not worse than the reference; with --keep, --margin and --alpha.",
        show_default=False,
    ),
]
TrialOption = Annotated[
    int | None,
    typer.Option(
        "--trial",
        metavar="NUMBER",
        min=0,
        help="This trial: your own choice, which is stored.",
        show_default=False,
    ),
]
NoteOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Store the choice with your reason, and show both at the trial's run in MLflow.",
        show_default=False,
    ),
]
CandidateOption = Annotated[
    bool, typer.Option("--candidate", help="With --trial: only a candidate, not picked yet.")
]
WithdrawOption = Annotated[
    bool, typer.Option("--withdraw", help="With --trial: remove the stored choice.")
]
