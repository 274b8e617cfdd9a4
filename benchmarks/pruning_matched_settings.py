"""What `pruning_matched.py` trains: the study, and a short run that is no result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from trainers.data import ImageData

NETWORKS = ("vgg11_bn", "mobilenet_v2")
STARTS = ("pretrained", "scratch")
BATCH, RATE = 32, 1e-3
SHIFTS = ("gaussian_noise", "gaussian_blur", "contrast", "jpeg_compression")
SEVERITIES = (2, 4)


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and on how many images networks are trained.

    Attributes:
        sparsities: Of each way.
        seeds: Of each training.
        epochs: Of a training at an equal budget.
        dense_epochs: Of a network from scratch, before it is pruned.
        pruning_epochs: After that.
        matching_epochs: Of a pre-trained network; the fewest that match are taken.
        source_epochs: Of the training that makes vgg11_bn's kernels.
        shifted_images: Test images that are shifted.
        matching_images: Validation images by which accuracies are matched.
        images: Images of each subset, at most; None is all.
    """

    sparsities: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: MappingProxyType(
            {"equal": (0.0, 0.5, 0.8, 0.95), "matched": (0.0, 0.8)}
        )
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 4
    dense_epochs: int = 6
    pruning_epochs: int = 1
    matching_epochs: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    source_epochs: int = 10
    shifted_images: int = 200
    matching_images: int = 400
    images: int | None = None

    def cut(self, data: ImageData) -> ImageData:
        """Keep the first images of each subset."""
        n = self.images
        return replace(
            data,
            train_images=data.train_images[:n],
            train_labels=data.train_labels[:n],
            val_images=data.val_images[:n],
            val_labels=data.val_labels[:n],
            test_images=data.test_images[:n],
            test_labels=data.test_labels[:n],
        )


STUDY = Settings()
QUICK = Settings(
    seeds=(0, 1),
    epochs=1,
    dense_epochs=1,
    matching_epochs=(1, 2),
    source_epochs=1,
    shifted_images=20,
    matching_images=100,
    images=64,
)
