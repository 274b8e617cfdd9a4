"""``pretrain``."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import data_config, say
from orchestrator.errors import UnknownNameError, UsageError


def pretrain(  # noqa: PLR0913 - the options of a command
    backbone: Annotated[str, typer.Argument(help="Name of the backbone, such as digitnet.")],
    data: Annotated[
        str, typer.Argument(help="Name of a data set, a folder of classes, or an .npz file.")
    ],
    to: Annotated[
        Path, typer.Option(metavar="FILE.safetensors", help="File to write the weights to.")
    ],
    *,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
    flip: Annotated[
        bool, typer.Option(help="Mirror images at random; wrong for digits and letters.")
    ] = True,
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the named data set lies.", show_default=False),
    ] = None,
) -> None:
    """Make pre-trained weights of a backbone, for sweeps to start from.

    Example: paretune pretrain digitnet fashion_mnist --epochs 20 --to digitnet.safetensors
    """
    from trainers.networks.backbone_table import backbone_info, backbone_names

    if backbone not in backbone_names():
        raise UnknownNameError("backbone", backbone, backbone_names())
    if to.suffix != ".safetensors":
        raise UsageError(
            f"Weights are written as safetensors: --to {to} must end in .safetensors."
        )
    side = backbone_info(backbone).image_size
    config = data_config(data, root=root, seed=seed, side=side)
    # Each epoch is logged by the trainer; that is this command's progress.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("trainers").setLevel(logging.INFO)

    from trainers.data.loading import load_data
    from trainers.training.pretrain import pretrain as make_weights

    images = load_data(config)
    for note in images.notes:
        say(note)
    result = make_weights(backbone, images, epochs=epochs, seed=seed, to=to, flip=flip)
    typer.echo(
        f"{result.path}: {result.val_accuracy:.2%} of the validation and "
        f"{result.test_accuracy:.2%} of the test images, after {result.seconds:.0f} s"
    )
