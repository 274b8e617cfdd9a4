"""``analyze sensitivity``."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    Format,
    FormatOption,
    StoreOption,
    check_page,
    data_config,
    print_analysis,
    print_table,
    save_page,
    say,
)
from orchestrator.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from orchestrator.analysis.sensitivity_analysis import SensitivityReport
    from trainers.data.config import DataConfig

_PAUSE_S = 5.0  # between two lines of progress

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="Name of a backbone, a packed network, a trial's folder, or SWEEP:TRIAL.",
    ),
]
ImagesArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Name of a data set, a folder of classes, an .npz file, or a sweep file.",
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
EpochsOption = Annotated[
    int, typer.Option(min=1, help="Epochs of the head that is trained on a backbone.")
]
SampleOption = Annotated[int, typer.Option(min=1, help="Training images that are looked at.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides which images, and the head.")]
QuantizerOption = Annotated[str, typer.Option(help="symmetric, affine, kmeans or entropy.")]
StepOption = Annotated[str, typer.Option(help="absmax, mse or percentile.")]
RoundingOption = Annotated[
    str,
    typer.Option(
        help="nearest, bias_corrected, adaround or gptq, with a look at as many other images."
    ),
]
ScopeOption = Annotated[str, typer.Option(help="channel or layer: what shares its levels.")]
CumulativeOption = Annotated[
    bool, typer.Option(help="Also quantize the layers before each one; takes as long again.")
]
FrontOption = Annotated[
    bool, typer.Option("--front", help="Print the best allocations of 2 to 8 mean bits too.")
]
SizeOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="PIXELS", help="Side of pictures read.", show_default=False),
]
PageOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.html", help="A page to write too.", show_default=False),
]


def sensitivity(  # noqa: PLR0913 - the options of a command
    network: NetworkArgument,
    data: ImagesArgument,
    *,
    weights: WeightsOption = None,
    epochs: EpochsOption = 10,
    images: SampleOption = 64,
    seed: SeedOption = 0,
    quantizer: QuantizerOption = "affine",
    step: StepOption = "mse",
    rounding: RoundingOption = "nearest",
    scope: ScopeOption = "channel",
    cumulative: CumulativeOption = True,
    front: FrontOption = False,
    image_size: SizeOption = None,
    store: StoreOption = None,
    to: PageOption = None,
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
    if to is not None:
        check_page(to)
    config, found = _config(data, image_size), _network(network, store)
    from orchestrator.analysis.sensitivity_analysis import analyze_sensitivity
    from trainers.quantization.config import QuantizationConfig

    try:
        report = analyze_sensitivity(
            found,
            config,
            weights=weights,
            epochs=epochs,
            quantization=QuantizationConfig(quantizer=quantizer, step=step, scope=scope),
            rounding=_known(rounding),
            images=images,
            seed=seed,
            cumulative=cumulative,
            front=front,
            progress=progress(),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    report = replace(report, network=network)
    for note in report.notes:
        say(f"Note: {note}.")
    if to is not None:
        _save(report, f"paretune analyze sensitivity {Path(network).name} {Path(data).name}", to)
    _show(report, how)


def _save(report: "SensitivityReport", command: str, to: Path) -> None:
    from orchestrator.reporting.sensitivity_page import sensitivity_page

    save_page(sensitivity_page(report, command), to)


def _known(rounding: str) -> str:
    from trainers.quantization.calibration import ROUNDINGS

    if rounding not in ROUNDINGS:
        raise UnknownNameError("rounding", rounding, ROUNDINGS)
    return rounding


def _config(data: str, image_size: int | None) -> "DataConfig":
    if Path(data).suffix in (".yaml", ".yml"):
        from orchestrator.spec.files import load_sweep

        return load_sweep(data).data_config()
    return data_config(data, side=image_size or 224)


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


def progress(clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """Say how far it is, every few seconds."""
    said: float | None = None

    def tell(done: int, total: int) -> None:
        nonlocal said
        now = clock()
        said = now if said is None else said
        if done < total and now - said >= _PAUSE_S:
            said = now
            say(f"{done:,} of {total:,} measurements")

    return tell


def _show(report: "SensitivityReport", how: Format) -> None:
    from orchestrator.reporting.sensitivity_page import (
        FRONT_HEADINGS,
        front_rows,
        headings,
        rows,
        sentences,
    )

    table = _table(headings(report), rows(report))
    print_analysis(report, "\n".join(sentences(report)), table, how)
    if how is Format.TABLE and report.front:
        print_table(_table(FRONT_HEADINGS, front_rows(report)))


def _table(headings: "Sequence[str]", rows: list[list[str]]) -> "Table":
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for name in headings:
        table.add_column(name, justify="left" if name == "layer" else "right")
    for row in rows:
        table.add_row(*row)
    return table
