"""Names of augmentations, and what each needs; importable without torch.

An augmentation is written as text: ``flip``, ``rotation:10``, or several of them in the order in
which they are applied, ``crop, flip, color_jitter:0.3``. The transforms themselves are those of
``torchvision.transforms.v2``; see `trainers.training.augmenting`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainers.errors import did_you_mean


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What an augmentation does, and the number that may follow its name.

    Attributes:
        meaning: What it does to an image, for messages and the guide.
        amount: The number if none is given.
        low: Smallest number, inclusive.
        high: Largest number, inclusive.
        needs_colour: Whether it does nothing to an image of one channel.
    """

    meaning: str
    amount: float
    low: float
    high: float
    needs_colour: bool = False


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "flip": Augmentation("mirrors left and right, with this probability", 0.5, 0.0, 1.0),
    "vertical_flip": Augmentation("mirrors top and bottom, with this probability", 0.5, 0.0, 1.0),
    "crop": Augmentation(
        "shifts by up to this share of the side; black comes in from outside", 0.125, 0.0, 0.5
    ),
    "resized_crop": Augmentation(
        "cuts out at least this share of the area, and resizes it", 0.25, 0.01, 1.0
    ),
    "rotation": Augmentation("rotates by up to so many degrees", 15.0, 0.0, 180.0),
    "color_jitter": Augmentation(
        "changes brightness, contrast and saturation by up to this share, hue by a tenth of it",
        0.3,
        0.0,
        1.0,
        needs_colour=True,
    ),
    "grayscale": Augmentation(
        "takes away the colour, with this probability", 0.2, 0.0, 1.0, needs_colour=True
    ),
    "negative": Augmentation(
        "inverts all pixels (x to 255 - x), with this probability", 0.5, 0.0, 1.0
    ),
    "jpeg": Augmentation(
        "compresses as JPEG, at a random quality from this one to 100", 50.0, 1.0, 100.0
    ),
    "trivial": Augmentation("applies one random operation, with this probability", 1.0, 0.0, 1.0),
    "randaugment": Augmentation(
        "applies two random operations of this magnitude, of at most 30", 9.0, 0.0, 30.0
    ),
}
"""Every augmentation by name."""

PRESETS: Mapping[str, str] = {
    "none": "",
    "crop_flip": "crop, flip",
    "trivial": "crop, flip, trivial",
    "randaugment": "crop, flip, randaugment",
}
"""The augmentations that a single word abbreviates; ``flip`` abbreviates nothing.

References:
    crop_flip: K. He et al. Deep residual learning for image recognition. 2016, section 4.2 (4 of
    32 pixels). https://arxiv.org/abs/1512.03385
    trivial: S. Müller, F. Hutter. TrivialAugment. 2021. https://arxiv.org/abs/2103.10158
    randaugment: E. Cubuk et al. RandAugment. 2020. https://arxiv.org/abs/1909.13719
    negative: N. Gowdra et al. Examining and mitigating kernel saturation in convolutional neural
    networks using negative images. 2020, who add the negative of each image to the training set.
    https://arxiv.org/abs/2105.04128
"""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_ITEM = rf"(?:{'|'.join(AUGMENTATIONS)})(?:: ?{_NUMBER})?"
AUGMENT_TEXT = rf"{_ITEM}(?:, *{_ITEM})*"
"""Regular expression of a text of augmentations."""


def augmentations(text: str) -> tuple[tuple[str, float], ...]:
    """Read a text into names of `AUGMENTATIONS` with their numbers, in order.

    >>> augmentations("crop_flip")
    (('crop', 0.125), ('flip', 0.5))
    >>> augmentations("flip, rotation:10")
    (('flip', 0.5), ('rotation', 10.0))

    Raises:
        ValueError: There is no such augmentation, or its number is out of range.
    """
    items = [item.strip() for item in PRESETS.get(text, text).split(",") if item.strip()]
    return tuple(map(_read, items))


def _read(item: str) -> tuple[str, float]:
    name, colon, number = (part.strip() for part in item.partition(":"))
    known = AUGMENTATIONS.get(name)
    if known is None:
        names = sorted({*AUGMENTATIONS, *PRESETS})
        raise ValueError(
            f"augment: there is no {name!r}; known are {', '.join(names)}; all but none and "
            f"crop_flip may stand in a list.{did_you_mean(name, names)}"
        )
    if colon and not re.fullmatch(_NUMBER, number):
        raise ValueError(f"augment: {item!r} has no number behind the colon, as in '{name}:0.5'.")
    amount = float(number) if colon else known.amount
    if not known.low <= amount <= known.high:
        raise ValueError(
            f"augment: {name} {known.meaning}; a number from {known.low:g} to {known.high:g} is "
            f"needed, not {amount:g}."
        )
    return name, amount
