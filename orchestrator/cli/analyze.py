"""``analyze``: questions that are answered without a sweep."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.analysis_options import PageOption
from orchestrator.cli.analysis_output import AnalysisOutput, TrackOption
from orchestrator.cli.analyze_depth import depth
from orchestrator.cli.analyze_heads import capacity, similarity
from orchestrator.cli.analyze_reuse import reuse
from orchestrator.cli.analyze_sensitivity import sensitivity
from orchestrator.cli.options import Format, FormatOption, data_config
from orchestrator.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.analysis.sizing_rules import SizingReport

app = typer.Typer(help="Answer questions without a sweep.", no_args_is_help=True)
app.command("depth")(depth)
app.command("reuse")(reuse)
app.command("sensitivity")(sensitivity)
app.command("capacity")(capacity)
app.command("similarity")(similarity)
_CLASSES = "classes="

FractionsOption = Annotated[
    list[float] | None,
    typer.Option(
        "--fraction",
        metavar="SHARE",
        help="Share of the full widths, for the rule fraction; may be repeated; 0.25 if "
        "never given.",
        show_default=False,
    ),
]
WidthsOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Hidden widths of your own, for the rule explicit.",
        show_default=False,
    ),
]


def sizing(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    backbone: Annotated[str, typer.Argument(help="Name of the backbone, such as alexnet.")],
    data: Annotated[
        str,
        typer.Argument(
            help="Name of a data set, a folder of classes, an .npz file, or classes=N."
        ),
    ],
    *,
    bits: Annotated[int, typer.Option(help="Bits of a convolution weight: 2 to 8, or 32.")] = 32,
    fc_bits: Annotated[int, typer.Option(help="Bits of an FC weight: 2 to 8, or 32.")] = 32,
    fractions: FractionsOption = None,
    widths: WidthsOption = None,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print the head that every sizing rule gives: widths, parameters, bytes when packed.

    Nothing is trained and no weights are read. Bytes are those of the packed file without the
    names of the classes.

    Example: paretune analyze sizing alexnet digits

    Example: paretune analyze sizing vgg16 classes=101 --bits 4 --format json

    Example: paretune analyze sizing vgg16 digits --to heads.html --track default
    """
    output = AnalysisOutput.checked(context, to, track)
    from trainers.networks.backbone_table import backbone_names

    if backbone not in backbone_names():
        raise UnknownNameError("backbone", backbone, backbone_names())
    classes, own = _classes(data), None if widths is None else _numbers(widths)
    from orchestrator.analysis.sizing_rules import size_heads

    try:
        report = size_heads(
            backbone,
            classes,
            bits=bits,
            fc_bits=fc_bits,
            fractions=fractions or (0.25,),
            widths=own,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None

    def page(command: str) -> str:
        from orchestrator.reporting.planning_page import sizing_page

        return sizing_page(report, command)

    output.show(report, page, _heading(report), _table(report), how, as_rows=True)


app.command("sizing")(sizing)


def power(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    *,
    images: Annotated[
        str, typer.Option(metavar="A,B", help="Validation images, one number or several.")
    ] = "300,1000,3000,10000",
    seeds: Annotated[
        str, typer.Option(metavar="A,B", help="Seeds of a configuration: replicates.")
    ] = "1,3,5,10",
    candidates: Annotated[
        str, typer.Option(metavar="A,B", help="Configurations compared with the reference.")
    ] = "8,40",
    margin: Annotated[
        str, typer.Option(metavar="POINTS", help="The largest loss that does not matter.")
    ] = "2 points",
    alpha: Annotated[
        float, typer.Option(help="The accepted probability of a wrong 'not worse'.")
    ] = 0.05,
    disagreement: Annotated[
        float, typer.Option(help="Share of the images on which two such networks differ.")
    ] = 0.05,
    to: PageOption = None,
    track: TrackOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print how likely a network that is as good as the reference is shown to be not worse.

    Before a run: how many images and seeds a claim takes. Simulated with the tests of 'paretune
    report' and 'paretune pick --min'.

    Example: paretune analyze power --images 629 --seeds 3,5,10 --candidates 8 --margin "3 points"

    Example: paretune analyze power --to power.html --track default
    """
    output = AnalysisOutput.checked(context, to, track)
    from orchestrator.analysis.power_analysis import analyze_power
    from orchestrator.reporting.tables import power_table
    from orchestrator.spec.claim_section import parse_margin

    loss = parse_margin(margin)
    grid = (_numbers(images), _numbers(seeds), _numbers(candidates))
    try:
        report = analyze_power(*grid, margin=loss, alpha=alpha, disagreement=disagreement)
    except ValueError as error:
        raise UsageError(f"The power cannot be computed: {error}") from None

    def page(command: str) -> str:
        from orchestrator.reporting.planning_page import power_page

        return power_page(report, command)

    output.show(report, page, "", power_table(report.records()), how, as_rows=True)


app.command("power")(power)


def _classes(data: str) -> int:
    if data.startswith(_CLASSES):
        (count, *more) = _numbers(data.removeprefix(_CLASSES))
        if not more:
            return count
        raise UsageError(f"classes=N takes one number, for example classes=10; got {data!r}.")
    from trainers.data.class_counts import count_classes

    return count_classes(data_config(data))


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 65_536 for part in parts):
        raise UsageError(
            f"{text!r} is not a whole number from 1 to 65536, or several with commas."
        )
    return [int(part) for part in parts]


def _heading(report: "SizingReport") -> str:
    full = (
        f"{report.backbone} pools globally and has no hidden FC layer of its own; its full head "
        f"is synthetic: {report.n_features} and {report.n_features // 2} wide."
        if report.synthetic
        else "The full head is the backbone's own."
    )
    bits = ", ".join(
        f"{what} weights " + ("in floating point" if count == 32 else f"of {count} bits")
        for what, count in (("convolution", report.bits), ("FC", report.fc_bits))
    )
    return (
        f"{report.backbone}: {report.n_features} features, {report.classes} classes; {bits}.\n"
        f"{full}"
    )


def _table(report: "SizingReport") -> "Table":
    from orchestrator.reporting.head_cells import HEADINGS, head_cells
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for column in HEADINGS:
        table.add_column(column, justify="left" if column == "rule" else "right")
    for cells in head_cells(report):
        table.add_row(*cells)
    return table
