"""Whether a network can be trained on a single image at a time."""

import torch

from trainers.networks.network import network_from_spec
from trainers.networks.spec import spec_of


def learns_from_single_images(backbone: str, tune: str, *, image_size: int | None = None) -> bool:
    """Whether a step may see one image alone.

    A batch norm that is trained has no variance where its maps are one pixel, and refuses. Asked
    of torch itself, on tensors that have a shape and no content.

    Args:
        backbone: Its name.
        tune: As `TrialConfig.tune`.
        image_size: As `TrialConfig.image_size`.

    Raises:
        ValueError: There is no such backbone, or `tune` or `image_size` is none for it.
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
