"""A trained network to look at: a given one, a packed one, or a backbone with a head."""

from pathlib import Path

import torch

from trainers.artifact import load_artifact, read_header
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.files.trial_folder import ARTIFACT_NAME
from trainers.networks.backbone_table import backbone_info, backbone_names, bundled_file
from trainers.networks.network import Network
from trainers.stages.cache import StageCache
from trainers.training.finetune import FineTuning


def trained_network(
    network: "str | Path | Network",
    data: ImageData,
    *,
    weights: str | None = None,
    epochs: int = 10,
    seed: int = 0,
    cache: StageCache | None = None,
) -> tuple[Network, tuple[str, ...]]:
    """Return a trained network in eval mode, on the CPU, with caveats about it.

    Args:
        network: A network; the path of a packed one or of a trial's folder; or the name of a
            backbone, on which a linear head is trained.
        data: Images for the head, with the channels and classes of the network.
        weights: Of a backbone: a word or a path; None for its default.
        epochs: Of the head's training.
        seed: Decides the head.
        cache: Where a finished training of the head is looked for, and kept.

    Raises:
        ValueError: The network has other classes than the data.
        TrainerError: The weights or the packed network cannot be read.
    """
    notes: tuple[str, ...] = ()
    if isinstance(network, Network):
        found = network.eval()
    elif str(network) in backbone_names():
        found = _with_head(str(network), data, weights, epochs, seed, cache)
    else:
        path = Path(network).expanduser()
        path = path / ARTIFACT_NAME if path.is_dir() else path
        found = load_artifact(path)
        planned = read_header(path).quantized.weights
        if planned:
            bits = sorted({plan.bits for plan in planned.values()})
            notes = (
                f"{len(planned)} of its weights are quantized already, to "
                f"{', '.join(map(str, bits))} bits: as many bits or more change little, and a "
                f"network in floating point (bits: 32) tells more",
            )
    if found.spec.classes != len(data.classes):
        raise ValueError(
            f"the network tells {found.spec.classes} classes apart, and the data {data.name} have "
            f"{len(data.classes)}: give the data that it was trained on."
        )
    return found, notes


def _with_head(
    backbone: str,
    data: ImageData,
    weights: str | None,
    epochs: int,
    seed: int,
    cache: StageCache | None,
) -> Network:
    """Train a linear head on a frozen backbone."""
    info = backbone_info(backbone)
    default = "bundled" if bundled_file(info.base).is_file() else "imagenet"
    config = TrialConfig(
        backbone=backbone, weights=weights or default, widths=(), epochs=epochs, seed=seed
    )
    training = FineTuning(config, data, device=torch.device("cpu"), cache=cache)
    while not training.finished:
        training.run_epoch()
    training.keep()
    training.finish()
    return training.network.eval()
