"""Rounding that looks at images, and which images those are; importable without torch."""

from dataclasses import dataclass

ROUNDINGS = ("nearest", "bias_corrected", "adaround", "gptq", "brecq")
MAX_IMAGES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationConfig:
    """The training images that a rounding looks at.

    >>> CalibrationConfig(images=128).images
    128

    Attributes:
        images: How many training images weights are rounded with; as many others decide whether
            the result is better than rounding to nearest. Half of the training images each, if
            there are fewer.
        seed: Decides which images.
        batch_norm: Whether to move the statistics of batch norms by as much as quantization has
            moved them on these images, in addition to what the rounding does.
        damping: Share of the mean diagonal of a layer's second moments that is added to each entry
            of the diagonal, in ``gptq``, ``adaround`` and ``brecq``.
        equalize: Whether to try weights whose ranges are evened out across layers too, before
            levels are fitted; see `trainers.quantization.equalization`.
    """

    images: int = 256
    seed: int = 0
    batch_norm: bool = False
    damping: float = 0.01
    equalize: bool = False

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the message says what would be.
        """
        if not _is_whole(self.images) or not 1 <= self.images <= MAX_IMAGES:
            raise ValueError(
                f"calibration.images is {self.images!r}; it is an integer from 1 to {MAX_IMAGES}."
            )
        if not _is_whole(self.seed) or self.seed < 0:
            raise ValueError(f"calibration.seed is {self.seed!r}; it is an integer of at least 0.")
        if not 0 < self.damping <= 1:
            raise ValueError(
                f"calibration.damping is {self.damping!r}; it is above 0 and at most 1."
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
