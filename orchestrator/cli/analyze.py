"""``analyze``: questions that are answered without training."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.analyze_depth import depth
from orchestrator.cli.options import Format, FormatOption, data_config, print_records
from orchestrator.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.analysis.sizing_rules import SizingReport

app = typer.Typer(help="Answer questions without training anything.", no_args_is_help=True)
app.command("depth")(depth)
_CLASSES = "classes="


def sizing(  # noqa: PLR0913 - the options of a command
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
    fractions: Annotated[
        list[float] | None,
        typer.Option(
            "--fraction",
            metavar="SHARE",
            help="Share of the full widths, for the rule fraction; may be repeated; 0.25 if "
            "never given.",
            show_default=False,
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Hidden widths of your own, for the rule explicit.",
            show_default=False,
        ),
    ] = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print the head that every sizing rule gives: widths, parameters, bytes when packed.

    Nothing is trained and no weights are read. Bytes are those of the packed file without the
    names of the classes.

    Example: paretune analyze sizing alexnet digits

    Example: paretune analyze sizing vgg16 classes=101 --bits 4 --format json
    """
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
    if how is Format.TABLE:
        typer.echo(_heading(report))
    print_records(report.records(), _table(report), how)


app.command("sizing")(sizing)


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
    from orchestrator.quantities import human
    from orchestrator.reporting.tables import plain_table

    table = plain_table()
    for column in ("rule", "widths", "head params", "saved", "head", "memory"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for head in report.heads:
        table.add_row(
            head.rule,
            ", ".join(map(str, head.widths)),
            f"{head.head_params:,}",
            human("saved_fraction", head.head_saving),
            human("head_bytes", head.head_bytes),
            human("memory_bytes", head.memory_bytes),
        )
    return table
