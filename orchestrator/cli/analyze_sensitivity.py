"""``analyze sensitivity``."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.analysis_options import (
    ImagesArgument,
    PageOption,
    SizeOption,
    analysis_cache,
    images_config,
    progress,
)
from orchestrator.cli.analysis_output import AnalysisOutput, TrackOption
from orchestrator.cli.options import Format, FormatOption, StoreOption
from orchestrator.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from orchestrator.analysis.sensitivity_analysis import SensitivityReport

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="Name of a backbone, a packed network, a trial's folder, or SWEEP:TRIAL.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        help="Of a backbone: imagenet, bundled, scratch or a file; bundled ones if there are any, "
        "else imagenet.",
        show_default=False,
    ),
]
HeadEpochsOption = Annotated[
    int, typer.Option(min=1, help="Epochs of the head that is trained on a backbone.")
]
SampleOption = Annotated[int, typer.Option(min=1, help="Training images that are looked at.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides which images, and the head.")]
QuantizerOption = Annotated[str, typer.Option(help="symmetric, affine, kmeans or entropy.")]
StepOption = Annotated[str, typer.Option(help="absmax, mse, percentile or lp.")]
RoundingOption = Annotated[
    str,
    typer.Option(
        help="nearest, bias_corrected, adaround, gptq or brecq, with a look at as many other "
        "images."
    ),
]
ScopeOption = Annotated[
    str, typer.Option(help="channel, channels:N or layer: what shares its levels.")
]
ByOption = Annotated[
    str,
    typer.Option(
        help="divergence, which quantizes each layer and looks; or an estimate: fisher, from one "
        "gradient for each image, or hessian, from the trace of each layer's Hessian."
    ),
]
CumulativeOption = Annotated[
    bool | None,
    typer.Option(
        "--cumulative/--no-cumulative",
        help="Also quantize the layers before each one, the default by divergence; takes as long "
        "again.",
        show_default=False,
    ),
]
FrontOption = Annotated[
    bool, typer.Option("--front", help="Print the best allocations of 2 to 8 mean bits too.")
]


def sensitivity(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    network: NetworkArgument,
    data: ImagesArgument,
    *,
    weights: WeightsOption = None,
    epochs: HeadEpochsOption = 10,
    images: SampleOption = 64,
    seed: SeedOption = 0,
    quantizer: QuantizerOption = "affine",
    step: StepOption = "mse",
    rounding: RoundingOption = "nearest",
    scope: ScopeOption = "channel",
    by: ByOption = "divergence",
    cumulative: CumulativeOption = None,
    front: FrontOption = False,
    image_size: SizeOption = None,
    store: StoreOption = None,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print how much each layer of a trained network minds few bits.

    Each convolution, and all FC layers together, are quantized to 2 to 8 bits: alone, and with
    the layers before them. What is printed is the Kullback-Leibler divergence of the predictions
    from those of the float network; JSON has the change of the loss too. A backbone first gets a
    linear head, trained on the data.

    Example: paretune analyze sensitivity digitnet digits

    Example: paretune analyze sensitivity digits-fc:12 digits --front --to sensitivity.html

    Example: paretune analyze sensitivity digitnet digits --rounding gptq --no-cumulative
    """
    context.params["cumulative"] = by == "divergence" if cumulative is None else cumulative
    output = AnalysisOutput.checked(context, to, track)
    from orchestrator.analysis.sensitivity_analysis import analyze_sensitivity
    from trainers.quantization.config import QuantizationConfig

    try:
        report = analyze_sensitivity(
            _network(network, store),
            images_config(data, image_size=image_size),
            weights=weights,
            epochs=epochs,
            quantization=QuantizationConfig(quantizer=quantizer, step=step, scope=scope),
            rounding=_known(rounding),
            images=images,
            seed=seed,
            by=by,
            cumulative=context.params["cumulative"],
            front=front,
            cache=analysis_cache(),
            progress=progress("measurements"),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    report = replace(report, network=network)
    output.show(report, partial(_page, report), _heading(report), _tables(report), how)


def _known(rounding: str) -> str:
    from trainers.quantization.calibration import ROUNDINGS

    if rounding not in ROUNDINGS:
        raise UnknownNameError("rounding", rounding, ROUNDINGS)
    return rounding


def _page(report: "SensitivityReport", command: str) -> str:
    from orchestrator.reporting.sensitivity_page import sensitivity_page

    return sensitivity_page(report, command)


def _network(network: str, store: str | None) -> str:
    """Return the name of a backbone, or the path of a packed network."""
    from trainers.networks.backbone_table import backbone_names

    if network in backbone_names() or Path(network).expanduser().exists():
        return network
    sweep, _, number = network.rpartition(":")
    if sweep and number.isascii() and number.isdigit():
        return str(_artifact(sweep, int(number), store))
    raise UnknownNameError("backbone, packed network or SWEEP:TRIAL", network, backbone_names())


def _artifact(sweep: str, number: int, store: str | None) -> Path:
    from orchestrator.places import network_file
    from orchestrator.queries.sweeps import open_sweep

    record = open_sweep(sweep, store).trial(number)
    if record.artifact is None:
        raise UsageError(
            f"Trial {number} of {sweep!r} has no packed network: name one that is complete."
        )
    return network_file(record.artifact, f"trial {number} of {sweep!r}")


def _heading(report: "SensitivityReport") -> str:
    from orchestrator.reporting.sensitivity_page import sentences

    return "\n".join(sentences(report))


def _tables(report: "SensitivityReport") -> "RenderableType":
    from rich.console import Group

    from orchestrator.reporting.sensitivity_page import (
        FRONT_HEADINGS,
        front_rows,
        headings,
        rows,
    )

    table = _table(headings(report), rows(report))
    if not report.front:
        return table
    return Group(table, _table(FRONT_HEADINGS, front_rows(report)))


def _table(headings: "Sequence[str]", rows: list[list[str]]) -> "Table":
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for name in headings:
        table.add_column(name, justify="left" if name == "layer" else "right")
    for row in rows:
        table.add_row(*row)
    return table
