"""``plot``."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import NameArgument, StoreOption, listed
from orchestrator.errors import UsageError


def plot(  # noqa: PLR0913 - the options of a command
    name: NameArgument,
    kind: Annotated[
        str | None,
        typer.Argument(
            help="What is drawn; without it, the kinds are listed.", show_default=False
        ),
    ] = None,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to: .html, or a picture, .png, .svg or .pdf (the extra pictures). By "
            "default NAME-KIND.html, here.",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What slices, contours and ranks show, by default the first objective; or which "
            "value learning curves do.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Parameters to draw; by default those that vary, or that matter most.",
            show_default=False,
        ),
    ] = None,
    trial: Annotated[
        list[int] | None,
        typer.Option(help="A trial to draw, by its number; may be repeated.", show_default=False),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Draw a plot of a sweep: importance, slices, learning curves, workers and others.

    Example: paretune plot digits-fc

    Example: paretune plot digits-fc importance --to importance.svg

    Example: paretune plot digits-fc contour --params bits,fc_bits --objective robust_accuracy
    """
    from orchestrator.queries.plotting import PLOTS, Asked, plot_to
    from orchestrator.queries.sweeps import open_sweep

    if kind is None:
        typer.echo("\n".join(f"{each:<12}  {plot.told}" for each, plot in PLOTS.items()))
        return
    sweep = open_sweep(name, store)
    file = to or Path(f"{name}-{kind}.html")
    if not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent} to write {file.name} to.")
    plot_to(sweep, kind, Asked(objective, listed(params) or (), trial or ()), file)
    typer.echo(f"Wrote {file}")
