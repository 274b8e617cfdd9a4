"""Options and arguments that several analyses share, their data, their cache and progress."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import data_config, say

if TYPE_CHECKING:
    from trainers.data.config import DataConfig
    from trainers.stages.cache import StageCache

_CACHE_BYTES = 20e9
_PAUSE_S = 2.0  # between two lines of progress

ImagesArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Name of a data set, a folder of classes, an .npz file, or a sweep file.",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="Side of pictures that are read; by default as a sweep reads them.",
        show_default=False,
    ),
]
PageOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.html", help="A page to write too.", show_default=False),
]
EpochsOption = Annotated[int, typer.Option(min=1, help="Epochs of each training.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="How often everything is trained.")]
RateOption = Annotated[float, typer.Option(help="Peak learning rate.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Images a step.")]


def images_config(data: str, *, image_size: int | None = None) -> "DataConfig":
    """Build the data config for what `ImagesArgument` takes.

    Args:
        data: As it was given.
        image_size: Side of pictures that have no size in common.

    Raises:
        UnknownNameError: It is no data set.
    """
    if Path(data).suffix in (".yaml", ".yml"):
        from orchestrator.spec.files import load_sweep

        config = load_sweep(data).data_config()
        return config if image_size is None else replace(config, default_size=image_size)
    return data_config(data, side=image_size or 224)


def analysis_cache() -> "StageCache":
    """Open the cache in which an interrupted analysis finds what it measured."""
    from orchestrator.state_folder import StateFolder
    from trainers.stages.cache import StageCache

    return StageCache(str(StateFolder.find().cache), _CACHE_BYTES)


def progress(what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """Say how far it is, every few seconds, and nothing where it does not take long.

    Args:
        what: What is counted, such as ``images counted``.
        clock: In seconds.
    """
    said = clock()

    def tell(done: int, total: int) -> None:
        nonlocal said
        now = clock()
        if done < total and now - said >= _PAUSE_S:
            said = now
            say(f"{done:,} of {total:,} {what}")

    return tell
