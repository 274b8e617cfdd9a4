"""Whether a network can be trained on a single image at a time."""

import torch

from trainers.networks.network import network_from_spec
from trainers.networks.spec import spec_of


def learns_from_single_images(backbone: str, tune: str, *, image_size: int | None = None) -> bool:
    """Return whether a training step may have a batch of one image.

    A batch norm in training mode raises on a single image whose maps are one pixel, because they
    have no variance. The check runs the network on the meta device, without computing anything.

    Args:
        backbone: Its name.
        tune: As `TrialConfig.tune`.
        image_size: As `TrialConfig.image_size`.

    Raises:
        ValueError: There is no such backbone, or it does not accept `tune` or `image_size`.

    >>> learns_from_single_images("digitnet", "all")
    True
    """
    with torch.device("meta"):
        network = network_from_spec(spec_of(backbone, (), 2, image_size=image_size))
        network.set_trainable(tune)
        entry = network.spec.input
        image = torch.zeros(1, entry.channels, entry.height, entry.width)
        try:
            network.train()(image)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            return False
    return True
