"""``analyze reuse``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.analysis_options import (
    BatchOption,
    EpochsOption,
    PageOption,
    RateOption,
    SeedsOption,
    analysis_cache,
)
from orchestrator.cli.analysis_output import AnalysisOutput, TrackOption
from orchestrator.cli.options import (
    Format,
    FormatOption,
    data_config,
    listed,
    print_table,
    say,
)
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.analysis.reuse_analysis import ReuseReport
    from trainers.data.config import DataConfig
    from trainers.reuse.sources import TensorMatch

BackboneOption = Annotated[
    str, typer.Option(help="Architecture of both networks, such as cifar_resnet20.")
]
DataOption = Annotated[
    str, typer.Option(help="The target's data: a name, a folder of classes, or an .npz file.")
]
ModesOption = Annotated[
    str,
    typer.Option(
        metavar="A,B",
        help="How layers are tried: replace (no training), freeze (the rest is trained again), "
        "tune (all is); the first decides the verdict. The last two take a training a layer.",
    ),
]
PrefixesOption = Annotated[
    bool,
    typer.Option(
        "--prefixes", help="Also train with all layers up to each one replaced: twice as long."
    ),
]
PerClassOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Train on N images of each class; by default all.",
        show_default=False,
    ),
]


RecalibrateOption = Annotated[
    bool, typer.Option(help="Compute the norms' statistics anew after a replacement.")
]
TauNetworkOption = Annotated[float, typer.Option(help="Smallest retention.")]
TauLayerOption = Annotated[float, typer.Option(help="Largest loss of accuracy of a layer.")]
TauRmseOption = Annotated[float, typer.Option(help="Largest RMSE, as a share of the null.")]
AlphaOption = Annotated[float, typer.Option(help="Level of the tests over seeds.")]
InputOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="PIXELS", help="Side that the backbone sees.", show_default=False),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Use at most so many images.", show_default=False)
]
SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Whose kernels are to be reused.")
]
TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="The network for the data.")]


def reuse(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    source: SourceArgument,
    target: TargetArgument,
    *,
    data: DataOption,
    backbone: BackboneOption,
    seeds: SeedsOption = 3,
    epochs: EpochsOption = 3,
    learning_rate: RateOption = 1e-3,
    batch_size: BatchOption = 64,
    modes: ModesOption = "replace",
    recalibrate: RecalibrateOption = False,
    per_class: PerClassOption = None,
    tau_network: TauNetworkOption = 0.9,
    tau_layer: TauLayerOption = 0.01,
    tau_rmse: TauRmseOption = 0.5,
    alpha: AlphaOption = 0.05,
    image_size: InputOption = None,
    limit: LimitOption = None,
    prefixes: PrefixesOption = False,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Judge which kernels of SOURCE are worth reusing in TARGET, on the target's data.

    SOURCE and TARGET are of one architecture: imagenet, bundled, scratch, a file of weights, or a
    packed network (a trial's folder or its artifact). TARGET may also be 'finetuned' (SOURCE
    trained on the data) or 'trained' (trained on the data from scratch), made here.

    After Wang et al. 2020; the thresholds and the rule are not confirmed by a source. The JSON
    form is what a sweep file takes as backbone.verdict.

    Example: paretune analyze reuse bundled finetuned --backbone digitnet --data digits

    Example: paretune analyze reuse a.pth b.pth --backbone cifar_resnet20 --data cifar10.npz
    --format json
    """
    output = AnalysisOutput.checked(context, to, track)
    config = replace(data_config(data, side=image_size or 224), limit=limit)
    settings = (epochs, batch_size, learning_rate, image_size)
    limits = (tau_network, tau_layer, tau_rmse, alpha)
    options = {"seeds": seeds, "per_class": per_class, "recalibrate": recalibrate}
    options["prefixes"] = prefixes
    modes_asked = tuple(listed(modes) or ())
    report = _judged((backbone, source, target), config, settings, limits, modes_asked, options)
    output.show(
        report, lambda command: _page(report, command), _heading(report), _table(report), how
    )


def _page(report: "ReuseReport", command: str) -> str:
    from orchestrator.reporting.reuse_page import reuse_page

    return reuse_page(report, command)


def _judged(
    networks: tuple[str, str, str],
    config: "DataConfig",
    settings: tuple[int, int, float, int | None],
    limits: tuple[float, float, float, float],
    modes: tuple[str, ...],
    options: dict[str, Any],
) -> "ReuseReport":
    from trainers.networks.backbone_table import backbone_names

    if networks[0] not in backbone_names():
        raise UnknownNameError("backbone", networks[0], backbone_names())
    from orchestrator.analysis.reuse_analysis import analyze_reuse
    from orchestrator.analysis.reuse_verdict import Thresholds
    from trainers.reuse.arms import Budget
    from trainers.reuse.sources import OtherArchitectureError

    epochs, batch_size, learning_rate, image_size = settings
    network, layer, rmse, alpha = limits
    try:
        return analyze_reuse(
            *networks,
            config,
            budget=Budget(
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                image_size=image_size,
            ),
            modes=modes,
            thresholds=Thresholds(network=network, layer=layer, rmse=rmse, alpha=alpha),
            cache=analysis_cache(),
            progress=_tell,
            **options,
        )
    except OtherArchitectureError as error:
        print_table(_matches(error.matches))
        raise OrchestratorError(str(error)) from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _tell(what: str, done: int, parts: int) -> None:
    say(f"{done} of {parts}: {what}")


def _heading(report: "ReuseReport") -> str:
    from orchestrator.reporting.reuse_page import sentences

    return "\n".join(sentences(report))


def _table(report: "ReuseReport") -> "Table":
    from orchestrator.reporting.reuse_page import headings, rows
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for name in headings(report):
        table.add_column(name, justify="left" if name in ("layer", "verdict") else "right")
    for row in rows(report):
        table.add_row(*row)
    return table


def _matches(matches: "tuple[TensorMatch, ...]") -> "Table":
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for name in ("tensor", "source", "target", "backbone", "matches"):
        table.add_column(name)
    for each in matches:
        shapes = (
            "absent" if s is None else str(s) for s in (each.source, each.target, each.backbone)
        )
        table.add_row(each.name, *shapes, "yes" if each.fits else "no")
    return table
