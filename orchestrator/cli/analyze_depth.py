"""``analyze depth``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.analysis.depth_cap import (
    BASIS,
    DepthConversion,
    DepthScope,
    EntropyUnit,
    Rounding,
)
from orchestrator.cli.analysis_options import ImagesArgument, PageOption, images_config, progress
from orchestrator.cli.analysis_output import AnalysisOutput, TrackOption
from orchestrator.cli.options import Format, FormatOption, say
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.analysis.depth_analysis import DepthReport, EntropySummary
    from trainers.data.config import DataConfig

_SHOWN = {0: "min", 1: "5 %", 3: "median", 5: "95 %", 6: "max"}  # places in `QUANTILES`

UnitOption = Annotated[
    EntropyUnit, typer.Option(help="In what the entropy is counted for the cap.")
]
RoundingOption = Annotated[
    Rounding, typer.Option(help="How a whole number is made; round is to the nearest.")
]
ScopeOption = Annotated[
    DepthScope,
    typer.Option("--per", help="What the cap bounds: each stage, or the network in total."),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="Side to which images are brought first; by default as a sweep reads them. "
        "Entropy depends on it.",
        show_default=False,
    ),
]


def depth(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    data: ImagesArgument,
    *,
    unit: UnitOption = EntropyUnit.NATS,
    coefficient: Annotated[float, typer.Option(help="Layers for one nat or bit.")] = 1.0,
    rounding: RoundingOption = Rounding.CEIL,
    scope: ScopeOption = DepthScope.STAGE,
    image_size: ImageSizeOption = None,
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the named data set lies.", show_default=False),
    ] = None,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print the entropy of the training images, and the depth cap that it suggests.

    Shannon entropy of each image over its uint8 pixels, all channels pooled; mean, spread and
    quantiles, of all training images and by class. Validation and test images are not counted.

    The cap is EBCLE-style; the conversion is not confirmed by a source, and every part of it is an
    option: rounding(coefficient x mean entropy), at least 1.

    Example: paretune analyze depth digits

    Example: paretune analyze depth digits --to depth.html

    Example: paretune analyze depth photos/ --image-size 64 --unit bits --per total --format json
    """
    output = AnalysisOutput.checked(context, to, track)
    config = _config(data, image_size, root)
    try:
        conversion = DepthConversion(
            unit=unit, coefficient=coefficient, rounding=rounding, scope=scope
        )
    except ValueError as error:
        raise UsageError(f"--coefficient: {error}") from None
    from orchestrator.analysis.depth_analysis import analyze_depth

    say(f"Reading {data}")
    try:
        report = analyze_depth(config, conversion=conversion, progress=progress("images counted"))
    except MemoryError as error:
        raise OrchestratorError(
            f"The images of {data} do not fit into memory, into which a sweep reads them too "
            f"({error}). Give a smaller --image-size, or a data set with fewer images."
        ) from None
    output.show(
        report, lambda command: _page(report, command), _heading(report), _table(report), how
    )


def _page(report: "DepthReport", command: str) -> str:
    from orchestrator.reporting.depth_page import depth_page

    return depth_page(report, command)


def _config(data: str, image_size: int | None, root: str | None) -> "DataConfig":
    config = images_config(data)
    # Every image is brought to the size, and not those alone that have none in common.
    return replace(config, image_size=image_size or config.image_size, root=root or config.root)


def _heading(report: "DepthReport") -> str:
    channels, height, width = report.shape
    bounded = "each stage" if report.conversion.scope == DepthScope.STAGE else "the whole network"
    return (
        f"{report.data}: {report.overall.images:,} training images of {width} x {height} pixels "
        f"with {channels} channel{'s' if channels > 1 else ''}; entropy in nats, last column in "
        f"bits.\n"
        f"Suggested cap: {report.cap} convolution layer{'s' if report.cap > 1 else ''} in "
        f"{bounded} = {report.conversion.formula(report.overall.mean)}\n"
        f"({BASIS}.)"
    )


def _table(report: "DepthReport") -> "Table":
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for column in ("class", "images", "mean", "std", *_SHOWN.values(), "mean bits"):
        table.add_column(column, justify="left" if column == "class" else "right")
    table.add_row(*_row("all", report.overall), style="bold")
    for name, summary in report.by_class.items():
        table.add_row(*_row(name, summary))
    return table


def _row(name: str, summary: "EntropySummary") -> list[str]:
    from rich.markup import escape

    told = summary.as_json()
    shown = [summary.mean, summary.std, *(summary.quantiles[place] for place in _SHOWN)]
    numbers = [*shown, told["mean_bits"]]
    return [escape(name), f"{summary.images:,}", *(f"{number:.3f}" for number in numbers)]
