"""Which networks a step with one image is enough for: what is said before is what happens."""

from collections.abc import Callable

import pytest
import torch

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.training.finetune import FineTuning
from trainers.training.single_images import learns_from_single_images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "tune", "size", "learns"),
    [
        ("resnet18", "all", 32, False),
        ("resnet18", "last_blocks:1", 32, False),
        ("resnet18", "head", 32, True),
        ("resnet18", "all", 64, True),
        ("mobilenet_v3_small", "last_blocks:1", 32, False),
        ("digitnet", "all", None, True),
        ("cifar_resnet20", "all", None, True),
    ],
)
def test_what_is_said_of_single_images_is_what_happens(
    bands: ImageData,
    make_config: Callable[..., TrialConfig],
    backbone: str,
    tune: str,
    size: int | None,
    learns: bool,
) -> None:
    assert learns_from_single_images(backbone, tune, image_size=size) is learns
    config = make_config(backbone=backbone, tune=tune, image_size=size, batch_size=1, widths=())
    few = ImageData(
        **{
            **{name: getattr(bands, name) for name in ("name", "classes")},
            **{
                f"{subset}_{what}": getattr(bands, f"{subset}_{what}")[:3]
                for subset in ("train", "val", "test")
                for what in ("images", "labels")
            },
        }
    )
    training = FineTuning(config, few, device=torch.device("cpu"))
    if learns:
        assert training.run_epoch().epoch == 1
    else:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            training.run_epoch()
