"""``analyze capacity`` and ``analyze similarity``."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.analysis_options import (
    BatchOption,
    EpochsOption,
    ImagesArgument,
    PageOption,
    RateOption,
    SeedsOption,
    analysis_cache,
    images_config,
)
from orchestrator.cli.analysis_output import AnalysisOutput, TrackOption
from orchestrator.cli.options import Format, FormatOption, say
from orchestrator.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.analysis.heads_analysis import HeadsReport
    from trainers.config import TrialConfig

BackboneOption = Annotated[str, typer.Option(help="The frozen backbone below the heads.")]
WeightsOption = Annotated[
    str, typer.Option(help="Its weights: imagenet, bundled, scratch, or a file.")
]
WidthsOption = Annotated[str, typer.Option(metavar="A,B", help="Widths of the heads.")]
PairsOption = Annotated[int, typer.Option(min=2, help="Heads of each width.")]
LabelsOption = Annotated[
    bool, typer.Option("--random-labels", help="Give every image a random label.")
]


def capacity(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    data: ImagesArgument,
    *,
    backbone: BackboneOption = "digitnet",
    weights: WeightsOption = "bundled",
    widths: WidthsOption = "2,4,8,16,32",
    seeds: SeedsOption = 3,
    epochs: EpochsOption = 60,
    learning_rate: RateOption = 1e-2,
    batch_size: BatchOption = 128,
    random_labels: LabelsOption = False,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print how many training images a sized head can fit without an error.

    Heads of one hidden layer on a frozen backbone; samples double until one is not fitted, then
    the interval is halved, down to a tenth (after Shwartz-Ziv et al. 2024, arXiv 2406.11463). With
    --random-labels nothing but memory helps.

    Example: paretune analyze capacity digits --widths 2,4,8 --random-labels
    """
    from orchestrator.analysis.heads_analysis import analyze_capacity

    output = AnalysisOutput.checked(context, to, track)
    report = analyze_capacity(
        images_config(data),
        _config(backbone, weights, epochs, learning_rate, batch_size),
        _widths(widths),
        seeds=seeds,
        random_labels=random_labels,
        cache=analysis_cache(),
        progress=say,
    )
    _show(report, output, how)


def similarity(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    data: ImagesArgument,
    *,
    backbone: BackboneOption = "digitnet",
    weights: WeightsOption = "bundled",
    widths: WidthsOption = "8,32,128",
    seeds: PairsOption = 3,
    epochs: EpochsOption = 20,
    learning_rate: RateOption = 1e-3,
    batch_size: BatchOption = 128,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print how alike the hidden features of wide and narrow heads are.

    Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) on the validation images, over pairs of
    seeds: 1 for equal features but for a rotation. Rows of two equal widths show what the seed
    alone changes; 'joined' sets all narrow heads side by side.

    Example: paretune analyze similarity digits --widths 8,64
    """
    from orchestrator.analysis.heads_analysis import analyze_similarity

    output = AnalysisOutput.checked(context, to, track)
    report = analyze_similarity(
        images_config(data),
        _config(backbone, weights, epochs, learning_rate, batch_size),
        _widths(widths),
        seeds=seeds,
        cache=analysis_cache(),
        progress=say,
    )
    _show(report, output, how)


def _config(
    backbone: str, weights: str, epochs: int, learning_rate: float, batch_size: int
) -> "TrialConfig":
    from trainers.config import TrialConfig
    from trainers.networks.backbone_table import backbone_names

    if backbone not in backbone_names():
        raise UnknownNameError("backbone", backbone, backbone_names())
    try:
        return TrialConfig(
            backbone=backbone,
            weights=weights,
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _widths(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 65_536 for part in parts):
        raise UsageError(
            f"--widths is {text!r}; whole numbers from 1 to 65536 are needed, as in 8,32."
        )
    return sorted({int(part) for part in parts})


def _show(report: "HeadsReport", output: AnalysisOutput, how: Format) -> None:
    heading = (
        f"{report.data}, heads on {report.backbone} ({report.settings['weights']}), "
        f"{report.settings['seeds']} seeds"
    )
    output.show(report, lambda command: _page(report, command), heading, _table(report), how)


def _page(report: "HeadsReport", command: str) -> str:
    from orchestrator.reporting.heads_page import heads_page

    return heads_page(report, command)


def _table(report: "HeadsReport") -> "Table":
    from orchestrator.reporting.heads_page import cells
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    headings, rows = cells(report)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
